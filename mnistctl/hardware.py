"""Device and number format of a command, chosen and announced in one place."""

from mnistctl.device import choose_device, choose_precision, keep_freed_memory
from mnistctl.distributed import Ranks
from mnistctl.events import Reporter


def choose_hardware(
    device: str | None, precision: str | None, ranks: Ranks, reporter: Reporter
) -> tuple[str, str]:
    """Names of the device and precision to use; None means auto.

    Says what was chosen and why. For a CPU the process keeps its freed memory from here on.
    Raises UsageError for an unknown name, DeviceError for what isn't there.
    """
    chosen = choose_device(device or "auto", ranks.local_rank)
    number_format = choose_precision(precision or "auto", chosen.value)
    if chosen.value == "cpu":
        keep_freed_memory()
    reporter.say(
        f"Device {chosen.value} ({chosen.why}), {number_format.value} ({number_format.why})"
    )
    return chosen.value, number_format.value
