"""How many processors there are for this process."""

from __future__ import annotations

import os
from typing import Final

from fer_lab.errors import ConfigError

# The environment variable with the processors of a job that is one of several on a machine.
PROCESSORS: Final = "FER_LAB_PROCESSORS"


def processor_count() -> int:
    """How many processors this process may use, at most ``FER_LAB_PROCESSORS`` where that is set.

    Raises:
        ConfigError: if it is set to what is no number of processors.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    given = os.environ.get(PROCESSORS)
    if not given:
        return allowed or 1
    if not given.isdecimal() or int(given) < 1:
        raise ConfigError(
            f"{PROCESSORS}={given} is no number of processors", hint="set it to 1 or more"
        )
    return min(int(given), allowed or 1)
