"""Images loaded per second against torchvision's ImageFolder, and a large manifest's opening.

Both arms read the same 425-pixel JPEGs through a DataLoader with the same batch size and number of
workers, without augmentation: ImageFolder decodes, resizes and collates; ours decodes from files,
or takes them from the packed cache, which was filled before. The arms alternate; printed are the
median ratio of our time to theirs and its spread.

A manifest of 500,000 rows with boxes and landmarks, beside a folder with as many images, is opened
from its cache by a fresh process, which says how long that took and how much memory it has needed,
imports included.

Targets: at most 1.0 of ImageFolder's time from files; from the packed cache at most 0.25 at 96
pixels and 0.5 at 224; the manifest in at most 2 s and 400 MB.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, PILToTensor, Resize

from benchmarks._ratios import print_ratio
from fer_lab.data import manifest_cache
from fer_lab.data.dataset import FaceDataset, collated
from fer_lab.data.images import FileImages, Images
from fer_lab.data.manifest import Assets, validate
from fer_lab.data.opencv import opencv
from fer_lab.data.packed import pack

PIXELS = 425
BATCH = 32
WARM_UP = 1
# An epoch from memory maps is over at once: several are timed together.
PACKED_EPOCHS = 10
TARGETS = {"files": {96: 1.0, 224: 1.0}, "packed": {96: 0.25, 224: 0.5}}
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


def write_photographs(folder: Path, count: int) -> pd.DataFrame:
    """JPEGs with the detail of photographs, in a folder per class; gives their manifest."""
    cv2 = opencv()
    rng = np.random.default_rng(0)
    paths = []
    for number in range(count):
        path = folder / ("happy", "sad")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (PIXELS, PIXELS), interpolation=cv2.INTER_CUBIC)
        noise = rng.normal(0, 5, image.shape)
        smooth = np.clip(image + noise, 0, 255).astype(np.uint8)
        cv2.imwrite(str(path), smooth, [cv2.IMWRITE_JPEG_QUALITY, 90])
        paths.append(path)
    return validate(
        pd.DataFrame(
            {
                "id": [f"photographs/{path.name}" for path in paths],
                "dataset": "photographs",
                "path": [str(path) for path in paths],
                "label": [path.parent.name for path in paths],
                "split": "train",
            }
        )
    )


def loader(dataset: Any, workers: int, **options: Any) -> DataLoader[Any]:
    """As both arms are loaded."""
    return DataLoader(
        dataset,
        BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        **options,
    )


def ours(manifest: pd.DataFrame, images: Images, workers: int) -> DataLoader[Any]:
    """Our arm over some maker of pixels."""
    dataset = FaceDataset(
        manifest,
        images,
        classes=("happy", "sad"),
        attributes=(),
        in_split=np.ones(len(manifest), dtype=bool),
    )
    return loader(dataset, workers, collate_fn=collated)


def epochs(batches: DataLoader[Any], count: int = 1) -> Callable[[], float]:
    """A measurement: seconds of one epoch, the mean of ``count``."""

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(count):
            for _ in batches:
                pass
        return (time.perf_counter() - start) / count

    return measure


def compare(folder: Path, manifest: pd.DataFrame, *, workers: int, pairs: int) -> None:
    """One line for each size and way."""
    for size in (96, 224):
        theirs = epochs(
            loader(
                ImageFolder(str(folder), Compose([Resize((size, size)), PILToTensor()])), workers
            )
        )
        with tempfile.TemporaryDirectory() as cache:
            arms = {
                "files": epochs(ours(manifest, FileImages(manifest, size), workers)),
                "packed": epochs(
                    ours(manifest, pack(manifest, size, cache), workers), PACKED_EPOCHS
                ),
            }
            for way, arm in arms.items():
                taken = [(arm(), theirs()) for _ in range(pairs + WARM_UP)][WARM_UP:]
                rates = [len(manifest) / np.median(column) for column in zip(*taken, strict=True)]
                print_ratio(
                    f"{way}, {size} px",
                    taken,
                    TARGETS[way][size],
                    f"{rates[0]:7.0f} images/s, ImageFolder {rates[1]:5.0f}",
                )


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


def main() -> None:
    arguments = argparse.ArgumentParser(description="loading: ours against ImageFolder")
    arguments.add_argument("--pairs", type=int, default=9)
    arguments.add_argument("--images", type=int, default=256)
    arguments.add_argument("--workers", type=int, default=0)
    arguments.add_argument("--only", choices=["images", "manifest"])
    options = arguments.parse_args()
    if options.only != "images":
        open_large_manifest(options.pairs)
    if options.only == "manifest":
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "photographs"
        manifest = write_photographs(folder, options.images)
        compare(folder, manifest, workers=options.workers, pairs=options.pairs)


if __name__ == "__main__":
    main()
