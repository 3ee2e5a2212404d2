"""evalkit measures text-guided image editing and says how sure it is."""

__version__ = "0.1.0"
