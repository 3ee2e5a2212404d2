"""Thin wrappers of diffusers' own editing pipelines."""
