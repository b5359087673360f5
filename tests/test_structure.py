"""The layers hold: imports point down, and the command line starts without the heavy libraries."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mnistctl

PACKAGE = Path(mnistctl.__file__).parent
# A module may import from its own part and from parts of a smaller number.
LAYERS = {
    "cli": 6,
    "visualize": 5,
    "serve": 5,
    "engine": 4,
    "hardware": 3,
    "store": 3,
    "data": 3,
    "imaging": 2,
    "models": 2,
    "draw": 2,
    "distributed": 1,
    "recipes": 1,
    "device": 1,
    "events": 1,
    "files": 0,
    "errors": 0,
    "": 0,
}
HEAVY = ("torch", "torchvision", "matplotlib", "numpy", "skimage", "scipy")


def part_of(module: str) -> str:
    """`mnistctl.store.resolve` -> `store`; the package itself -> the empty string."""
    return module.removeprefix("mnistctl").strip(".").split(".")[0]


def imported_modules(source: str) -> set[str]:
    tree = ast.parse(source)
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module}
            if node.module == "mnistctl":
                names |= {f"mnistctl.{a.name}" for a in node.names if a.name != "__version__"}
    return {name for name in names if name.split(".")[0] == "mnistctl"}


def upward_imports(module_part: str, source: str) -> set[str]:
    return {
        name
        for name in imported_modules(source)
        if part_of(name) != module_part and LAYERS[part_of(name)] >= LAYERS[module_part]
    } - {"mnistctl"}


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_imports_point_down(path: Path) -> None:
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if part in ("__main__", "__init__"):
        pytest.skip("the entry point may import the command line")
    assert upward_imports(part, path.read_text()) == set()


def test_an_upward_import_would_be_found() -> None:
    assert upward_imports("store", "from mnistctl.engine.training.loop import fit") == {
        "mnistctl.engine.training.loop"
    }
    assert upward_imports("data", "import mnistctl.store.runs") == {"mnistctl.store.runs"}
    assert upward_imports("errors", "from mnistctl import recipes") == {"mnistctl.recipes"}


@pytest.mark.parametrize(
    "statement",
    [
        "import mnistctl",
        "import mnistctl.recipes, mnistctl.device, mnistctl.data.names",
        "from mnistctl.cli.app import main; main()",
    ],
)
def test_no_heavy_import_at_start(statement: str) -> None:
    code = (
        f"import sys; sys.argv = ['mnistctl', '--help']\ntry:\n    {statement}\n"
        f"except SystemExit as error:\n    assert not error.code\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_files_stay_readable() -> None:
    lengths = {p.name: len(p.read_text().splitlines()) for p in PACKAGE.rglob("*.py")}
    assert {name: n for name, n in lengths.items() if n > 260} == {}
