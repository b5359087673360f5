"""The README's images, made from real runs: `python -m tests.pictures` (needs pyte and MNIST).

Terminals are recorded as SVG: the program runs in a pseudo-terminal, pyte keeps its screen, rich
draws that. Figures are what `mnistctl visualize --output` writes, reduced for a page.
"""

import argparse
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyte
from PIL import Image, ImageDraw, ImageFilter
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / ".github" / "images"
WIDTH, HEIGHT = 100, 32
FIGURE_WIDTH = 900
COMMAND = [sys.executable, "-m", "mnistctl"]
FIGURES = {
    "hero": ["prediction", "--image", "photo.jpg", "-c", "shipped"],
    "gallery-samples": ["samples", "--augmented", "standard", "--count", "6"],
    "gallery-confusion": ["confusion"],
    "gallery-errors": ["errors", "--count", "16"],
    "gallery-saliency": ["saliency", "--index", "8"],
    "gallery-activations": ["activations", "--index", "8"],
    "gallery-filters": ["filters"],
    "gallery-embedding": ["embedding"],
    "gallery-calibration": ["calibration"],
    "gallery-curves": ["curves", "-c", "standard-1", "-c", "cnn-small-1"],
}


class Terminal:
    """A program in a pseudo-terminal, and the screen it makes."""

    def __init__(self, words: list[str], directory: Path) -> None:
        self.screen = pyte.Screen(WIDTH, HEIGHT)
        self._stream = pyte.ByteStream(self.screen)
        self._descriptor, inner = pty.openpty()
        size = struct.pack("HHHH", HEIGHT, WIDTH, 0, 0)
        import fcntl
        import termios

        fcntl.ioctl(inner, termios.TIOCSWINSZ, size)
        environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        environment |= {"PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [*COMMAND, *words], cwd=directory, stdin=inner, stdout=inner, stderr=inner,
            env=environment,
        )  # fmt: skip
        os.close(inner)

    def watch(self, until: str | None = None, seconds: float = 900) -> None:
        """Follow the program to its end, or until `until` stands on the screen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self._descriptor], [], [], 0.1)[0]:
                try:
                    self._stream.feed(os.read(self._descriptor, 1 << 16))
                except OSError:  # the program has closed its side
                    break
            if until and any(until in line for line in self.screen.display):
                break

    def svg(self, title: str, path: Path) -> None:
        """Draw the screen, less its empty last lines."""
        lines = [self._line(number) for number in range(HEIGHT)]
        while lines and not lines[-1].plain.strip():
            lines.pop()
        console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"))  # noqa: SIM115
        console.print(Text("\n").join(lines), no_wrap=True, crop=True)
        console.save_svg(str(path), title=title, theme=MONOKAI)

    def _line(self, number: int) -> Text:
        text, row = Text(), self.screen.buffer[number]
        for column in range(WIDTH):
            cell = row[column]
            style = Style(
                color=_colour(cell.fg), bgcolor=_colour(cell.bg), bold=cell.bold,
                reverse=cell.reverse,
            )  # fmt: skip
            text.append(cell.data, style)
        text.rstrip()
        return text

    def close(self) -> None:
        """End the program, if it still runs."""
        self._process.terminate()
        self._process.wait()
        os.close(self._descriptor)


def _colour(name: str) -> str | None:
    if name == "default":
        return None
    named = {"brown": "yellow", "brightbrown": "bright_yellow"}
    if len(name) == 6 and all(letter in "0123456789abcdef" for letter in name):
        return f"#{name}"
    return named.get(name, name.replace("bright", "bright_"))


def terminal(name: str, words: list[str], directory: Path, until: str | None = None) -> None:
    """Write the image `name` of the terminal after (or in the middle of) a command."""
    own = Terminal(words, directory)
    own.watch(until)
    own.svg(f"mnistctl {' '.join(words)}", IMAGES / f"{name}.svg")
    own.close()


def figure(name: str, words: list[str], directory: Path) -> None:
    """Write the image `name` of a kind of `visualize`, no wider than a page shows it."""
    path = directory / f"{name}.png"
    run(["visualize", *words, "--output", str(path), "--quiet"], directory)
    image = Image.open(path).convert("RGB")
    scale = min(1.0, FIGURE_WIDTH / image.width)
    size = (round(image.width * scale), round(image.height * scale))
    reduced = image.resize(size, Image.Resampling.LANCZOS)
    colours = reduced.quantize(128, dither=Image.Dither.NONE)
    colours.save(IMAGES / f"{name}.png", optimize=True)


def draw_photo(path: Path) -> None:
    """A 4 in blue pen on squared paper under a lamp, as a telephone would take it."""
    rng = np.random.default_rng(4)
    side, fine = 640, 2
    page = Image.new("RGB", (side * fine, side * fine), (236, 228, 212))
    draw = ImageDraw.Draw(page)
    for line in range(30, side, 64):
        for ends in ((line, 0, line, side), (0, line, side, line)):
            draw.line([fine * end for end in ends], fill=(206, 206, 204), width=3)
    strokes = (
        [
            (292, 150),
            (268, 210),
            (236, 276),
            (214, 330),
            (206, 352),
            (262, 356),
            (330, 350),
            (420, 340),
        ],
        [(362, 204), (352, 280), (344, 360), (338, 430), (330, 506)],
    )
    for stroke in strokes:
        points = [tuple(fine * (place + rng.normal(0, 1.5)) for place in point) for point in stroke]
        draw.line(points, fill=(38, 48, 104), width=17 * fine, joint="curve")
        for x, y in points:
            draw.circle((x, y), 8 * fine, fill=(38, 48, 104))
    turned = page.rotate(5, Image.Resampling.BICUBIC, fillcolor=(236, 228, 212))
    soft = turned.resize((side, side), Image.Resampling.LANCZOS)
    pixels = np.asarray(soft.filter(ImageFilter.GaussianBlur(1.2)), float)
    down, right = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    light = 1.02 - 0.28 * ((down - 0.5) ** 2 + (right + 0.4) ** 2) / 2
    seen = pixels * light[..., None] + rng.normal(0, 5, pixels.shape)
    Image.fromarray(seen.clip(0, 255).astype(np.uint8)).save(path, quality=88)


def run(words: list[str], directory: Path) -> None:
    """Run a command to its end. Raises CalledProcessError."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([*COMMAND, *words], cwd=directory, check=True, env=environment)


def main() -> None:
    """Train what the images need (about two minutes), then make all of them, or those named."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--mnist", default=str(ROOT.parent / "shared" / "mnist"))
    parser.add_argument("--keep", help="Directory that keeps the runs, to make images again.")
    options = parser.parse_args()
    IMAGES.mkdir(parents=True, exist_ok=True)
    wanted = set(options.names)

    def asked(name: str) -> bool:
        return not wanted or name in wanted

    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(options.keep or temporary)
        directory.mkdir(exist_ok=True)
        draw_photo(directory / "photo.jpg")
        if not (directory / "runs").exists():
            run(["download", "--from", options.mnist, "--quiet"], directory)
            validated = ["--validation", "5000", "--test-every-epoch", "--quiet"]
            run(["train", "--recipe", "cnn-small", *validated], directory)
            run(["train", *validated], directory)
        for name, words in FIGURES.items():
            if asked(name):
                figure(name, words, directory)
        if asked("train"):
            terminal("train", ["train", "--name", "shown"], directory, "Epoch 2/6")
            shutil.rmtree(directory / "runs" / "shown", ignore_errors=True)
        if asked("evaluate"):
            terminal("evaluate", ["evaluate", "standard-1"], directory)
        if asked("predict"):
            terminal("predict", ["predict", "photo.jpg", "-c", "shipped"], directory)


if __name__ == "__main__":
    main()
