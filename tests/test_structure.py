"""The structure of the project: who may import whom, what must stay light, and how large things may grow."""

import ast
import collections
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path("evalkit")
ADAPTERS = Path("adapters/evalkit_adapters")
LAYERS = (
    {"errors", "arrays", "formatting"},
    {"registry", "storage", "stats", "engine", "tables"},
    {"images", "guide"},
    {"edits"},
    {"encoders", "metrics"},
    {"judges"},
    {"scores"},
    {"benchmarks", "votes"},
    {"scoring", "comparison", "editing"},
    {"planning"},
    {"report"},
    {"validity", "leaderboard", "voting"},
    {"cli"},
)
"""From the ground up: a file imports only from lower layers and its own folder."""
HEIGHTS = {part: height for height, parts in enumerate(LAYERS) for part in parts}
STATS_MAY_IMPORT = {"arrays", "errors", "formatting", "stats"}
HEAVY = ("torch", "diffusers", "transformers", "open_clip", "datasets", "scipy.stats", "matplotlib", "pandas")
ADAPTERS_MAY_IMPORT = {"arrays", "benchmarks", "editing", "edits", "encoders", "images", "storage", "errors"}
FILES = sorted(PACKAGE.rglob("*.py"))
ADAPTER_FILES = sorted(ADAPTERS.rglob("*.py"))


def modules_in(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from [f"evalkit.{alias.name}" for alias in node.names] if node.module == "evalkit" else [node.module]
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def imports_of(path: Path) -> set[str]:
    """The parts of evalkit that a file imports from."""
    parts = {module.split(".")[1] for module in modules_in(path) if module.startswith("evalkit.")}
    return {part for part in parts if not part.startswith("__")}


def part_of(path: Path) -> str:
    """The part of evalkit to which a file belongs."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_a_file_imports_only_lower_layers_and_its_own_folder():
    """Dependencies point downwards, so that every part can be understood without those above it."""
    upwards = [
        f"{path} imports {imported}"
        for path in FILES
        if part_of(path) not in ("__init__", "__main__")
        for imported in imports_of(path) - {part_of(path)}
        if HEIGHTS[imported] >= HEIGHTS[part_of(path)]
        or (part_of(path) == "stats" and imported not in STATS_MAY_IMPORT)
    ]
    assert upwards == []


def test_every_part_has_a_layer():
    """A new folder or file at the top of the package must be given its height."""
    assert {part_of(path) for path in FILES} - {"__init__", "__main__"} == set(HEIGHTS)


def test_an_adapter_knows_of_evalkit_only_what_a_plugin_may():
    """Adapters build on the contract of methods, items, images, encoders, benchmarks and errors; on nothing else."""
    assert [path for path in ADAPTER_FILES if not imports_of(path) <= ADAPTERS_MAY_IMPORT] == []


def test_evalkit_never_imports_its_adapters():
    """They are found through their entry points, as anybody's are."""
    assert [path for path in FILES if any(name.split(".")[0] == "evalkit_adapters" for name in modules_in(path))] == []


def test_one_name_means_one_thing():
    """No class and no type alias is defined in two modules."""
    defined = collections.defaultdict(list)
    for path in [*FILES, *ADAPTER_FILES]:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                defined[node.name].append(str(path))
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    if isinstance(target, ast.Name) and target.id.strip("_")[:1].isupper() and not target.id.isupper():
                        defined[target.id].append(str(path))
    assert {name: paths for name, paths in defined.items() if len(paths) > 1} == {}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        *(
            [name, "--help"]
            for name in (
                "score",
                "edit",
                "compare",
                "power",
                "check",
                "list",
                "dataset",
                "submit",
                "leaderboard",
                "validate",
            )
        ),
    ],
)
def test_help_imports_nothing_heavy(arguments):
    """Asking for help loads no library that takes longer than the question."""
    assert imported_by(arguments, (*HEAVY, "numpy", "PIL", "rich")) == []


@pytest.mark.parametrize(
    "arguments", [["list", "methods"], ["list", "methods", "--json"], ["edit", "x", "--output", "y"]]
)
def test_methods_are_listed_without_what_they_run_on(arguments):
    """The card of a method can be read without torch, so that listing methods, or misspelling one, takes no time."""
    assert imported_by(arguments, HEAVY) == []


def imported_by(arguments, libraries):
    """Those of the libraries that a command imports."""
    code = (
        "import sys; from evalkit.cli import main\n"
        f"try: main({arguments!r}, standalone_mode=False)\n"
        f"finally: print([name for name in sys.modules if name in {libraries!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return ast.literal_eval(done.stdout.splitlines()[-1])


def test_the_import_test_can_fail():
    """The check above sees a heavy library when there is one."""
    code = f"import sys, numpy; print([name for name in sys.modules if name in {('numpy',)!r}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['numpy']"


def test_functions_and_files_stay_small():
    """No file passes 400 lines and no function 40, its docstring not counted."""
    too_long = []
    for path in [*FILES, *ADAPTER_FILES]:
        text = path.read_text()
        if text.count("\n") > 400:
            too_long.append(f"{path} has {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = node.body[0].end_lineno - node.body[0].lineno + 1 if ast.get_docstring(node) else 0
                length = node.end_lineno - node.lineno + 1 - docstring
                if length > 40:
                    too_long.append(f"{path}:{node.lineno} {node.name} has {length} lines")
    assert too_long == []


def test_what_others_wrote_is_read_within_bounds():
    """JSON, YAML and CSV have one reader each; files of the leaderboard are opened in one place."""
    own = {  # what these parse, evalkit wrote itself, or a server answered
        "evalkit/cli/list.py",
        "evalkit/encoders/cache.py",
        "evalkit/benchmarks/tedbench/records.py",
        "evalkit/benchmarks/shapes/recogniser.py",
        "evalkit/storage/endpoint.py",
    }
    readers = {f"evalkit/storage/{name}.py" for name in ("delimited", "documents", "plain_yaml")}
    parsers = {"json.load", "json.loads", "yaml.load", "yaml.safe_load", "csv.reader", "csv.DictReader"}
    assert {str(path) for path in [*FILES, *ADAPTER_FILES] if calls_in(path) & parsers} - own == readers
    openers = {"open", "read_text", "read_bytes"}
    of_board = [path for path in FILES if path.is_relative_to(PACKAGE / "leaderboard")]
    # What is served is the site that was built.
    assert {str(path) for path in of_board for name in calls_in(path) if name.split(".")[-1] in openers} == {
        "evalkit/leaderboard/site/serve.py",
    }


def calls_in(path: Path) -> set[str]:
    """Everything that a file calls, as it is written there."""
    return {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
