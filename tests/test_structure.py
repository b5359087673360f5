"""The layers hold: imports point down and never in a circle; the start needs no heavy library."""

import ast
import subprocess
import sys
from collections.abc import Mapping, Set
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import mnistctl

PACKAGE = Path(mnistctl.__file__).parent
ROOT = "mnistctl"
# From top to bottom. A module imports from its own part and from lower levels; those of the
# lowest level also from each other.
LEVELS = (
    ("__main__",),
    ("cli", "api"),
    ("serve", "export", "visualize", "engine.training"),
    ("engine.inference",),
    ("store", "data"),
    ("imaging", "models", "draw"),
    ("recipes", "device", "rates", "distributed", "events", "errors", "files", "text"),
)
LOWEST = len(LEVELS) - 1
HEAVY = ("torch", "torchvision", "matplotlib", "numpy", "skimage", "scipy")


def read_package() -> dict[str, str]:
    """Name -> source of every module; `mnistctl.store` is that of its `__init__`."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        found[".".join((ROOT, *parts))] = path.read_text()
    return found


def imported_modules(module: str, sources: Mapping[str, str]) -> set[str]:
    """Modules of the package that `module` imports, at its top or within a function."""
    names = set()
    for node in ast.walk(ast.parse(sources[module])):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *filter(None, [base])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                names.add(inner if inner in sources else base)
    return {name for name in names if name.split(".")[0] == ROOT}


def callers(*names: str) -> set[str]:
    """Modules that call a function or method of one of these names."""
    return {
        module.removeprefix(f"{ROOT}.")
        for module, source in read_package().items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) in names
    }


def part_and_level(module: str) -> tuple[str, int]:
    """`mnistctl.store.resolve` -> (`store`, its level); the package itself is of the lowest."""
    inner = module.removeprefix(ROOT).removeprefix(".")
    for level, parts in enumerate(LEVELS):
        for part in parts:
            if inner == part or inner.startswith(f"{part}."):
                return part, level
    assert inner in ("", "engine"), f"{module} is of no level: give it one in LEVELS"
    return inner, LOWEST


def upward_imports(sources: Mapping[str, str]) -> set[tuple[str, str]]:
    """(importer, imported) of all imports that point up, or sideways to another part."""
    wrong = set()
    for module in sources.keys() - {ROOT}:  # the package may offer what its modules make
        own, level = part_and_level(module)
        for name in imported_modules(module, sources):
            other, lower = part_and_level(name)
            if own != other and lower <= level and not level == lower == LOWEST:
                wrong.add((module, name))
    return wrong


def circle(sources: Mapping[str, str]) -> list[str]:
    """The modules of one circle of imports; empty where there is none."""
    graph: dict[str, Set[str]] = {
        module: imported_modules(module, sources) - {module, ROOT}
        for module in sources.keys() - {ROOT}
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_imports_point_down() -> None:
    assert upward_imports(read_package()) == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(read_package()) == []


def test_the_package_is_read_whole() -> None:
    sources = read_package()
    assert {"mnistctl", "mnistctl.store", "mnistctl.store.runs", "mnistctl.cli.app"} < set(sources)
    assert "mnistctl.store.rotation" in imported_modules("mnistctl.store.resolve", sources)
    assert "mnistctl.engine.training.run" in imported_modules("mnistctl.cli.train", sources)


@pytest.mark.parametrize(
    ("module", "statement", "imported"),
    [
        ("store.new", "from mnistctl.engine.training.loop import fit", "engine.training.loop"),
        ("data.new", "import mnistctl.store.runs", "store.runs"),
        ("errors", "from mnistctl import recipes, store", "store"),
        (
            "engine.inference.new",
            "from mnistctl.engine.training import loop",
            "engine.training.loop",
        ),
        ("visualize.new", "from mnistctl.engine.training.run import train", "engine.training.run"),
        ("store.new", "def f():\n    from mnistctl.data import mnist", "data.mnist"),
        ("imaging.new", "from ..models import registry", "models.registry"),
        ("draw.new", "import os, mnistctl.cli.app", "cli.app"),
    ],
)
def test_an_import_that_points_up_or_aside_is_found(
    module: str, statement: str, imported: str
) -> None:
    sources = read_package() | {f"{ROOT}.{module}": statement}
    assert upward_imports(sources) == {(f"{ROOT}.{module}", f"{ROOT}.{imported}")}


def test_a_module_without_a_level_is_found() -> None:
    with pytest.raises(AssertionError, match="helpers is of no level"):
        upward_imports(read_package() | {f"{ROOT}.helpers": ""})


def test_circles_are_found() -> None:
    """Also those closed within a function, and by a relative import."""
    a, b, c = (f"{ROOT}.store.{name}" for name in "abc")
    straight = {
        a: "from mnistctl.store import b",
        b: "def f():\n    import mnistctl.store.c\n",
        c: "import os",
        f"{ROOT}.store": "",
    }
    assert circle(straight) == []
    for closing in ("def g():\n    from mnistctl.store.a import thing", "from . import a"):
        assert set(circle(straight | {c: closing})) == {a, b, c}


@pytest.mark.parametrize(
    "statement",
    [
        "import mnistctl",
        "import mnistctl.recipes, mnistctl.device, mnistctl.data.registry",
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


@pytest.mark.parametrize(
    "words", [["runs"], ["info", "recipes"], ["help", "recipes"]], ids=" ".join
)
def test_a_listing_needs_no_heavy_import(words: list[str]) -> None:
    code = (
        "import sys; from mnistctl.cli.app import main\n"
        f"sys.argv = {['mnistctl', *words]}\n"
        "try:\n    main()\nexcept SystemExit as error:\n    assert not error.code\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_nothing_but_the_command_line_prints() -> None:
    assert {part_and_level(f"{ROOT}.{module}")[0] for module in callers("print")} == {"cli"}


def test_a_network_is_loaded_and_its_answers_are_scaled_in_one_place() -> None:
    """Training aside."""
    loading = callers("load_state_dict", "choose_hardware")
    assert {own for own in loading if not own.startswith("engine.training")} == {
        "engine.inference.loading"
    }
    assert callers("softmax") == {"engine.inference.predictor", "engine.inference.calibration"}
