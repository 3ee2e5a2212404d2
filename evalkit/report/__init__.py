"""What was found, for people: tables, exports, figures and a page."""

from typing import Literal

ExportFormat = Literal["md", "latex", "csv"]
"""What a comparison can be exported to."""
