"""Images read per second from shards in a folder and at a URL, against the files themselves.

All arms decode the same 425-pixel JPEGs through a DataLoader with the same batch size and number of
workers. Files are read in an order of their own each epoch, shards one after the other within
windows of four. The URL is a server on this machine, with a cache that holds less than half of the
shards, so that every epoch fetches them anew. The arms alternate; printed are the median ratio of
the shards' time to that of the files, and its spread.

Targets: at most 1.05 of the files' time from a folder; at most 1.5 from the server, which shares
the processors with those it serves, and whose shards are hashed and written to the disk each time.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from benchmarks._ratios import print_ratio
from benchmarks.loading import epoch_seconds, write_photographs
from fer_lab.data.dataset import FaceDataset
from fer_lab.data.loaders import face_loader
from fer_lab.data.pixels.images import FileImages, Images
from fer_lab.data.pixels.inspection import Inspected, images_of
from fer_lab.data.shards.stream import Stream
from fer_lab.data.shards.writing import write_shards
from fer_lab.data.sources import read

SIZE = 224
BATCH = 32
SHARDS = 16
WARM_UP = 1
TARGETS = {"folder": 1.05, "server": 1.5}


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that says nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def arm(manifest: pd.DataFrame, images: Images, workers: int) -> DataLoader[Any]:
    """All rows in the order of a training, shuffled."""
    dataset = FaceDataset(
        manifest,
        images,
        classes=("happy", "sad"),
        attributes=(),
        in_split=np.ones(len(manifest), dtype=bool),
    )
    rows = np.arange(len(manifest))
    sampler = Stream(manifest).sampler(rows, rows, 1, 0, 0, 1, shuffle=True)
    return face_loader(dataset, sampler, BATCH, seed=1, workers=workers)


def streamed(root: str, workers: int, **options: Any) -> DataLoader[Any]:
    """The rows of shards."""
    manifest = read("shards", root, **options)
    every = np.arange(len(manifest))
    inspected = Inspected(manifest, every >= 0, manifest.iloc[:0], {}, {})
    return arm(manifest, images_of(inspected, every, SIZE, Path())[0], workers)


def main() -> None:
    arguments = argparse.ArgumentParser(description="loading: shards against files")
    arguments.add_argument("--rounds", type=int, default=4)
    arguments.add_argument("--images", type=int, default=2000)
    arguments.add_argument("--workers", type=int, nargs="*", default=[0, 2])
    options = arguments.parse_args()
    # Loading alone is measured, not the threads that would share a processor with it.
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "shards"
        manifest = write_photographs(Path(place) / "photographs", options.images)
        total = sum(Path(path).stat().st_size for path in manifest["path"])
        write_shards(manifest, folder, shard_size=total // SHARDS, image_size=SIZE)
        handler = partial(Quiet, directory=str(folder))
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_port}"
            for workers in options.workers:
                files = arm(manifest, FileImages(manifest, SIZE), workers)
                cache = {"cache_gb": 0.45 * total / 1e9, "cache_dir": f"{place}/cache"}
                arms = {
                    "folder": streamed(str(folder), workers),
                    "server": streamed(url, workers, **cache),
                }
                taken = [
                    ({way: epoch_seconds(each) for way, each in arms.items()}, epoch_seconds(files))
                    for _ in range(options.rounds + WARM_UP)
                ][WARM_UP:]
                reference = len(manifest) / float(np.median([other for _, other in taken]))
                for way, target in TARGETS.items():
                    pairs = [(mine[way], other) for mine, other in taken]
                    rate = len(manifest) / float(np.median([mine for mine, _ in pairs]))
                    print_ratio(
                        f"{way}, {SIZE} px, {workers} workers",
                        pairs,
                        target,
                        f"{rate:5.0f} images/s, files {reference:5.0f}",
                    )
            server.shutdown()


if __name__ == "__main__":
    main()
