"""Tables for the terminal, Markdown and LaTeX."""
