"""The faults: one TOML file per area, and how one is put into a copy of the program."""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LISTS = Path(__file__).parent
ROOT = LISTS.parents[1]
SECONDS = 240.0
"""For the tests of a fault; many take two."""


class NotApplicable(Exception):
    """The program has changed: the fault's text is not there, or there several times."""


@dataclass(frozen=True)
class Fault:
    """A slip that an engineer could make. `file` is a path within `mnistctl`."""

    area: str
    file: str
    text: str
    """Stands once in the file."""
    replacement: str
    why: str
    """What a user would suffer."""
    tests: tuple[str, ...]
    """Paths or names of tests within `tests`, run one after the other until one fails."""
    seconds: float = SECONDS
    """Time limit; a fault that passes it is noticed, too."""
    explained: str = ""
    """Why no test need notice it."""

    def applied(self, source: str) -> str:
        """The file's `source` with the fault. Raises NotApplicable."""
        count = source.count(self.text)
        if count != 1:
            raise NotApplicable(f"{self.file}: its text is there {count} times: {self.text!r}")
        return source.replace(self.text, self.replacement)


def all_faults(root: Path = ROOT) -> list[Fault]:
    """Every fault in the lists, by area."""
    return [fault for path in sorted(LISTS.glob("*.toml")) for fault in _read(path, root)]


def chosen(faults: Sequence[Fault], words: Sequence[str]) -> list[Fault]:
    """Those of the areas, directories or files that `words` name; without any word all."""
    paths = [word.removeprefix("mnistctl/").rstrip("/") for word in words]
    return [
        fault
        for fault in faults
        if not paths
        or any(
            path == fault.area or fault.file == path or fault.file.startswith(f"{path}/")
            for path in paths
        )
    ]


def _read(path: Path, root: Path) -> Iterator[Fault]:
    for entry in tomllib.loads(path.read_text(encoding="utf-8"))["fault"]:
        tests = tuple(entry.pop("tests", ())) or mirror(entry["file"], root)
        yield Fault(area=path.stem, tests=tests, **entry)


def mirror(file: str, root: Path) -> tuple[str, ...]:
    """The tests of a module: the file under its name, where there is one, else its directory."""
    path = Path(file)
    own = path.parent / f"test_{path.name}"
    return (str(own if (root / "tests" / own).is_file() else path.parent),)
