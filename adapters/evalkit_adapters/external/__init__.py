"""Programs and services of somebody else's as editing methods."""
