"""Edit folders: items, manifests, captions, layouts, and what is wrong with them."""
