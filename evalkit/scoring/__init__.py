"""From an edit folder to per-item values: plan, encode what the cache lacks, apply the metrics."""
