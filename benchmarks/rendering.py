"""Synthetic faces drawn per second on one core: picture, mask and landmarks together.

Processor time of this process, so that a busy machine does not count; the median of several
rounds. Drawing the rows of a manifest is timed beside it.

Target: at least 150 faces a second at 96 pixels.
"""

from __future__ import annotations

import statistics
import time

from fer_lab.data.sources.synthetic import read
from fer_lab.data.synthetic import SyntheticReader

SIZES = (48, 64, 96, 224, 512)
ROUNDS = 5
TARGET = 150.0
ROWS = 100_000


def faces_per_second(reader: SyntheticReader, size: int, faces: int) -> list[float]:
    rates = []
    for first in range(0, ROUNDS * faces, faces):
        start = time.process_time()
        for number in range(first, first + faces):
            reader.read(f"synthetic#{number}", size)
        rates.append(faces / (time.process_time() - start))
    return rates


def main() -> None:
    reader = SyntheticReader()
    faces_per_second(reader, 96, 40)
    print("pixels  faces/s/core  slowest  fastest")
    for size in SIZES:
        rates = faces_per_second(reader, size, 100 if size < 200 else 20)
        median = statistics.median(rates)
        verdict = f"  (target {TARGET:.0f})" if size == 96 else ""
        print(f"{size:6d}  {median:12.0f}  {min(rates):7.0f}  {max(rates):7.0f}{verdict}")
        if size == 96 and median < TARGET:
            raise SystemExit(f"{median:.0f} faces a second at 96 pixels, under {TARGET:.0f}")
    start = time.process_time()
    read(train=ROWS, val=0, test=0)
    print(f"a manifest of {ROWS} rows: {time.process_time() - start:.2f} s")


if __name__ == "__main__":
    main()
