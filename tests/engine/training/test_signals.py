"""Stopping in good order, and leaving signals as they were."""

import os
import signal

import pytest

from mnistctl.engine.training.signals import sigterm_as_error, stop_on_signals
from mnistctl.errors import Interrupted, Terminated


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_means_again_afterwards_what_it_meant_before(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_on_signals():
        assert signal.getsignal(number) is not before
    assert signal.getsignal(number) is before
    with sigterm_as_error():
        pass
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [(signal.SIGINT, Interrupted, 130), (signal.SIGTERM, Terminated, 143)],
)
def test_the_first_signal_is_a_request_that_knows_its_exit_code(
    number: signal.Signals, kind: type, code: int
) -> None:
    with stop_on_signals() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
    error = stop.error("stopped", "")
    assert type(error) is kind
    assert int(error.exit_code) == code


def test_a_second_ctrl_c_interrupts_the_program_as_ever() -> None:
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_signals_that_come_together_count_as_one() -> None:
    with stop_on_signals(debounce=60.0) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
        assert stop.signal == signal.SIGINT
