"""Settings that many methods have; apart from what they set, so that a card needs no torch."""

from evalkit.editing.method import Setting

SAMPLING_STEPS = Setting(default=50, summary="Steps of sampling.", lowest=1, highest=999)
GUIDANCE = Setting(default=7.5, summary="Classifier-free guidance.", lowest=0)
NULL_TEXT_ITERATIONS = Setting(default=10, summary="At most, for each step of inversion.", lowest=0)
CHECKPOINTING = Setting(
    default=True,
    summary="Recompute the network's inner values on the way back instead of keeping them: less memory, more time.",
    shapes_edits=False,
)
EIGHT_BIT = Setting(default=False, summary="Adam's moments in 8 bits, through bitsandbytes; on CUDA alone.")
MEMORY = {"checkpointing": CHECKPOINTING, "eight_bit": EIGHT_BIT}
"""How to bound the memory of an optimisation; neither changes what is optimised."""


def share(default: float, summary: str) -> Setting:
    """A number from 0 to 1."""
    return Setting(default=default, summary=summary, lowest=0, highest=1)


def from_zero(default: float | None, summary: str) -> Setting:
    """A number from 0 on; whole, where the default is."""
    return Setting(default=default, summary=summary, lowest=0)


def choice(default: str, summary: str, choices: tuple[str, ...]) -> Setting:
    """One of some texts."""
    return Setting(default=default, summary=summary, choices=choices)


def pipeline_steps(default: int) -> Setting:
    """The number of steps of a pipeline of diffusers."""
    return Setting(default=default, summary="Steps of sampling.", lowest=1)


def working_side(default: int) -> Setting:
    """The size at which a pipeline works."""
    return Setting(default=default, summary="Pixels: it works on pictures of this value's square in area.", lowest=64)
