"""Images: decoding (the only place that opens one), colour, and the pair of edit and source."""
