"""Benchmarks as data: what a card can say, and what is said where a card or its data are wrong."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from evalkit.benchmarks.base import BENCHMARKS, CARDS, LoadedBenchmark
from evalkit.benchmarks.cards.record import CARDS as RECORDS
from evalkit.benchmarks.cards.record import Source, read_card
from evalkit.benchmarks.cards.rows import image_in, table_rows
from evalkit.benchmarks.cards.template import Template
from evalkit.benchmarks.open import open_edits
from evalkit.cli import main
from evalkit.errors import BenchmarkError, UnknownNameError
from evalkit.images.decode import read_image_bytes
from tests.support.cards import drawn, rows_as_parquet


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EVALKIT_DATA", raising=False)


ROWS = [
    {"id": "a", "image": "one.png", "text": "make it red", "kind": "colour"},
    {"id": "b", "image": "two.png", "text": "add a boat", "kind": "object"},
]
CARD = {
    "source": {"table": "edits.json"},
    "columns": {"item_id": "{id}", "source_image": "images/{image}", "instruction": "{text}", "edit_type": "{kind}"},
    "n_items": 2,
}


def write(folder, card, content=None, name="edits.json"):
    """A card of the user's own with its table and two images beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(
        content if isinstance(content, str) else json.dumps(ROWS if content is None else content)
    )
    for number, image in enumerate(("one.png", "two.png")):
        (folder / "images").mkdir(exist_ok=True)
        (folder / "images" / image).write_bytes(drawn(number))
    (folder / "boats.yaml").write_text(yaml.safe_dump(card))
    return folder / "boats.yaml"


def loaded(path, data=None) -> LoadedBenchmark:
    """The benchmark of a card with its items."""
    return BENCHMARKS.get(str(path))().load(data)


def evalkit(*arguments):
    """The command, in this process."""
    return CliRunner().invoke(main, [*map(str, arguments)])


def test_a_card_of_the_users_own_is_a_benchmark_by_its_path(tmp_path):
    """Its table is looked for beside it; items have what its columns say, and the version the digest of their list."""
    found = loaded(write(tmp_path, CARD))
    assert [(item.item_id, item.instruction, item.edit_type) for item in found.items] == [
        ("a", "make it red", "colour"),
        ("b", "add a boat", "object"),
    ]
    assert [item.source_image for item in found.items] == [
        tmp_path / "images" / "one.png",
        tmp_path / "images" / "two.png",
    ]
    assert (found.benchmark.name, found.benchmark.problems) == ("boats", ())
    assert found.benchmark.edit_types == {"colour": "", "object": ""}
    assert found.benchmark.version.startswith("v1@")


def test_the_version_is_that_of_the_list_of_edits_and_not_of_where_it_lies(tmp_path):
    """Two copies of one list have one version; a word more in a text is another."""
    first, second = (loaded(write(tmp_path / name, CARD)).benchmark.version for name in ("here", "there"))
    other = [{**ROWS[0], "text": "make it very red"}, ROWS[1]]
    assert first == second != loaded(write(tmp_path / "other", CARD, other)).benchmark.version


@pytest.mark.parametrize(
    ("name", "content", "source"),
    [
        (
            "edits.json",
            json.dumps({row["id"]: {k: v for k, v in row.items() if k != "id"} for row in ROWS}),
            {"levels": ["id"]},
        ),
        ("edits.yaml", yaml.safe_dump(ROWS), {}),
        ("edits.csv", "id;image;text;kind\na;one.png;make it red;colour\nb;two.png;add a boat;object\n", {}),
        ("edits.jsonl", "\n".join(map(json.dumps, ROWS)), {}),
        ("colour/colour.json", json.dumps(ROWS[:1]), {"table": "{kind}/{kind}.json"}),
    ],
)
def test_rows_stand_in_whatever_table(tmp_path, name, content, source):
    """Nested objects, YAML, CSV and JSON Lines, and tables whose path says something, give the same edits."""
    card = {**CARD, "n_items": None, "source": {"table": name, **source}}
    items = loaded(write(tmp_path, card, content, name)).items
    expected = [("a", "make it red", "colour"), ("b", "add a boat", "object")][: len(items)]
    assert [(item.item_id, item.instruction, item.edit_type) for item in items] == expected


def test_nested_keys_and_positions_become_columns(tmp_path):
    """Levels name what keys and places in a list stand for, the outermost first."""
    card = {
        "source": {"table": "edits.json", "levels": ["scene", "kind", "turn"]},
        "columns": {"item_id": "{scene}/{kind}/{turn}", "source_image": "images/{image}"},
    }
    nested = {"sea": {"add": [{"image": "one.png"}, {"image": "two.png"}], "drop": [{"image": "one.png"}]}}
    items = loaded(write(tmp_path, card, nested)).items
    assert [item.item_id for item in items] == ["sea/add/1", "sea/add/2", "sea/drop/1"]


def test_a_list_in_a_column_gives_an_edit_for_each_of_its_values(tmp_path):
    """Several targets of one source are one group, numbered from 1."""
    card = {
        "source": {"table": "edits.yaml", "explode": "targets"},
        "columns": {
            "item_id": "{image.stem}-{position}",
            "source_image": "images/{image.name}",
            "target_caption": "{targets}",
            "group": "{image}",
        },
    }
    rows = yaml.safe_dump([{"image": "/Some/Where/one.png", "targets": ["a red boat", "a blue boat"]}])
    items = loaded(write(tmp_path, card, rows, "edits.yaml")).items
    assert [(item.item_id, item.target_caption) for item in items] == [
        ("one-1", "a red boat"),
        ("one-2", "a blue boat"),
    ]
    assert len({item.group for item in items}) == 1


def test_a_value_may_depend_on_another_and_stand_in_another_file(tmp_path):
    """Cases choose a template by a value, lookups go down another document, and null is no value."""
    card = {
        **CARD,
        "columns": {
            **CARD["columns"],
            "instruction": {"by": "{kind}", "cases": {"colour": "Paint it {id}.", "object": None}},
            "target_caption": {"file": "captions.json", "at": ["{kind}", "{id}"]},
        },
    }
    (tmp_path / "captions.json").write_text(json.dumps({"colour": {"a": "a red boat"}}))
    first, second = loaded(write(tmp_path, card)).items
    assert (first.instruction, first.target_caption) == ("Paint it a.", "a red boat")
    assert (second.instruction, second.target_caption) == (None, None)


def test_a_variant_replaces_what_it_names_and_null_takes_away(tmp_path):
    """Of source and columns single fields, of all else whole values."""
    card = {
        **CARD,
        "variants": {
            "colours": {"n_items": 1, "where": {"kind": "colour"}, "columns": {"edit_type": None, "group": "{image}"}}
        },
    }
    path = write(tmp_path, card)
    whole, colours = loaded(path), loaded(f"{path}:colours")
    assert (len(whole.items), whole.benchmark.name) == (2, "boats")
    assert (len(colours.items), colours.benchmark.name, colours.benchmark.problems) == (1, "boats:colours", ())
    assert [(item.edit_type, item.group, item.instruction) for item in colours.items] == [
        (None, "one.png", "make it red")
    ]
    with pytest.raises(UnknownNameError, match=r"has no variant 'colour'\. Did you mean colours"):
        loaded(f"{path}:colour")


WRONG = [
    ("- a list", "expected the fields of a benchmark's card, got"),
    ("columns: {item_id: '{id}'}\nsource: {table: a.json}", "columns: expected source_image among them"),
    ("source: {table: a.json}\ncolumns: 7", "columns: expected fields with values, got 7"),
    ("source: {}\ncolumns: {item_id: a, source_image: b}", "source: expected either hub or table"),
    ("source: {table: a, hub: b/c}\ncolumns: {item_id: a, source_image: b}", "source: expected either hub or table"),
    (
        "source: {table: a, split: test}\ncolumns: {item_id: a, source_image: b}",
        "revision, config and split go with hub",
    ),
    (
        "sorce: {table: a}\nsource: {table: a}\ncolumns: {item_id: a, source_image: b}",
        "no field 'sorce'. Did you mean source",
    ),
    ("source: {tabel: a}\ncolumns: {item_id: a, source_image: b}", "no field 'source.tabel'. Did you mean table"),
    ("source: {table: a}\ncolumns: {item_id: a, source_image: b, prompt: c}", "columns.prompt"),
    ("source: {table: a}\nn_items: -3\ncolumns: {item_id: a, source_image: b}", "n_items: should be greater than 0"),
    (
        "source: {table: a}\nvariants: [x]\ncolumns: {item_id: a, source_image: b}",
        "variants: expected fields with values",
    ),
    ("source: {table: a}\ncolumns: {item_id: '{a:x>y}', source_image: b}", "{a:x>y}: Unknown format code 'y'"),
    ("source: {table: a}\ncolumns: {item_id: '{a', source_image: b}", "a brace is alone in '{a'"),
    ("source: {table: '{a.b}.json'}\ncolumns: {item_id: a, source_image: b}", "expected a word in braces, got a.b"),
    ("source: {hub: boats}\ncolumns: {item_id: a, source_image: b}", "source: hub: expected OWNER/NAME, got boats"),
    ("a: b: c", "line 1: mapping values are not allowed here"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_wrong_with_a_card_is_one_sentence_with_file_and_field(tmp_path, text, said):
    """Whoever writes a card is told where, and where to see one that is right."""
    path = tmp_path / "boats.yaml"
    path.write_text(text)
    answer = evalkit("edit", "identity", "--benchmark", path, "--output", tmp_path / "out")
    assert answer.exit_code == 1
    assert said in answer.output
    assert str(path) in answer.output.replace("\n", "")


def test_a_card_that_is_not_there_is_said(tmp_path):
    """A path that leads nowhere is no unknown name."""
    with pytest.raises(BenchmarkError, match=r"none\.yaml cannot be read as the card of a benchmark: No such file"):
        BENCHMARKS.get(str(tmp_path / "none.yaml"))()


@pytest.mark.parametrize(
    ("change", "content", "said"),
    [
        (
            {"columns": {**CARD["columns"], "instruction": "{txt}"}},
            None,
            "there is no column 'txt', which the card names. It has:",
        ),
        ({"where": {"language": "en"}}, None, "there is no column 'language'"),
        ({"where": {"kind": "light"}}, None, "there is no edit with kind light in"),
        ({}, [], "there is no edit in"),
        ({}, {"a": {}}, "expected a list of edits, got an object"),
        ({}, ["a"], "entry '1': expected an object with the columns of an edit, got a text"),
        ({}, [ROWS[0], ROWS[0]], r"entry '2': the item 'a' stands in .*entry '1' already"),
        ({}, [ROWS[0], {**ROWS[1], "image": "three.png"}], "1 of the 2 images that boats names are not in"),
        (
            {"columns": {**CARD["columns"], "source_image": "{image}"}},
            [{**ROWS[0], "image": 5}],
            r"entry '1': expected an image, or the name of one, got 5",
        ),
        ({}, "{", "edits.json cannot be read as a table of the benchmark: it is not JSON"),
        ({"source": {"table": "edits.json", "explode": "text"}}, None, "column text: expected a list, got a text"),
        ({"source": {"table": "other.json"}}, None, "is read from your own copy, a folder with other.json"),
        ({"columns": {**CARD["columns"], "group": {"file": "g.json", "at": ["{id}"]}}}, None, "g.json cannot be read"),
    ],
)
def test_data_that_do_not_fit_their_card_are_refused_with_their_place(tmp_path, change, content, said):
    """File, entry and column are named; nothing is left out in silence."""
    with pytest.raises(BenchmarkError, match=said):
        loaded(write(tmp_path, {**CARD, **change}, content))


def test_a_copy_that_differs_from_its_card_is_a_problem_of_what_is_scored(tmp_path):
    """Another number of edits, types that the card does not have, and rows without an image are listed by name."""
    card = {**CARD, "n_items": 5, "n_groups": 1, "edit_types": ["colour"]}
    card["columns"] = {**CARD["columns"], "group": "{image}"}
    path = write(tmp_path, card, [*ROWS, {"id": "c", "image": None, "text": "t", "kind": "colour"}])
    assert evalkit("edit", "shuffled_source", "--benchmark", path, "--output", tmp_path / "out").exit_code == 0
    answer = json.loads(evalkit("check", tmp_path / "out", "--benchmark", path, "--json").stdout)
    said = [problem["message"] for problem in answer["problems"] if problem["code"] == "other_benchmark"]
    assert said == [
        f"{tmp_path / 'edits.json'}, entry '3' has no source_image and is left out.",
        "The edit type 'object' is none of boats's.",
        "boats: expected 5 edits, got 2.",
        "boats: expected 1 groups, got 2.",
    ]
    assert evalkit("check", tmp_path / "out", "--benchmark", path).exit_code == 3


def test_what_is_named_next_after_an_edit_of_an_own_card_can_be_pasted(tmp_path):
    """The card's path goes along; without it the manifest's benchmark is said to be unknown."""
    path = write(tmp_path, CARD)
    edited = evalkit("edit", "shuffled_source", "--benchmark", path, "--output", tmp_path / "out")
    assert f"--benchmark {path}" in edited.output.replace("\n", " ")
    opened = open_edits(tmp_path / "out")
    assert [problem.code for problem in opened.folder.problems] == ["unknown_benchmark"]
    assert not open_edits(tmp_path / "out", benchmark=str(path)).folder.problems


def test_a_manifest_cannot_name_the_file_of_a_card(tmp_path):
    """Whose folder is scored must not choose what is read or fetched."""
    path = write(tmp_path, CARD)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x.png").write_bytes(drawn(7))
    line = {"item_id": "a", "edited_image_file_name": "x.png", "benchmark": str(path)}
    (tmp_path / "out" / "metadata.jsonl").write_text(json.dumps(line))
    assert open_edits(tmp_path / "out").benchmark is None


def test_nobody_infers_a_benchmark_whose_data_must_be_opened_first(tmp_path, monkeypatch):
    """A folder that no benchmark explains is not a reason to read cards, or to ask the Hub."""
    monkeypatch.setattr("evalkit.benchmarks.cards.read_card", None)
    (tmp_path / "a.png").write_bytes(drawn(1))
    answer = evalkit("check", tmp_path)
    assert answer.exit_code == 1
    assert "It is not known what the 1 image files" in answer.output


@pytest.mark.parametrize("name", CARDS)
def test_every_card_can_be_read_with_each_of_its_variants(name):
    """Fields are checked, protocols exist and are about the benchmark, and metrics are there."""
    from evalkit.benchmarks.protocols import PROTOCOLS
    from evalkit.metrics.base import get_metrics

    first = BENCHMARKS.get(name)()
    for variant in ("", *first.variants):
        benchmark = BENCHMARKS.get(f"{name}:{variant}" if variant else name)()
        assert benchmark.title
        assert benchmark.description
        assert benchmark.homepage.startswith("https://")
        assert benchmark.citation
        assert "{" in benchmark.citation
        get_metrics(benchmark.default_metrics)
        if benchmark.default_protocol:
            protocol = PROTOCOLS.get(benchmark.default_protocol)
            assert (protocol.benchmark, protocol.n_items) == (benchmark.name, benchmark.stated_items)
            assert set(protocol.metrics) == set(benchmark.default_metrics)


def test_a_name_in_a_text_is_found_formatted_and_missed():
    """The value itself for a name alone, a text for more; a missing value makes no half of a text."""
    record = {
        "id": 7,
        "turn": 2,
        "tags": ["a", "b"],
        "first": {"id": 6},
        "a.b": 1,
        "image": "x/y.tar.png",
        "none": None,
    }
    assert Template("{id}").value(record) == 7
    assert Template("{id:0>4}-{turn}").value(record) == "0007-2"
    assert Template("{tags} of {first.id}").value(record) == "a; b of 6"
    assert Template("{a.b}").value(record) == 1
    assert (Template("{image.stem}").value(record), Template("{image.name}").value(record)) == ("y.tar", "y.tar.png")
    assert Template("x{none}").value(record) is None
    assert Template("x{absent}").value(record) is None
    assert Template("plain").value(record) == "plain"


WORD = st.text("abcXYZ09_- .", min_size=1, max_size=8).filter(lambda text: text.strip(". "))


@given(st.lists(st.tuples(WORD, WORD), min_size=1, max_size=4, unique_by=lambda pair: pair[0]))
def test_a_path_gives_back_what_it_was_made_of(values):
    """For names that a path was made of, apart from each other, its parts are their values again."""
    named = {f"n{number}": text for number, (text, _) in enumerate(values)}
    template = Template("/".join(f"{{{name}}}" for name in named) + "/table.json")
    assert template.parts_of(Path(template.value(named))) == named or any(
        "/" in text or text == "." for text in named.values()
    )


KEY = st.text("abcxyz19", min_size=1, max_size=3)


@given(st.dictionaries(KEY, st.dictionaries(KEY, st.lists(KEY, max_size=3), max_size=3), min_size=1, max_size=3))
def test_nested_rows_are_all_leaves_with_the_keys_that_lead_there(nested):
    """Whatever the nesting, each record comes once, in order, under its own keys and its place in its list."""
    import tempfile

    content = {one: {two: [{"v": v} for v in leaves] for two, leaves in inner.items()} for one, inner in nested.items()}
    expected = [
        {"one": one, "two": two, "n": n, "v": v}
        for one, inner in nested.items()
        for two, leaves in inner.items()
        for n, v in enumerate(leaves, 1)
    ]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "t.json").write_text(json.dumps(content))
        rows = table_rows(Path(folder), Source(table="t.json", levels=("one", "two", "n")), [])
    assert [dict(row.values) for row in rows] == expected


def test_an_image_is_found_by_its_path_and_by_the_tail_of_it(tmp_path):
    """As written, else without the folders before; never outside of the copy."""
    (tmp_path / "copy" / "cats").mkdir(parents=True)
    (tmp_path / "copy" / "cats" / "tom.png").write_bytes(drawn(3))
    (tmp_path / "secret.png").write_bytes(drawn(4))
    root = tmp_path / "copy"
    for named in ("cats/tom.png", "/Data/cats/tom.png", "data\\cats\\tom.png", "./cats/tom.png"):
        assert image_in(root, named) == root / "cats" / "tom.png"
    assert image_in(root, "../secret.png") is None
    assert image_in(root, str(tmp_path / "secret.png")) is None


def table_of_cards():
    """The rows of the guide's table: of each card what it is, how much there is of it and whose it is."""
    for name in CARDS:
        card = read_card(RECORDS / f"{name}.yaml")
        has = [what for what, fields in HAVE.items() if card.columns.keys() & fields]
        of = f"Hub: {card.source.hub}" if card.source.hub else "your copy"
        names = ", ".join([f"`{name}`", *(f"`:{variant}`" for variant in card.variants)])
        yield f"| {names} | {card.n_items or ''} | {', '.join(has)} | {of} | {card.licence} |"


HAVE = {
    "captions": {"source_caption", "target_caption"},
    "instructions": {"instruction"},
    "true edits": {"reference_image"},
}


def test_the_table_of_benchmarks_is_what_the_cards_say():
    """Every card has its row, and no figure there is another than the card's."""
    guide = Path("evalkit/guide/benchmarks.md").read_text()
    assert [line for line in guide.splitlines() if line.startswith(tuple(f"| `{name}`" for name in CARDS))] == [
        *table_of_cards()
    ]


def test_the_card_that_the_guide_shows_is_one(tmp_path):
    """What people copy can be read as it stands, and makes edits of the table that it names."""
    text = Path("evalkit/guide/benchmarks.md").read_text().partition("```yaml\n# boats.yaml\n")[2].partition("```")[0]
    path = tmp_path / "boats.yaml"
    path.write_text(text)
    (tmp_path / "edits.csv").write_text(
        "id,photo,before,after,order,kind\n1,one.png,a boat,a red boat,make it red,colour\n"
    )
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.png").write_bytes(drawn(1))
    [item] = loaded(path).items
    assert (item.item_id, item.source_caption, item.target_caption) == ("1", "a boat", "a red boat")
    assert (item.instruction, item.edit_type) == ("make it red", "colour")


def test_benchmarks_are_listed_in_80_columns_with_what_tells_them_apart(monkeypatch):
    """Edits, groups, language, types, variants by the names that are typed, and the licence."""
    monkeypatch.setenv("COLUMNS", "80")
    shown = evalkit("list", "benchmarks").output
    assert max(map(len, shown.splitlines())) <= 80
    flat = " ".join(shown.split())
    for words in ("items: 1053", "groups: 535", "magicbrush:multi_turn", "edit types: add, background", "CC BY-NC 4.0"):
        assert words in flat, words
    rows = {row["name"]: row for row in json.loads(evalkit("list", "benchmarks", "--json").stdout)}
    assert rows["gedit_bench"]["variants"] == ["gedit_bench:cn"]
    assert rows["gedit_bench"]["language"] == "en"
    assert rows["pie_bench"]["items"] == 700
    assert {name for name, row in rows.items() if row["error"]} == set()


def test_what_is_guessed_about_a_table_is_said(tmp_path):
    """An encoding that nobody named is a notice of every folder that is opened with the card."""
    path = write(tmp_path, {**CARD, "source": {"table": "edits.csv"}}, "", "edits.csv")
    text = "id,image,text,kind\na,one.png,mets un café,colour\nb,two.png,ajoute un bateau à voile,object\n"
    (tmp_path / "edits.csv").write_bytes(text.encode("latin-1"))
    found = loaded(path)
    assert found.items[0].instruction == "mets un café"
    assert [problem.code for problem in found.benchmark.problems] == ["guessed"]
    assert "edits.csv" in found.benchmark.problems[0].message


def test_a_table_with_images_in_it_is_read_in_passing(tmp_path):
    """A Parquet file of the user's own: images are its cells, and none is copied or named."""
    rows = [{"id": n, "before": {"bytes": drawn(n), "path": None}, "order": f"edit {n}"} for n in (3, 4)]
    (tmp_path / "rows.parquet").write_bytes(rows_as_parquet(iter(rows)))
    columns = {"item_id": "{id}", "source_image": "{before}", "instruction": "{order}"}
    path = write(tmp_path, {"source": {"table": "rows.parquet"}, "columns": columns}, "[]", "other.json")
    found = loaded(path)
    assert [item.item_id for item in found.items] == ["3", "4"]
    assert [read_image_bytes(item.source_image) for item in found.items] == [drawn(3), drawn(4)]


@pytest.mark.parametrize(
    "address", ["hf://datasets/me/boats", "hf://me/boats", "https://huggingface.co/datasets/me/boats"]
)
def test_a_data_set_is_named_by_its_address_too(tmp_path, address):
    """Whatever people copy from the Hub leads to the same repository."""
    path = write(tmp_path, {"source": {"hub": address}, "columns": {"item_id": "{id}", "source_image": "{image}"}})
    assert read_card(path).source.hub == "me/boats"
