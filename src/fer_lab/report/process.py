"""Whether the process that wrote a record still runs."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path


def is_alive(pid: object, started: datetime | None = None) -> bool:
    """Whether the process exists on this host: not a zombie, and not a later one with its number.

    Args:
        pid: the process's number as recorded.
        started: when the process said it was at work, with its time zone.

    >>> is_alive(os.getpid())
    True
    >>> is_alive(None)
    False
    """
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:  # it exists and belongs to another user
        pass
    except (OSError, OverflowError):
        return False
    try:  # Linux: the fields after the command's name, which may itself hold brackets
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/stat").read_text().partition("btime ")[2].split()[0]
        born = int(boot) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return True
    # A minute's slack: the clock may have been set since the machine started.
    reused = started is not None and born > started.timestamp() + 60
    return fields[0] not in "ZX" and not reused
