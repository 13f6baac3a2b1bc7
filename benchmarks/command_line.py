"""How soon the command line answers: help, a task's help, and a misspelt override.

Each command is a process of its own, started from an empty folder; printed are the median and the
slowest of several. Nothing heavy may be imported before the configuration is composed, whichever
extras are installed.

Targets: 0.5 s, 1.5 s and 1.5 s.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

REPEATS = 7

COMMANDS = (
    (("--help",), 0.5),
    (("train", "--help"), 1.5),
    (("train", "model.optimzer.lr=1"), 1.5),
    (("train", "split=femal"), 1.5),
)


def seconds(words: tuple[str, ...], folder: str) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "fer_lab.cli", *words], cwd=folder, capture_output=True, check=False
    )
    return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for words, target in COMMANDS:
            times = sorted(seconds(words, folder) for _ in range(REPEATS))
            median = statistics.median(times)
            verdict = "ok" if median <= target else "ABOVE TARGET"
            print(
                f"fer-lab {' '.join(words):<28} {median:.2f} s (slowest {times[-1]:.2f} s)   "
                f"target {target} s: {verdict}",
                flush=True,
            )


if __name__ == "__main__":
    main()
