"""Metrics: pure functions of arrays, one value per item."""
