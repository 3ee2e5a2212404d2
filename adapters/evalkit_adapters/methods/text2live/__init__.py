"""Text2LIVE (Bar-Tal et al. 2022): the method and what only it needs."""

from evalkit_adapters.methods.text2live.method import Text2LIVE as Text2LIVE
