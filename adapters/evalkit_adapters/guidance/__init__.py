"""The CLIP that guides Text2LIVE and DiffusionCLIP, and the augmentations through which it may look."""
