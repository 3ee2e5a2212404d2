"""SINE (Zhang et al. 2023): the method and what only it needs."""

from evalkit_adapters.methods.sine.method import SINE as SINE
