"""Tables of text, whatever they are about: for a terminal, in Markdown, in CSV."""

from typing import Literal

ExportFormat = Literal["md", "latex", "csv"]
"""What a comparison can be exported to."""
