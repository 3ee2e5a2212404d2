"""What CLIP-guided methods share: the guiding CLIP, its losses, augmentations and layers."""
