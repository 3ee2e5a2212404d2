"""Models that look at edits and answer: behind an OpenAI-compatible endpoint, or of transformers on this machine."""
