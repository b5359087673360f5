"""Tests on real MNIST find it, or say how many were skipped and how to enable them."""

import os
import subprocess
import sys
from pathlib import Path

import conftest
import pytest
from idx_made import FILES

ROOT = Path(__file__).parents[1]


def fake_mnist(directory: Path) -> Path:
    directory.mkdir(parents=True)
    for file in FILES:
        (directory / file.gz.name).write_bytes(b"")
    return directory


def test_where_mnist_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "ROOT", tmp_path / "repository")
    monkeypatch.delenv("MNISTCTL_TEST_MNIST", raising=False)
    assert conftest.find_mnist() is None
    shared = fake_mnist(tmp_path / "shared" / "mnist")
    assert conftest.find_mnist() == shared
    own = fake_mnist(tmp_path / "repository" / "data" / "MNIST" / "raw")
    assert conftest.find_mnist() == own
    named = fake_mnist(tmp_path / "named")
    monkeypatch.setenv("MNISTCTL_TEST_MNIST", str(named))
    assert conftest.find_mnist() == named
    (named / FILES[0].gz.name).unlink()
    assert conftest.find_mnist() is None


def test_skipped_tests_are_counted_with_the_command_that_enables_them(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "mnist", "tests/data/test_registry.py"],
        cwd=ROOT,
        env=os.environ | {"MNISTCTL_TEST_MNIST": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *_, number, command, total = done.stdout.splitlines()
    assert number == "2 tests were skipped. To run them, get MNIST first:"
    assert command == f"  mnistctl download --data-dir {tmp_path}"
    assert total.startswith("2 skipped")
