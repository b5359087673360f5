"""Train, evaluate and explain MNIST classifiers, from the command line and from Python.

>>> import mnistctl
>>> mnistctl.load("shipped").predict("photo.png").digit
7

Nothing is imported, torch least of all, before one of the names below is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnistctl.api import Model, Prediction, load, train

__version__ = "0.2.0"
__all__ = ["Model", "Prediction", "load", "train"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'mnistctl' has no attribute '{name}'")
    from mnistctl import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
