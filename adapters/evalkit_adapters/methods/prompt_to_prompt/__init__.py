"""Prompt-to-Prompt (Hertz et al. 2023): the method and what only it needs."""

from evalkit_adapters.methods.prompt_to_prompt.method import PromptToPrompt as PromptToPrompt
