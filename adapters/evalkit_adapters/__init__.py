"""Editing methods as adapters of evalkit.

``methods`` has one file each, or a package where a method has parts that only it needs; ``pipelines`` wraps diffusers'
own, ``external`` what runs elsewhere. ``diffusion`` and ``guidance`` are what they share. A file with a card imports
torch inside of its functions only; the shared pieces are about torch and import it.
"""
