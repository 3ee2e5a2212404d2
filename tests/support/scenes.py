"""Scenes of the shapes world."""

import numpy as np
from hypothesis import strategies as st

from evalkit.benchmarks.shapes.world import ATTRIBUTES, Jitter, Scene

ANY_SCENE = st.builds(Scene, **{name: st.sampled_from(values) for name, values in ATTRIBUTES.items()})
ANY_JITTER = st.builds(lambda seed: Jitter.sample(np.random.default_rng(seed)), st.integers(0, 2**32))
RED_CIRCLE = Scene(shape="circle", colour="red", size="large", place="left", background="grey")
