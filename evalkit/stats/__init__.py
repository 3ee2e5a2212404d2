"""Statistics of edits: arrays in, frozen records out."""
