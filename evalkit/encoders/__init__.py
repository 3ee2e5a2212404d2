"""Networks that turn images and texts into vectors, and the cache of what they gave."""
