"""Entries of the small board with what a judge says of them."""

import json

from evalkit.judges.asking import JudgeOptions
from evalkit.leaderboard.submit import submit
from tests.support.boards import HOSTILE, card_of, control, edits, write_card
from tests.support.judging import completes, judge_server

FOLDERS = {"good": (0.9, 0), "fair": (0.6, 1), "lazy": (0.0, 2)}


def folder_of(root, name):
    """The edits of an entry of the small board, made again."""
    if name not in FOLDERS:
        return control(root / name, name)
    good, seed = FOLDERS[name]
    return edits(root / name, good=good, method=name, seed=seed)


def judged(board, root, name, spec, **options):
    """Adds what a judge says to an entry of the small board."""
    entry = board.find(f"few/v1/{name}")
    content = card_of(name, **entry.card.model_dump(include={"title", "kind", "pictures_licence"}))
    card = write_card(root / f"{name}.yaml", content)
    return submit(folder_of(root, name), card, board, judge=JudgeOptions(spec=spec, **options)).judged


def have_judged(board, root):
    """Two methods and a control, by a judge whose name and words are hostile."""
    with judge_server() as server:
        for name, following in (("good", 8), ("fair", 5), ("identity", 0)):
            said = {"reasoning": HOSTILE, "following": following, "preservation": 9, "quality": 7}
            server.then = completes(json.dumps(said), model=f"judge {HOSTILE}".replace("\u202e", ""))
            judged(board, root, name, server.spec())
