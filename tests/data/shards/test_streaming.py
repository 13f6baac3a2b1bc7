"""An epoch over shards is an epoch over the files, from a folder or a server, whoever reads."""

from __future__ import annotations

import fcntl
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from fer_lab.data.assets import assets
from fer_lab.data.datamodule import FaceDataModule
from fer_lab.data.dataset import Batch
from fer_lab.errors import ConfigError
from tests.data.processes import as_process
from tests.layouts.rafdb import write_list_form

LIMIT = 0.0005  # GB: eight of eighteen shards


def batches(loader: DataLoader[Batch]) -> list[Batch]:
    return list(loader)


def same(found: list[Batch], expected: list[Batch]) -> bool:
    return len(found) == len(expected) and all(
        torch.equal(ours[name], theirs[name])
        for ours, theirs in zip(found, expected, strict=True)
        for name in ("image", "label", "index", "monitored")
    )


def faces(data, loaded: list[Batch]) -> dict[str, tuple[bytes, str, int]]:
    """Image, label and group of every face, by id."""
    return {
        data.manifest["id"][row]: (
            batch["image"][place].numpy().tobytes(),
            data.classes[int(batch["label"][place])],
            int(batch["group"]["gender"][place]),
        )
        for batch in loaded
        for place, row in enumerate(batch["index"].tolist())
    }


def test_an_epoch_from_a_folder_and_from_a_server_is_the_same(affectnet, server, opened):
    from_folder = batches(opened(affectnet.folder).train_dataloader())
    assert same(batches(opened(server.url).train_dataloader()), from_folder)


def test_an_epoch_from_shards_has_the_faces_of_one_from_files(clean, opened):
    shards, files = opened(clean.folder), opened(clean.root, "affectnet")
    for name in ("train", "val", "test"):
        loaded = [batches(getattr(each, f"{name}_dataloader")()) for each in (shards, files)]
        assert faces(shards, loaded[0]) == faces(files, loaded[1])
    assert shards.groups == files.groups
    assert shards.dropped == files.dropped


def test_workers_change_nothing(affectnet, server, opened):
    alone = batches(opened(server.url).train_dataloader())
    assert same(batches(opened(server.url, num_workers=2).train_dataloader()), alone)


def test_every_epoch_has_another_order_and_a_shard_is_fetched_once_in_each(server, opened):
    data = opened(server.url, window=3, cache_gb=LIMIT)
    loader = data.train_dataloader()
    orders = []
    for epoch in range(2):
        server.asked.clear()
        loader.sampler.set_epoch(epoch)
        orders.append([row for batch in loader for row in batch["index"].tolist()])
        assert sorted(orders[-1]) == sorted(data.train_rows)
        assert max(server.shards().values()) == 1
    assert orders[0] != orders[1]


def test_the_cache_never_exceeds_its_limit(server, opened, tmp_path):
    server.pause = 0.005
    data = opened(server.url, window=3, cache_gb=LIMIT, num_workers=2)
    assert data_index(data).size > 1.5e9 * LIMIT
    most, done = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.is_set():
            most = max(most, held(tmp_path / "cache" / "shards"))
            time.sleep(0.0005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    loaded = batches(data.train_dataloader()) + batches(data.val_dataloader())
    done.set()
    watcher.join()
    rows = sorted(row for batch in loaded for row in batch["index"].tolist())
    assert rows == sorted([*data.train_rows, *data.val_rows])
    assert 0.5e9 * LIMIT < most <= 1e9 * LIMIT


def data_index(data):
    """The index of a datamodule's shards."""
    (reader,) = assets(data.manifest).readers.values()
    return reader.index


def held(folder: Path) -> int:
    """Bytes of a cache's files, at a moment when no process adds or removes any."""
    if not (folder / ".lock").exists():
        return 0
    with (folder / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return sum(path.stat().st_size for path in folder.iterdir())


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_epoch_goes_on_exactly_and_leaves_finished_shards_alone(
    server, opened, tmp_path, workers
):
    options = {"window": 2, "ahead": 1, "num_workers": workers}
    whole = batches(opened(server.url, **options).train_dataloader())
    done = len(whole) * 2 // 3
    server.asked.clear()
    data = opened(server.url, **options)
    loader = data.train_dataloader()
    loader.done = lambda: done
    cold(data, tmp_path / "other cache")
    rest = batches(loader)
    assert same(rest, whole[done:])
    shards = data._stream.shards
    needed = {int(shards[row]) for batch in rest for row in batch["index"].tolist()}
    assert len(needed) < len(set(shards[data.train_rows].tolist())) - 2
    names = [shard.name for shard in data_index(data).shards]
    assert set(server.shards()) == {names[number] for number in needed}


def cold(data, folder: Path) -> None:
    """Give a datamodule's reader a cache of its own."""
    (reader,) = assets(data.manifest).readers.values()
    reader._files.folder = folder


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_rows_and_the_cache(server, opened, world):
    seen: list[list[int]] = []
    tested: list[int] = []
    for rank in range(world):
        data = as_process(opened(server.url, window=2, batch_size=10), rank, world)
        seen.append([r for b in data.train_dataloader() for r in b["index"].tolist()])
        tested += [r for b in data.test_dataloader() for r in b["index"].tolist()]
    assert sorted(tested) == sorted(data.test_rows)
    assert set().union(*seen) == set(data.train_rows)
    assert len({len(each) for each in seen}) == 1
    assert sum(map(len, seen)) - len(data.train_rows) < world
    assert max(server.shards().values()) == 1


def test_shards_are_fetched_before_they_are_needed(server, opened, tmp_path):
    data = opened(server.url, window=1, ahead=2)
    loader = iter(data.train_dataloader())
    next(loader)
    for _ in range(200):
        if len(list((tmp_path / "cache" / "shards").glob("*.tar"))) >= 3:
            break
        time.sleep(0.01)
    assert len(server.shards()) == 3


def test_shards_stand_beside_files_of_another_dataset(affectnet, opened, tmp_path):
    files = write_list_form(tmp_path / "rafdb", odd=False)
    data = FaceDataModule(
        {
            "shards": {"root": str(affectnet.folder), "window": 2},
            "rafdb": {"root": str(files.root)},
        },
        attributes=["gender"],
        image_size=16,
        batch_size=8,
        num_workers=0,
        cache_dir=tmp_path / "cache",
    )
    data.setup()
    rows = [row for batch in data.train_dataloader() for row in batch["index"].tolist()]
    assert sorted(rows) == sorted(data.train_rows)
    drawn = data.manifest["dataset"].iloc[rows].astype("str").to_numpy() == "rafdb"
    halves = np.array_split(drawn, 2)
    assert all(half.any() for half in halves)


def test_an_expanded_training_set_visits_every_variant_shard_by_shard(affectnet, opened):
    data = opened(
        affectnet.folder, window=1, augment={"expand": {"gamma": [0.5, 1.0], "shift": [0, 1]}}
    )
    loaded = batches(data.train_dataloader())
    visits = [
        (row, variant)
        for batch in loaded
        for row, variant in zip(batch["index"].tolist(), batch["variant"].tolist(), strict=True)
    ]
    count = data.augment.expand.count
    expected = [(row, v) for row in data.train_rows.tolist() for v in range(count)]
    assert sorted(visits) == sorted(expected)
    turns = data._stream.shards[[row for row, _ in visits]]
    assert (np.diff(turns) != 0).sum() == len(set(turns.tolist())) - 1


def test_a_cache_without_room_for_a_window_is_refused(server, opened):
    with pytest.raises(ConfigError, match=r"5 shards .* do not fit a cache of 0.0002 GB"):
        opened(server.url, cache_gb=0.0002)
