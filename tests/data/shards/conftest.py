"""Datasets of real files, written into shards, read from there and directly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

from fer_lab.data.assets import assets
from fer_lab.data.datamodule import FaceDataModule, ShardsDataModule
from fer_lab.data.pixels.inspection import inspect
from fer_lab.data.shards import transfer
from fer_lab.data.shards.writing import write_shards
from fer_lab.data.sources import read
from tests.data.file_server import FileServer, serving
from tests.data.processes import ready
from tests.layouts.affectnet import write_csv_release

SIZE = 32


class Stored(NamedTuple):
    """A dataset and its shards."""

    root: Path
    manifest: pd.DataFrame
    folder: Path


def into_shards(manifest: pd.DataFrame, folder: Path, cache: Path, **options: Any) -> pd.DataFrame:
    """Write all rows that can be read; gives these."""
    inspected = inspect(manifest, manifest.index.to_numpy(), cache, verify=True)
    kept = inspected.manifest[inspected.good].reset_index(drop=True)
    settings = {"shard_size": 60_000, "image_size": SIZE, "dropped": assets(manifest).dropped}
    write_shards(kept, folder, **(settings | options))
    return kept


@pytest.fixture(scope="module")
def affectnet(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A copy of AffectNet (boxes, landmarks, genders) and its shards."""
    place = tmp_path_factory.mktemp("affectnet")
    write_csv_release(place / "files", train=10, test=3)
    manifest = into_shards(read("affectnet", place / "files"), place / "shards", place / "cache")
    return Stored(place / "files", manifest, place / "shards")


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """The same without what real copies have wrong."""
    place = tmp_path_factory.mktemp("clean")
    write_csv_release(place / "files", train=6, test=2, odd=False)
    manifest = into_shards(read("affectnet", place / "files"), place / "shards", place / "cache")
    return Stored(place / "files", manifest, place / "shards")


@pytest.fixture
def server(affectnet: Stored, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server of the shards of AffectNet, which nobody waits for."""
    monkeypatch.setattr(transfer, "_PAUSE", 0.001)
    with serving(affectnet.folder) as served:
        yield served


Open = Callable[..., FaceDataModule]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """A datamodule over the shards at a root, or over a folder of AffectNet."""

    def make(root: object, source: str = "shards", **options: Any) -> FaceDataModule:
        settings: dict[str, Any] = {
            "attributes": ["gender"],
            "image_size": SIZE,
            "batch_size": 8,
            "num_workers": 0,
            "cache_dir": tmp_path / "cache",
        }
        settings |= options
        if source == "shards":
            return ready(ShardsDataModule(str(root), **settings))
        return ready(FaceDataModule({source: {"root": str(root)}}, **settings))

    return make
