"""From an edit folder to per-item values: request features, compute what the cache does not know, apply the metrics."""
