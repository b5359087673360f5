"""When this process began."""

import os
import time
from pathlib import Path

_IMPORTED = time.time()


def seconds_since_start() -> float:
    """Seconds since the process was started, the interpreter's own start-up included.

    From /proc on Linux; elsewhere counted from the import of the command line, which misses
    some hundredths of a second.
    """
    since_import = time.time() - _IMPORTED
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        boot = float(Path("/proc/uptime").read_text().split()[0])
        seconds = boot - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return since_import
    # Some containers show an up-time of their own beside the host's start times.
    return seconds if since_import <= seconds + 1 < since_import + 60 else since_import
