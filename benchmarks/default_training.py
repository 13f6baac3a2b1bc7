"""A plain ``make train`` after set-up, from a cold cache: its time, its parts, its accuracy.

Targets, on two cores: at most 3 minutes, test accuracy at least 0.85.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fer_lab


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "fer_lab.cli", "train"],
            cwd=folder,
            env={**os.environ, "FER_LAB_CACHE": str(Path(folder, "cache"))},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        total = time.perf_counter() - start
        (record,) = Path(folder).glob("outputs/*/*/run.json")
        run = fer_lab.load_run(record.parent)
        parts = ", ".join(
            f"{name} {value:.0f} s" for name, value in run.record["durations"].items()
        )
        accuracy = run.metrics["accuracy"]["value"]
    print(f"whole process {total:.0f} s ({parts})   target 180 s")
    print(f"test accuracy {accuracy:.3f}   target 0.85")


if __name__ == "__main__":
    main()
