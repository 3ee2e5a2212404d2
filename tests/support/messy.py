"""An edit folder with everything that goes wrong in real life, and what must be said about each thing.

The folder holds edits of a small made-up benchmark in the official layout. What is expected of it stands beside each
file, so that a test can ask for exactly that and nothing else.
"""

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from evalkit.edits.folder import ExpectedItems
from evalkit.edits.item import EditItem
from tests.support import pictures
from tests.support.pictures import encoded, scene

WIDTH, HEIGHT = 64, 48

ITEMS = (
    ("plain", "apples.jpeg", "A basket of oranges."),
    ("jpeg_named_png", "bird.jpeg", "A bird eating a fish."),
    ("same_bytes_other_name", "bird.png", "A bird looking backwards."),
    ("doubled_suffix", "road1.png", "A photo of a traffic jam."),
    ("transparent", "cat.jpeg", "A cat wearing a hat."),
    ("opaque_alpha", "cat.jpeg", "A cat in a grass field."),
    ("palette", "cat.jpeg", "A sleeping cat."),
    ("grey", "dog.png", "A sitting dog."),
    ("cmyk", "dog.png", "A jumping dog."),
    ("deep", "dog.png", "A yawning dog."),
    ("rotated", "house.jpg", "A house in winter."),
    ("profile", "house.jpg", "A house at night."),
    ("one_pixel", "house.jpg", "A burning house."),
    ("huge", "house.jpg", "A house made of straw."),
    ("truncated", "tree.png", "A dead tree."),
    ("empty_file", "tree.png", "An apple tree."),
    ("web_page", "tree.png", "A willow tree."),
    ("bomb", "tree.png", "A tree on fire."),
    ("in_sub_folder", "tree.png", "A tree in autumn."),
    ("decomposed", "café.png", "A crowded café."),
    ("link_inside", "café.png", "An empty café."),
    ("link_outside", "café.png", "A café by the sea."),
    ("two_files", "car.png", "A race car."),
    ("not_there", "car.png", "A convertible car."),
    ("copied_source", "car.png", "A red car."),
    ("re_encoded_source", "car.png", "A car in the rain."),
    ("twin_a", "vase.png", "A vase of roses."),
    ("twin_b", "vase.png", "A vase of tulips."),
    ("other_size", "vase.png", "A broken vase."),
    ("animated", "vase.png", "A falling vase."),
)
"""Item id, source image and target caption."""

PROBLEMS = {
    "broken_link": {"dangling.png"},
    "duplicate_item": {"two_files"},
    "duplicate_output": {"twin_a"},
    "edited_equals_source": {"copied_source", "re_encoded_source"},
    "missing_edited_image": {"link_outside", "not_there"},
    "symlink_outside_folder": {"café.png-A_café_by_the_sea.png", "elsewhere"},
    "tiny_image": {"one_pixel"},
    "unmatched_file": {"grid.png"},
    "unreadable_image": {"bomb", "empty_file", "truncated", "web_page"},
}
"""Code to the items concerned, or to the files where it is about no item."""

NOTICES = {
    "animated_image": {"animated"},
    "colour_profile": {"profile"},
    "deep_image": {"deep"},
    "missing_source_caption": {""},
    "other_file": {"notes.txt"},
    "rotated_image": {"rotated"},
    "size_differs": {"huge", "other_size"},
    "suffix_mismatch": {"jpeg_named_png"},
    "transparent_image": {"transparent"},
}

N_FILES = 30
"""Image files that may be looked at: one for each item but two, two for ``two_files``, and ``grid.png``, a surplus."""
N_MATCHED = 29


@dataclass(frozen=True, slots=True, kw_only=True)
class Messy:
    """Where it all lies."""

    folder: Path
    sources: Path
    expected: ExpectedItems


def build_messy(root: Path) -> Messy:
    """Writes the folder, its sources and what a link out of it leads to below ``root``."""
    folder, sources, outside = root / "edits", root / "sources", root / "outside"
    for directory in (folder / "later" / "batch2", folder / ".cache", folder / "__MACOSX", sources, outside):
        directory.mkdir(parents=True)
    for seed, name in enumerate(sorted({source for _, source, _ in ITEMS} - {"bird.png"})):
        (sources / name).write_bytes(encoded(scene(WIDTH, HEIGHT, seed), "JPEG" if ".jp" in name else "PNG"))
    (sources / "bird.png").write_bytes((sources / "bird.jpeg").read_bytes())
    names = {item_id: f"{source}-{text[:-1].replace(' ', '_')}.png" for item_id, source, text in ITEMS}
    for item_id, data in _edits(sources).items():
        (folder / names[item_id]).write_bytes(data)
    _rename(folder, names)
    _link(folder, names, outside)
    _litter(folder)
    items = tuple(
        EditItem(item_id=item_id, target_caption=text, group=_group(source), source_image=sources / source)
        for item_id, source, text in ITEMS
    )
    expected = ExpectedItems(benchmark="messy", items=items, edited_names=names)
    return Messy(folder=folder, sources=sources, expected=expected)


def _group(source: str) -> str:
    return "bird.jpeg" if source == "bird.png" else source


def _edits(sources: Path) -> dict[str, bytes]:
    """The files' contents; items that share a kind get pictures of their own."""
    pixels = {item_id: scene(WIDTH, HEIGHT, 100 + i) for i, (item_id, _, _) in enumerate(ITEMS)}
    images = {item_id: pictures.Image.fromarray(value) for item_id, value in pixels.items()}
    edits = {
        item_id: encoded(image) for item_id, image in images.items() if item_id not in ("link_outside", "not_there")
    }
    half = images["transparent"].copy()
    half.putalpha(128)
    opaque = images["opaque_alpha"].copy()
    opaque.putalpha(255)
    upright = pixels["rotated"]
    turned = pictures.turned_back(upright, 6)
    deep = pixels["deep"].astype("uint16") * 257
    frames = {"save_all": True, "append_images": [images["plain"]]}
    return edits | {
        "jpeg_named_png": encoded(images["jpeg_named_png"], "JPEG"),
        "transparent": encoded(half),
        "opaque_alpha": encoded(opaque),
        "palette": encoded(images["palette"].quantize(16)),
        "grey": encoded(images["grey"].convert("L")),
        "cmyk": encoded(images["cmyk"].convert("CMYK"), "TIFF"),
        "deep": pictures.png16(deep),
        "rotated": pictures.with_orientation(turned, 6, "PNG"),
        "profile": encoded(images["profile"], icc_profile=pictures.linear_profile()),
        "one_pixel": encoded(scene(1, 1)),
        "huge": pictures.huge(),
        "truncated": edits["truncated"][: len(edits["truncated"]) // 2],
        "empty_file": b"",
        "web_page": b"<html><title>404</title></html>",
        "bomb": pictures.bomb(),
        "copied_source": (sources / "car.png").read_bytes(),
        "re_encoded_source": encoded(scene(WIDTH, HEIGHT, _seed_of(sources, "car.png")), compress_level=0),
        "twin_b": edits["twin_a"],
        "other_size": encoded(scene(2 * WIDTH, 2 * HEIGHT)),
        "animated": encoded(images["animated"], "PNG", **frames),
    }


def _seed_of(sources: Path, name: str) -> int:
    """The seed that a source was drawn with: its place among the names."""
    return sorted({path.name for path in sources.iterdir()} - {"bird.png"}).index(name)


def _rename(folder: Path, names: dict[str, str]) -> None:
    """The names that people make of the official ones."""
    plain = folder / names["cmyk"]
    plain.rename(plain.with_suffix(".tif"))
    road = folder / names["doubled_suffix"]
    road.rename(folder / road.name.replace("road1.png", "road1.png.png"))
    tree = folder / names["in_sub_folder"]
    tree.rename(folder / "later" / "batch2" / tree.name.upper().replace("_", " "))
    cafe = folder / names["decomposed"]
    cafe.rename(folder / unicodedata.normalize("NFD", cafe.name))


def _link(folder: Path, names: dict[str, str], outside: Path) -> None:
    """Links in and out of the folder."""
    inside = folder / names["link_inside"]
    hidden = folder / "later" / ".kept.png"
    inside.rename(hidden)
    inside.symlink_to(os.path.relpath(hidden, folder))
    (outside / "secret.png").write_bytes(encoded(scene(WIDTH, HEIGHT, 999)))
    (folder / names["link_outside"]).symlink_to(outside / "secret.png")
    (folder / "elsewhere").symlink_to(outside)
    (folder / "again").symlink_to(folder / "later")
    (folder / "dangling.png").symlink_to(folder / "nothing.png")


def _litter(folder: Path) -> None:
    """What lies around: junk that nobody wants to hear of, and files that must be mentioned."""
    picture = encoded(scene(WIDTH, HEIGHT, 500))
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._cat.png", "__MACOSX/cat.png", ".cache/cat.png"):
        (folder / name).write_bytes(b"junk")
    (folder / "grid.png").write_bytes(picture)
    (folder / "notes.txt").write_text("seed 7\n")
    (folder / "car.png-a race car.PNG").write_bytes(encoded(scene(WIDTH, HEIGHT, 501)))
