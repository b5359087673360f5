"""From what a person types to the images meant: files, directories, patterns, standard input."""

import glob
from pathlib import Path

from mnistctl.errors import ImageError

STDIN = "-"


def expand(argument: str) -> list[str]:
    """The images that `argument` means, in a fixed order.

    A directory gives its files by name, hidden ones left out; a pattern that no shell has
    expanded gives what it matches; anything else gives itself, whether it is there or not.
    Raises ImageError when a directory is empty or can't be read, or a pattern matches nothing.
    """
    path = Path(argument)
    if argument == STDIN or path.is_file():
        return [argument]
    if path.is_dir():
        try:
            entries = sorted(path.iterdir())
        except OSError as error:
            raise ImageError(f"can't read the directory {argument}: {error.strerror}") from error
        files = [str(entry) for entry in entries if not entry.name.startswith(".")]
        files = [name for name in files if not Path(name).is_dir()]
        if not files:
            raise ImageError(f"{argument} is a directory without files")
        return files
    if glob.has_magic(argument):
        matches = sorted(glob.glob(argument, recursive=True))
        if not matches:
            raise ImageError(f"no file matches {argument}")
        return matches
    return [argument]
