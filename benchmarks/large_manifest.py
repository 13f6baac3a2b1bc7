"""How fast a manifest of 500,000 rows opens, and with how much memory.

With boxes and landmarks, beside a folder with as many images, it is opened from its cache by a
fresh process, which says how long that took and how much memory it has needed, imports included.

Targets: at most 2 s and 400 MB.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_lab.data import manifest_cache
from fer_lab.data.manifest import Assets, validate

MANIFEST_ROWS = 500_000
MOST_SECONDS = 2.0
MOST_MEGABYTES = 400
OPENING = """
import resource, sys, time
from pathlib import Path
from fer_lab.data.manifest import assets
from fer_lab.data.manifest_cache import remembered
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
manifest = remembered("large", {"root": sys.argv[1]}, Path(sys.argv[2]), None)
print(time.perf_counter() - start, before / 1024,
      resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, len(manifest))
"""
# A process inherits the largest size of the one that it replaced: a shell in between is small.
SMALL = '"$0" -c "$@"; exit $?'


def large_manifest(root: Path) -> pd.DataFrame:
    """Rows with boxes and landmarks, and an empty file for each."""
    for number in range(MANIFEST_ROWS // 1000):
        (root / f"{number:03d}").mkdir(parents=True)
        for row in range(1000):
            os.close(os.open(root / f"{number:03d}/{row:03d}face.jpg", os.O_CREAT | os.O_WRONLY))
    rows = np.arange(MANIFEST_ROWS)
    names = [f"{row // 1000:03d}/{row % 1000:03d}face.jpg" for row in rows]
    frame = pd.DataFrame(
        {
            "id": [f"large/{name}" for name in names],
            "dataset": "large",
            "path": [f"{root}/{name}" for name in names],
            "label": np.array(["happy", "sad", "anger"])[rows % 3],
            "split": np.array(["train", "test"])[(rows % 10 == 0).astype(int)],
            "gender": np.array(["female", "male"])[rows % 2],
            "gender_source": "annotated",
            "valence": np.float32(0.5),
            "arousal": np.float32(0.5),
            "box": rows,
            "landmarks": rows,
        }
    )
    frame.attrs["assets"] = Assets(
        arrays={
            "box": np.ones((MANIFEST_ROWS, 4), dtype=np.float32),
            "landmarks": np.ones((MANIFEST_ROWS, 68, 2), dtype=np.float32),
        },
        roots={"large": str(root)},
    )
    return validate(frame)


def open_large_manifest(rounds: int) -> None:
    """Seconds and megabytes of opening it from its cache, each time in a fresh process."""
    with tempfile.TemporaryDirectory() as place:
        root, cache = Path(place) / "large", Path(place) / "cache"
        manifest = large_manifest(root)
        time.sleep(3)

        def read(_name: str, **_options: Any) -> pd.DataFrame:
            time.sleep(1.1)
            return manifest

        manifest_cache.remembered("large", {"root": str(root)}, cache, read)
        taken = []
        for _ in range(rounds):
            done = subprocess.run(
                ["sh", "-c", SMALL, sys.executable, OPENING, str(root), str(cache)],
                check=True,
                capture_output=True,
                text=True,
            )
            taken.append([float(value) for value in done.stdout.split()])
    seconds, before, after, rows = np.median(np.array(taken), axis=0)
    kept = seconds <= MOST_SECONDS and after <= MOST_MEGABYTES
    fastest, slowest = min(row[0] for row in taken), max(row[0] for row in taken)
    print(
        f"manifest of {rows:.0f} rows: {seconds:.2f} s ({fastest:.2f} to {slowest:.2f}), "
        f"{after:.0f} MB of memory at most, {before:.0f} MB before   "
        f"target {MOST_SECONDS} s, {MOST_MEGABYTES} MB: {'ok' if kept else 'ABOVE TARGET'}",
        flush=True,
    )


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="opening a large manifest")
    arguments.add_argument("--rounds", type=int, default=9)
    open_large_manifest(arguments.parse_args().rounds)
