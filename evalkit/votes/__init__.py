"""Votes between two edits of one item: their record, reading and writing them, and how they are put into arrays."""
