"""Simulated studies of votes whose truth is known."""

import numpy as np

from evalkit.votes.records import Vote

TYPES = ("add", "remove", "style")


def simulated_votes(
    abilities: dict[str, float],
    *,
    n_raters: int = 8,
    n_items: int = 40,
    seed: int = 0,
    ties: float = 0.4,
    random_raters=(),
) -> list[Vote]:
    """Every rater votes on one random pair of each item, by Davidson's model; two items share a source image.

    Args:
        abilities: Method to its ability, log-odds.
        n_raters: ``r0``, ``r1``, ….
        n_items: ``item-00``, …, of three edit types in turn.
        seed: Determines all.
        ties: How much of a vote's odds two equal methods leave to a tie, against 2.
        random_raters: Numbers of those who do not look.
    """
    rng = np.random.default_rng(seed)
    names, votes = list(abilities), []
    for rater in range(n_raters):
        for item in range(n_items):
            a, b = (names[at] for at in rng.choice(len(names), 2, replace=False))
            d = 0.0 if rater in random_raters else abilities[a] - abilities[b]
            odds = np.array([np.exp(d / 2), ties / 2, ties / 2, np.exp(-d / 2)])
            votes.append(
                Vote(
                    item_id=f"item-{item:02}",
                    a=a,
                    b=b,
                    winner=str(rng.choice(["a", "tie", "both_bad", "b"], p=odds / odds.sum())),
                    rater=f"r{rater}",
                    group=f"source-{item // 2}",
                    edit_type=TYPES[item % 3],
                    first="a" if rng.random() < 0.5 else "b",
                    seconds=float(np.round(rng.gamma(4, 1.5), 1)),
                )
            )
    return votes
