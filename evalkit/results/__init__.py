"""Run directories: what was scored, with which settings, item by item."""
