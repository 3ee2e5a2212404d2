"""The layout of the package: who may import whom, what must stay light, and how large things may grow."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path("evalkit")
ADAPTERS = Path("adapters/evalkit_adapters")
LAYERS = {
    "errors": 0,
    "registry": 1,
    "data": 1,
    "stats": 1,
    "encoders": 2,
    "engine": 2,
    "metrics": 2,
    "results": 2,
    "method": 2,
    "protocols": 2,
    "scoring": 3,
    "compare": 3,
    "editing": 3,
    "benchmarks": 3,
    "validity": 4,
    "report": 4,
    "leaderboard": 4,
    "cli": 5,
}
FORBIDDEN = {("metrics", "encoders"), ("encoders", "metrics")}
STATS_MAY_IMPORT = {"errors", "stats"}
HEAVY = ("torch", "diffusers", "transformers", "open_clip", "datasets", "scipy.stats", "matplotlib", "pandas")
ADAPTERS_MAY_IMPORT = {"method", "data", "errors"}
FILES = sorted(PACKAGE.rglob("*.py"))
ADAPTER_FILES = sorted(ADAPTERS.rglob("*.py"))


def imports_of(path: Path) -> Iterator[str]:
    """The part of evalkit below which each import in a file lies."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module] if node.module != "evalkit" else [f"evalkit.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("evalkit."))


def part_of(path: Path) -> str:
    """The part of evalkit to which a file belongs."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_imports_only_lower_layers_and_its_own_folder(path):
    """Dependencies point downwards, so that every part can be understood without those above it."""
    part = part_of(path)
    if part in ("__init__", "__main__"):
        return
    for imported in imports_of(path):
        if imported == part or imported not in LAYERS:
            assert imported == part or imported.startswith("__"), f"{path} imports unknown part {imported}"
            continue
        assert LAYERS[imported] < LAYERS[part], f"{path} (layer {LAYERS[part]}) imports {imported}"
        assert (part, imported) not in FORBIDDEN, f"{path} imports {imported}"
        assert part != "stats" or imported in STATS_MAY_IMPORT, f"{path} imports {imported}"


def test_every_part_has_a_layer():
    """A new folder or file at the top of the package must be given its place here."""
    parts = {part_of(path) for path in FILES} - {"__init__", "__main__"}
    assert parts == set(LAYERS)


@pytest.mark.parametrize("path", ADAPTER_FILES, ids=str)
def test_an_adapter_knows_of_evalkit_only_what_a_stranger_may(path):
    """Adapters build on the contract of methods, on items and images, and on the errors; on nothing else."""
    assert set(imports_of(path)) <= ADAPTERS_MAY_IMPORT


@pytest.mark.parametrize("path", FILES, ids=str)
def test_evalkit_never_imports_its_adapters(path):
    """They are found through their entry points, as anybody's are."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not any(name.split(".")[0] == "evalkit_adapters" for name in names), f"{path}:{node.lineno}"


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


@pytest.mark.parametrize("path", [*FILES, *ADAPTER_FILES], ids=str)
def test_functions_and_files_stay_small(path):
    """No file passes 400 lines and no function 60, its docstring not counted."""
    text = path.read_text()
    assert text.count("\n") <= 400, f"{path} is too long"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1 if ast.get_docstring(node) else 0 :]
            length = (node.end_lineno or 0) - first[0].lineno + 1 if first else 0
            assert length <= 60, f"{path}:{node.lineno} {node.name} has {length} lines"
