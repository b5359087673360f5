"""What a kind of visualization is, and which there are: one file of this package for each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Protocol, TypeVar

import mnistctl.visualize
from mnistctl.draw.types import Console, Figure, RenderableType

DEFAULT_KIND = "prediction"


class View(Protocol):
    """What a kind found, and how that is shown."""

    @property
    def title(self) -> str:
        """The answer in one line, also above the figure."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""

    def figure(self) -> Figure:
        """For a file or a window."""

    def panel(self, console: Console) -> RenderableType:
        """For a terminal or a pipe, no wider than `console`."""


class Frame(View, Protocol):
    """One of several states of a view that grows."""

    @property
    def news(self) -> list[str]:
        """What is new since the frame before, in lines, for where nothing can be redrawn."""


F = TypeVar("F", bound=Callable[..., View | Iterator[Frame]])


@dataclass(frozen=True)
class Kind:
    """A kind's name, the function that finds what it shows, and examples for its help.

    The function's docstring is the help. Its parameters are the options: `Annotated` ones are the
    kind's own, those of a `Source` stand for options that several kinds share. It returns a `View`,
    or an iterator of frames, of which the last is the result.
    """

    name: str
    function: Callable[..., View | Iterator[Frame]]
    examples: tuple[str, ...]
    """What is typed after the name."""


KINDS: dict[str, Kind] = {}


def kind(name: str, *examples: str) -> Callable[[F], F]:
    """Register the decorated function as `mnistctl visualize NAME`."""

    def register(function: F) -> F:
        KINDS[name] = Kind(name, function, examples)
        return function

    return register


def all_kinds() -> dict[str, Kind]:
    """Every kind by its name, the default first. Imports their modules, none of them heavy."""
    for module in iter_modules(mnistctl.visualize.__path__):
        import_module(f"mnistctl.visualize.{module.name}")
    return dict(sorted(KINDS.items(), key=lambda item: (item[0] != DEFAULT_KIND, item[0])))
