"""Images loaded per second against torchvision's ImageFolder, from files and from the packed cache.

All arms read the same 425-pixel JPEGs through a DataLoader with the same batch size and number of
workers, without augmentation. ImageFolder decodes, resizes and collates; ours decodes from files,
or takes images from the packed cache, which was filled before. The arms alternate; printed are the
median ratio of our time to ImageFolder's and its spread, and what filling the cache took.

Packed images are a copy from memory maps. With workers they are copied once more, to the training
process, and every batch costs a message; `data.num_workers=auto` therefore uses none for them.

Targets: at most 1.0 of ImageFolder's time from files; from the packed cache at most 0.25 at 96
pixels and 0.5 at 224.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, PILToTensor, Resize

from benchmarks._ratios import print_ratio
from fer_lab.data.dataset import FaceDataset, collated
from fer_lab.data.manifest import validate
from fer_lab.data.pixels.images import FileImages, Images
from fer_lab.data.pixels.opencv import opencv
from fer_lab.data.pixels.packed import pack

PIXELS = 425
BATCH = 32
WARM_UP = 1
# An epoch from memory maps is over at once: several are timed together.
PACKED_EPOCHS = 4
TARGETS = {"files": {96: 1.0, 224: 1.0}, "packed": {96: 0.25, 224: 0.5}}


def write_photographs(folder: Path, count: int) -> pd.DataFrame:
    """JPEGs with the detail of photographs, in a folder per class; gives their manifest."""
    cv2 = opencv()
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 5, (2 * PIXELS, 2 * PIXELS, 3)).astype(np.float32)
    paths = []
    for number in range(count):
        path = folder / ("happy", "sad")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)
        smooth = cv2.resize(coarse, (PIXELS, PIXELS), interpolation=cv2.INTER_CUBIC)
        top, left = rng.integers(0, PIXELS, 2)
        grain = noise[top : top + PIXELS, left : left + PIXELS]
        image = np.clip(smooth + grain, 0, 255).astype(np.uint8)
        cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
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
    """As all arms are loaded."""
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


def epoch_seconds(batches: DataLoader[Any], epochs: int = 1) -> float:
    """Seconds of an epoch, the mean of several."""
    start = time.perf_counter()
    for _ in range(epochs):
        for _ in batches:
            pass
    return (time.perf_counter() - start) / epochs


def compare(
    folder: Path, manifest: pd.DataFrame, packed: Images, *, workers: int, rounds: int
) -> None:
    """A line for each way, at the size of the packed images."""
    size = packed.size
    scaled = Compose([Resize((size, size)), PILToTensor()])
    theirs = loader(ImageFolder(str(folder), scaled), workers)
    arms = {
        "files": (ours(manifest, FileImages(manifest, size), workers), 1),
        "packed": (ours(manifest, packed, workers), PACKED_EPOCHS),
    }
    taken = [
        (epoch_seconds(theirs), {way: epoch_seconds(*arm) for way, arm in arms.items()})
        for _ in range(rounds + WARM_UP)
    ][WARM_UP:]
    reference = len(manifest) / float(np.median([other for other, _ in taken]))
    for way in arms:
        pairs = [(mine[way], other) for other, mine in taken]
        rate = len(manifest) / float(np.median([mine for mine, _ in pairs]))
        print_ratio(
            f"{way}, {size} px, {workers} workers",
            pairs,
            TARGETS[way][size],
            f"{rate:7.0f} images/s, ImageFolder {reference:5.0f}",
        )


def main() -> None:
    arguments = argparse.ArgumentParser(description="loading: ours against ImageFolder")
    arguments.add_argument("--rounds", type=int, default=4)
    arguments.add_argument("--images", type=int, default=2000)
    arguments.add_argument("--workers", type=int, nargs="*", default=[0, 2])
    options = arguments.parse_args()
    # Loading alone is measured, not the threads that would share a processor with it.
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "photographs"
        manifest = write_photographs(folder, options.images)
        for size in (96, 224):
            start = time.perf_counter()
            packed = pack(manifest, size, Path(place) / "cache")
            rate = len(manifest) / (time.perf_counter() - start)
            print(f"packing {size} px: {rate:.0f} images/s", flush=True)
            for workers in options.workers:
                compare(folder, manifest, packed, workers=workers, rounds=options.rounds)


if __name__ == "__main__":
    main()
