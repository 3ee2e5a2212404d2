"""The CLIP that guides Text2LIVE and DiffusionCLIP."""
