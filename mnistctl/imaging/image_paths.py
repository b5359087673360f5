"""From what a person types to the images meant: files, directories, patterns, standard input."""

import glob
import os
from pathlib import Path

from PIL import Image

from mnistctl.errors import ImageError

STDIN = "-"


def expand(argument: str) -> list[str]:
    """The images that `argument` means, in a fixed order.

    A directory gives its files with an image's ending, by name; a pattern that no shell has
    expanded gives what it matches; anything else gives itself, whether it is there or not.
    Raises ImageError when a directory has none or can't be read, or a pattern matches nothing.
    """
    path = Path(argument)
    if argument == STDIN or os.path.isfile(argument):
        return [argument]
    if os.path.isdir(argument):
        try:
            entries = sorted(path.iterdir())
        except OSError as error:
            raise ImageError(f"can't read the directory {argument}: {error.strerror}") from error
        endings = Image.registered_extensions()
        files = [str(e) for e in entries if e.suffix.lower() in endings and not e.is_dir()]
        if not files:
            raise ImageError(f"{argument} is a directory without image files")
        return files
    if glob.has_magic(argument):
        matches = sorted(glob.glob(argument, recursive=True))
        if not matches:
            raise ImageError(f"no file matches {argument}")
        return matches
    return [argument]
