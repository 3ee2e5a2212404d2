"""DiffusionCLIP (Kim et al. 2022): the method and what only it needs."""

from evalkit_adapters.methods.diffusionclip.method import DiffusionCLIP as DiffusionCLIP
