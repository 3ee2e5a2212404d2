"""Scores: items by metrics with reasons, the record of a run, and other tools' tables."""
