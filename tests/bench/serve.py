"""Load on `mnistctl serve` beside a plain FastAPI handler, and how fast the page answers."""

import asyncio
import io
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from mnistctl.data.registry import get_dataset
from mnistctl.events import Reporter
from tests.bench.figures import append, machine
from tests.drawings import examples

KINDS = ("mnistctl", "plain", "plain, 1 thread")
CLIENTS = (1, 8, 64)
GROWTH_REQUESTS = 10_000


def measure(data_dir: Path, requests: int, runs: int, note: str) -> None:
    """Every count of clients and size of picture, ours and plain in turn; to serve.jsonl."""
    digit = get_dataset("mnist").load("test", data_dir, Reporter()).images[0].numpy()
    pictures = {"28x28 PNG": encoded(digit, "PNG"), "3 MB photograph": photograph(digit)}
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(server(kind)) for kind in KINDS}
        for name, picture in pictures.items():
            for clients in CLIENTS:
                number = requests if name.startswith("28") else max(requests // 10, clients)
                for run in range(runs):
                    for kind, (url, process) in servers.items():
                        figures = asyncio.run(load(url, process, picture, clients, number))
                        row = {"server": kind, "picture": name, "clients": clients, "run": run}
                        record(row | figures, note)
        url, process = servers["mnistctl"]
        before = resident(process)
        figures = asyncio.run(load(url, process, pictures["28x28 PNG"], 8, GROWTH_REQUESTS))
        growth = {"megabytes_before": before, "megabytes_after": resident(process)}
        record({"server": "mnistctl", "part": "memory"} | figures | growth, note)
        record({"server": "mnistctl", "part": "page"} | page_latency(url), note)


def record(row: dict[str, Any], note: str) -> None:
    """Print a row and keep it with the machine's kind."""
    print(json.dumps(row))
    append("serve", row | {"note": note, "load_average": os.getloadavg()[0]} | machine())


def encoded(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    """The bytes of an image file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def photograph(digit: np.ndarray) -> bytes:
    """A noisy JPEG of about 3 MB, 12 megapixels, with the digit dark on grey paper."""
    ink = Image.fromarray(digit).resize((2000, 2000), Image.Resampling.BICUBIC)
    paper = np.full((3000, 4000), 190.0, np.float32)
    paper[500:2500, 1000:3000] -= 0.6 * np.asarray(ink, np.float32)
    noise = np.random.default_rng(0).normal(0, 6, paper.shape)
    grey = np.clip(paper + noise, 0, 255).astype(np.uint8)
    return encoded(np.stack([grey] * 3, 2), "JPEG", quality=90)


async def load(
    url: str, process: int, picture: bytes, clients: int, requests: int
) -> dict[str, Any]:
    """Milliseconds and requests a second of `clients` that each ask again when answered.

    `cpu_ms` is the server's processor time for each request, which a busy machine changes least.
    """
    left = iter(range(requests))
    seconds: list[float] = []
    failed = 0
    address = urlsplit(url)
    message = post(address.netloc, address.path, picture)

    async def ask() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for _ in left:
            start = time.perf_counter()
            writer.write(message)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
            failed += b" 200 " not in head.partition(b"\r\n")[0]
            seconds.append(time.perf_counter() - start)
        writer.close()

    start, cpu = time.perf_counter(), cpu_seconds(process)
    await asyncio.gather(*(ask() for _ in range(clients)))
    total = time.perf_counter() - start
    return {
        "requests": len(seconds),
        "failed": failed,
        "per_second": len(seconds) / total,
        "cpu_ms": 1000 * (cpu_seconds(process) - cpu) / len(seconds),
        "median_ms": 1000 * statistics.median(seconds),
        "p99_ms": 1000 * float(np.quantile(seconds, 0.99)),
    }


@contextmanager
def server(kind: str) -> Iterator[tuple[str, int]]:
    """The address of a server's prediction and its process.

    A plain one takes torch's own number of threads, or one, as ours does.
    """
    with tempfile.TemporaryDirectory() as store:
        ours = ["mnistctl", "serve", "--port", "0", "--json", "--store", store, "-c", "shipped"]
        words = ours if kind == "mnistctl" else ["tests.bench.plain_server"]
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | ({"OMP_NUM_THREADS": "1"} if kind == "plain, 1 thread" else {}),
        )
        try:
            assert process.stdout
            found = next(filter(None, (re.search(r"http://[\d.:]+", s) for s in process.stdout)))
            yield f"{found[0]}/api/predict", process.pid
        finally:
            process.kill()
            process.wait()


def post(host: str, path: str, picture: bytes) -> bytes:
    """A request as it goes over the wire; a client library would need more time than the server."""
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
    body = part + picture + b"\r\n--x--\r\n"
    kind = "multipart/form-data; boundary=x"
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def cpu_seconds(process: int) -> float:
    """Processor time of all threads of a process so far (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(process: int) -> float:
    """Megabytes of memory that a process holds (Linux)."""
    text = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", text)
    assert found
    return int(found[1]) / 1024


def page_latency(url: str) -> dict[str, Any]:
    """Milliseconds from the last move of a stroke to its answer on the page, in Chromium."""
    from playwright.sync_api import sync_playwright

    seconds = []
    with sync_playwright() as tools:
        browser = tools.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url.removesuffix("api/predict"))
        page.evaluate(LAST_MOVE_TO_ANSWER)
        box = page.locator("#pad").bounding_box()
        assert box
        for strokes in examples() * 3:
            for stroke in strokes:
                for number, (x, y) in enumerate(stroke):
                    place = box["x"] + x * box["width"], box["y"] + y * box["height"]
                    page.mouse.move(*place, steps=3)
                    if number == 0:
                        page.mouse.down()
                page.mouse.up()
            page.wait_for_timeout(600)
            seconds.append(page.evaluate("answered - moved"))
            page.click("#clear")
        browser.close()
    return {
        "drawings": len(seconds),
        "median_ms": statistics.median(seconds),
        "max_ms": max(seconds),
    }


# The last change of the bars before the drawing rests belongs to the last move.
LAST_MOVE_TO_ANSWER = """() => {
    window.moved = window.answered = 0;
    document.querySelector("#pad").addEventListener("pointermove", (event) => {
        if (event.buttons) moved = performance.now();
    });
    new MutationObserver(() => { answered = performance.now(); }).observe(
        document.querySelector("#probabilities"), {subtree: true, childList: true});
}"""
