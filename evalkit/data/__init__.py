"""Edit folders: items, manifests, layouts, images and checks."""
