"""Collecting votes: who is shown what, the page that raters see, its server and its static form."""
