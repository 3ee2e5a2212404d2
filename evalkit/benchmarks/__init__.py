"""Fixed lists of edits with their files: TEdBench, shapes."""
