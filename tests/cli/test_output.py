"""Names and texts from elsewhere reach a terminal without effect, and JSON exactly."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.table import Table
from rich.text import Text
from runs_made import CONFIG, RESULT, finish, save_run, saved
from typer.testing import CliRunner

from mnistctl.cli import output as module
from mnistctl.cli.app import app
from mnistctl.cli.output import Output
from mnistctl.cli.progress import BarReporter, LineReporter
from mnistctl.cli.streams import console_for, show_line
from mnistctl.errors import MnistctlError
from mnistctl.store import checkpoint, runs

EVIL = "\x1b]0;owned\x07\x1b[2J[bold red]x[/]:skull:\x9b31m\nTest: accuracy 100.00 %\r\u202e"
SHOWN = r"\x1b]0;owned\x07\x1b[2J[bold red]x[/]:skull:\x9b31m\nTest: accuracy 100.00 %\r\u202e"


def run(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def assert_harmless(text: str) -> None:
    """No control characters but ends of lines, and none of them from the name."""
    assert text.replace("\n", "").isprintable(), ascii(text)
    assert "\nTest: accuracy" not in text


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def without_own_codes(text: str) -> str:
    """What a terminal got, less the sequences that rich itself writes."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text)


def test_lines() -> None:
    stream = io.StringIO()
    show_line(EVIL, stream)
    assert stream.getvalue() == SHOWN + "\n"


def test_tables_titles_and_panels_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    console = console_for(terminal)
    console.width = 200
    table = Table(EVIL)
    table.add_row(EVIL)
    table.add_row(Text(EVIL.replace("\n", "")))
    for shown in (table, EVIL, Text(EVIL.replace("\n", ""))):
        console.print(shown)
    drawn = without_own_codes(terminal.getvalue())
    assert_harmless(drawn)
    assert drawn.count(r"\x1b[2J[bold red]x[/]:skull:\x9b31m") == 5


@pytest.mark.parametrize("kind", ["bars", "lines"])
def test_reporters(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    console = console_for(terminal)
    console.width = 200
    reporter = BarReporter(console) if kind == "bars" else LineReporter()
    reporter.say(EVIL)
    reporter.warn(EVIL)
    reporter.begin(EVIL, 10, EVIL)
    reporter.advance(5)
    reporter.end()
    shown = terminal.getvalue() if kind == "bars" else capsys.readouterr().err
    assert_harmless(without_own_codes(shown))
    assert shown.count(SHOWN) >= 2


def hostile_store(store: Path) -> None:
    """A run whose every text is hostile, beside a good one; both finished."""
    for name in ("good", EVIL.replace("/", "-")):
        store.mkdir(exist_ok=True)
        finish(save_run(store / name))
    config = CONFIG.to_dict() | {"dataset": EVIL, "command": EVIL}
    config["recipe"] |= {"name": EVIL}
    for directory in store.iterdir():
        if directory.name != "good":
            runs.write_json(directory, runs.CONFIG_NAME, config)


def test_a_listing_of_hostile_runs() -> None:
    hostile_store(Path("runs"))
    result = run("runs")
    assert result.exit_code == 0, result.stderr
    assert_harmless(result.stdout)
    assert len(result.stdout.splitlines()) >= 3
    rows = json.loads(run("runs", "--json").stdout)["runs"]
    assert {row["run"] for row in rows} == {"good", EVIL.replace("/", "-")}


def test_a_listing_verifies_checkpoints_without_torch() -> None:
    hostile_store(Path("runs"))
    (Path("runs") / "good" / "last.pt").write_bytes(b"PK\x03\x04")
    code = (
        "import sys; from mnistctl.cli.app import app\n"
        "try:\n    app(['runs', '--json'])\n"
        "except SystemExit:\n    sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    good = next(row for row in json.loads(done.stdout)["runs"] if row["run"] == "good")
    assert (good["state"], good["epochs_done"]) == ("damaged", 0)


def test_a_run_from_the_future_is_new() -> None:
    Path("runs").mkdir()
    save_run(Path("runs") / "x")
    for path in (Path("runs") / "x").iterdir():
        os.utime(path, (4e9, 4e9))
    assert json.loads(run("runs", "--json").stdout)["runs"][0]["run"] == "x"


@pytest.mark.parametrize("made", ["key of nested tuples", "key of 290,000 tuples"])
def test_a_hostile_checkpoint_stops_no_listing(made: str) -> None:
    from store.test_checkpoint import HOSTILE

    Path("runs").mkdir()
    finish(save_run(Path("runs") / "good"))
    evil = Path("runs") / "evil"
    evil.mkdir()
    runs.write_json(evil, runs.CONFIG_NAME, CONFIG.to_dict())
    (evil / "last.pt").write_bytes(HOSTILE[made])
    runs.write_json(evil, runs.RESULT_NAME, RESULT.to_dict())
    rows = json.loads(run("runs", "--json").stdout)["runs"]
    assert {row["run"]: row["state"] for row in rows} == {"good": "finished", "evil": "damaged"}


def test_names_of_images_that_are_none() -> None:
    name = EVIL.replace("/", "-")
    Path(name).write_bytes(b"no image")
    for words in (["predict", name], ["predict", name, "--csv"], ["predict", "missing" + name]):
        result = run(*words)
        assert result.exit_code == 1
        assert_harmless(result.stderr)
        assert_harmless(result.stdout.replace("\r\n", "\n"))
    assert json.loads(run("predict", name, "--json").stdout)["errors"][0]["image"] == name


@pytest.mark.parametrize("form", [(), ("--csv",), ("--multi",)])
def test_names_of_images_that_are(form: tuple[str, ...]) -> None:
    name = EVIL.replace("/", "-") + ".png"
    picture = Image.new("L", (28, 28), 255)
    picture.paste(0, (12, 4, 16, 24))
    picture.save(name)
    result = run("predict", name, "--quiet", *form)
    assert result.exit_code == 0, result.stderr
    assert_harmless(result.stdout.replace("\r\n", "\n"))
    assert json.loads(run("predict", name, "--json").stdout)["predictions"][0]["image"] == name


def test_names_within_a_checkpoint() -> None:
    weights = {EVIL: saved().weights["w"]}
    checkpoint.save(Path("x.pt"), saved(weights=weights))
    result = run("evaluate", "x.pt")
    assert result.exit_code == 1
    assert_harmless(result.stderr)


def test_errors_hints_and_tracebacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MnistctlError(EVIL, EVIL)

    monkeypatch.setattr("mnistctl.store.runs.list_runs", fail)
    for words in (("--debug",), ()):
        result = run("runs", *words)
        assert_harmless(result.stderr)
        assert result.stderr.endswith(f"error: {SHOWN}\n  {SHOWN}\n")
    document = json.loads(run("runs", "--json").stdout)
    assert document == {"error": EVIL, "hint": EVIL, "exit_code": 1}


def test_an_error_that_nobody_foresaw(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(EVIL)

    shown = f"error: unexpected RuntimeError: {SHOWN}\n  this is a bug; --debug shows where\n"
    with monkeypatch.context() as patch:
        patch.setattr("mnistctl.store.runs.list_runs", fail)
        assert run("runs").stderr == shown
        traceback = run("runs", "--debug").stderr
        assert traceback.endswith(shown)
        assert "RuntimeError" in traceback.removesuffix(shown)
        error = json.loads(run("runs", "--json").stdout)
        assert error["error"] == f"unexpected RuntimeError: {EVIL}"
    monkeypatch.setattr("mnistctl.cli.output.Output.line", fail)  # after the document is written
    result = run("runs", "--json")
    assert json.loads(result.stdout)["runs"] == []
    assert result.stderr == shown


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (
            PermissionError(13, "Permission denied", "/root/x"),
            "can't use /root/x: Permission denied",
        ),
        (MemoryError(), "there is not enough memory"),
    ],
)
def test_a_failure_that_is_no_bug(
    error: Exception, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("mnistctl.store.runs.list_runs", fail)
    result = run("runs")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {shown}")
    assert "bug" not in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell")
@pytest.mark.parametrize("words", ["runs >&-", "runs rm x <&-", "info recipes 2>&-"])
def test_closed_streams(words: str) -> None:
    command = f"{sys.executable} -m mnistctl {words}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert "AttributeError" not in done.stderr
    assert done.returncode == (1 if "rm" in words else 0)


def test_a_line_to_be_copied_is_one_line_on_a_narrow_terminal() -> None:
    terminal = Terminal()
    console = console_for(terminal)
    console.width = 40
    reporter = BarReporter(console)
    reporter.say("Next: mnistctl predict photo.jpg " + "x" * 60)
    reporter.warn("of several words, more than the terminal has room for")
    text = without_own_codes(terminal.getvalue())
    assert [line.rstrip() for line in text.splitlines()] == [
        "Next: mnistctl predict photo.jpg " + "x" * 60,
        "warning: of several words, more than the",
        "terminal has room for",
    ]


def test_a_long_line_is_broken_at_words_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    Output().line("mnist test: accuracy 97.70 % on 10,000 images")
    Output().line("next: mnistctl predict a-photograph-with-a-long-name.jpg")
    Output().line("short")
    assert [line.rstrip() for line in terminal.getvalue().splitlines()] == [
        "mnist test: accuracy 97.70 % on 10,000",
        "images",
        "next: mnistctl predict a-photograph-with-a-long-name.jpg",
        "short",
    ]


def test_what_was_typed() -> None:
    for words in (["train", "--recipe", EVIL], ["train", f"--{EVIL}"], [EVIL], ["evaluate", EVIL]):
        result = run(*words)
        assert result.exit_code in (1, 2)
        assert_harmless(result.stderr)
        assert result.stdout == ""


@pytest.mark.skipif(os.name == "nt", reason="POSIX file names")
@pytest.mark.parametrize(
    "words",
    [
        ("predict", "-c", "x" * 300, "a.png"),
        ("predict", "x" * 300),
        ("train", "--resume", "x" * 300),
        ("train", "--name", "x" * 300),
        ("evaluate", "x" * 300),
        ("evaluate", "x" * 300 + ".pt"),
        ("evaluate", "--store", "x" * 300, "latest"),
        ("train", "--store", "x" * 300, "--recipe", "mlp", "--epochs", "1"),
        ("runs", "--store", "x" * 300),
        ("download", "--from", "x" * 300),
        ("download", "--data-dir", "x" * 300),
        ("evaluate", "--data-dir", "x" * 300),
    ],
    ids=lambda words: " ".join(words)[:30],
)
def test_names_of_300_characters(words: tuple[str, ...], offline_processes: None) -> None:
    result = run(*words)
    assert result.exit_code in (0, 1, 2), result.exception
    error = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(error) == (result.exit_code != 0)


def test_the_input_is_saved_under_the_longest_name() -> None:
    Image.new("L", (28, 28), 255).save("a.png")
    name = "x" * 245 + ".png"
    result = run("predict", "a.png", "--save-input", name, "--quiet")
    assert result.exit_code == 0, result.stderr
    assert Path(name).read_bytes().startswith(b"\x89PNG")


def test_json_holds_no_numbers_that_it_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).document({"loss": float("nan"), "pair": (float("inf"), 1)})
    assert json.loads(capsys.readouterr().out) == {"loss": None, "pair": [None, 1]}
    assert not hasattr(module, "json")


def test_letters_that_the_terminal_lacks_are_shown_escaped() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mnistctl", "runs", "--store", "für-später"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == rb"No runs in f\xfcr-sp\xe4ter. Train one: mnistctl train" + b"\n"


@pytest.mark.parametrize(("rank", "shows"), [("0", True), ("1", False)])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_of_several_processes_the_first_alone_shows_results(
    form: tuple[str, ...], rank: str, shows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", rank)
    assert CliRunner().invoke(app, ["info", "recipes", *form]).stdout  # set by somebody else
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    result = CliRunner().invoke(app, ["info", "recipes", *form])
    assert result.exit_code == 0
    assert bool(result.stdout) == shows
