"""Files that are whole or absent, cache paths, folders behind URLs, kept tensors."""
