"""Editing methods as adapters of evalkit: one file each, and the pieces that they share.

A method's file holds its card and its algorithm and imports torch inside of its functions only; the shared pieces
(``latent``, ``schedule``, ``attention``, …) are about torch and import it.
"""
