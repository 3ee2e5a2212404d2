"""A comparison as tables with what stands below them, and what they are exported to."""
