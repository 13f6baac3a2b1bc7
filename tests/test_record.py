"""A run has one process at a time, whatever ends the one before."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fer_lab.errors import ConfigError
from fer_lab.record import only_process

HOLD = """
import os, sys, time
from pathlib import Path
from fer_lab.record import only_process

with only_process(Path(sys.argv[1])):
    forked = os.fork()
    if forked:
        print(forked, flush=True)
    time.sleep(600)
"""


def taken(folder: Path) -> bool:
    """Whether a process of its own may have the run."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(takes, (folder,))


def takes(folder: Path) -> bool:
    try:
        with only_process(folder):
            return True
    except ConfigError:
        return False


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path):
    """A process that the first one has forked, as loading processes are, does not hold the run."""
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    forked = int(first.stdout.readline())
    try:
        with pytest.raises(ConfigError, match="another process is at work"), only_process(tmp_path):
            pass
        first.kill()
        assert first.wait(timeout=10) == -signal.SIGKILL
        os.kill(forked, 0)  # it lives
        with only_process(tmp_path):
            assert not taken(tmp_path)
        assert taken(tmp_path)
    finally:
        first.kill()
        os.kill(forked, signal.SIGKILL)
