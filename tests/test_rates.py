"""What `--precision auto` measures on a CPU."""

import time

import pytest
import torch

from mnistctl import rates


def test_rates_are_those_of_a_computation() -> None:
    """Of this machine, so within wide bounds; the number of threads and the gradients stay."""
    threads, generator = torch.get_num_threads(), torch.get_rng_state()
    start = time.process_time()
    found = rates.cpu_rates()
    assert time.process_time() - start < 5
    assert set(found) == {"fp32", "bf16"}
    assert all(1e7 < rate < 1e13 for rate in found.values())
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), generator)


def test_the_best_round_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product and a convolution a round, in fp32, then in bf16."""
    slow = [3.0, 3.0, 4.0, 4.0]
    took = iter([*slow, 1.0, 3.0, 2.0, 2.0, *slow, *slow, *slow, *slow])
    monkeypatch.setattr(rates, "_seconds", lambda task, precision: next(took))
    monkeypatch.setattr(rates, "ENOUGH_SECONDS", float("inf"))
    found = rates.cpu_rates()
    assert found == {"fp32": rates.OPERATIONS / 4.0, "bf16": rates.OPERATIONS / 4.0}
    assert next(took, None) is None
    # 2 * 512^3, and three times 2 * 16 images * 196 places * 9 * 32 * 32.
    assert rates.OPERATIONS == 268_435_456 + 173_408_256


def test_a_busy_machine_gets_two_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(rates, "_seconds", lambda task, precision: calls.append(precision) or 1.0)
    monkeypatch.setattr(rates, "ENOUGH_SECONDS", 0.0)
    rates.cpu_rates()
    assert calls == ["fp32", "fp32", "bf16", "bf16"] * 2
