"""Settings of every method that optimises with a large network in the graph, apart so that cards need no torch."""

from evalkit.editing.method import Setting

MEMORY = {
    "checkpointing": Setting(
        default=True,
        summary="Recompute the network's inner values on the way back instead of keeping them: less memory, more time.",
        shapes_edits=False,
    ),
    "eight_bit": Setting(default=False, summary="Adam's moments in 8 bits, through bitsandbytes; on CUDA alone."),
}
"""How to bound the memory of an optimisation; neither changes what is optimised."""
