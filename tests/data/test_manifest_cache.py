from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fer_lab.data import manifest_cache
from fer_lab.data.manifest import assets, fingerprint
from fer_lab.data.manifest_cache import remembered
from fer_lab.data.sources import read
from tests.data.flat_faces import flat_manifest
from tests.layouts.affectnet import write_csv_release


@pytest.fixture(autouse=True)
def everything_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_cache, "_WORTH", 0.0)
    monkeypatch.setattr(manifest_cache, "_SETTLED_NS", 0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_csv_release(tmp_path / "affectnet").root


class Counting:
    """Reads, and counts how often."""

    def __init__(self, function: Callable[..., pd.DataFrame] = read) -> None:
        self.function = function
        self.calls = 0

    def __call__(self, name: str, **options: Any) -> pd.DataFrame:
        self.calls += 1
        return self.function(name, **options)


def test_what_is_opened_equals_what_was_read(root: Path, tmp_path: Path) -> None:
    reader = Counting()
    first = remembered("affectnet", {"root": root}, tmp_path / "cache", reader)
    again = remembered("affectnet", {"root": root}, tmp_path / "cache", reader)
    assert reader.calls == 1
    pd.testing.assert_frame_equal(again, first, check_flags=False)
    assert [str(kind) for kind in again.dtypes] == [str(kind) for kind in first.dtypes]
    assert isinstance(again.index, pd.RangeIndex)
    assert fingerprint(again) == fingerprint(first)
    assert assets(again).dropped == assets(first).dropped
    assert assets(again).roots == assets(first).roots
    assert len(assets(first).unmatched) == 1
    pd.testing.assert_frame_equal(assets(again).unmatched, assets(first).unmatched)
    for name, array in assets(first).arrays.items():
        assert isinstance(assets(again).arrays[name], np.memmap)
        assert np.array_equal(assets(again).arrays[name], array, equal_nan=True)


def lists_of(root: Path) -> Path:
    return root / "Manually_Annotated_file_lists"


def remove_an_image(root: Path) -> None:
    next((root / "Manually_Annotated_Images").rglob("*.jpg")).unlink()


def shorten_a_list(root: Path) -> None:
    path = lists_of(root) / "training.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def exchange_cells_at_the_same_time(root: Path) -> None:
    path = lists_of(root) / "validation.csv"
    before = path.stat()
    time.sleep(0.02)
    path.write_bytes(path.read_bytes().replace(b"validation", b"validatiom"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def add_gender_labels(root: Path) -> None:
    (root / "more_gender.csv").write_text("subDirectory_filePath,gender\n")


def lay_an_empty_folder(root: Path) -> None:
    (root / "Manually_Annotated_Images" / "900").mkdir()


@pytest.mark.parametrize(
    "change",
    [
        remove_an_image,
        shorten_a_list,
        exchange_cells_at_the_same_time,
        add_gender_labels,
        lay_an_empty_folder,
    ],
)
def test_a_change_of_the_folder_is_read(
    root: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    reader = Counting(lambda name, **_: flat_plain(name))
    for _ in range(2):
        remembered("affectnet", {"root": root}, tmp_path / "cache", reader)
    assert reader.calls == 1
    change(root)
    remembered("affectnet", {"root": root}, tmp_path / "cache", reader)
    assert reader.calls == 2


def flat_plain(name: str) -> pd.DataFrame:
    frame = flat_manifest(10, dataset=name)
    assets(frame).readers.clear()
    return frame


def test_options_and_files_they_name_are_part_of_the_key(root: Path, tmp_path: Path) -> None:
    reader = Counting(lambda name, **_: flat_plain(name))
    outside = tmp_path / "labels.csv"
    outside.write_text("a")
    for options in ({"root": root}, {"root": root, "gender_labels": [str(outside)]}):
        for _ in range(2):
            remembered("affectnet", options, tmp_path / "cache", reader)
    assert reader.calls == 2
    outside.write_text("ab")
    remembered("affectnet", options, tmp_path / "cache", reader)
    assert reader.calls == 3


def test_an_image_behind_a_link_is_missed(root: Path, tmp_path: Path) -> None:
    reader = Counting(lambda name, **_: flat_plain(name))
    target = tmp_path / "elsewhere.jpg"
    target.write_bytes(b"")
    (root / "linked.jpg").symlink_to(target)
    remembered("affectnet", {"root": root}, tmp_path / "cache", reader)
    target.unlink()
    remembered("affectnet", {"root": root}, tmp_path / "cache", reader)
    assert reader.calls == 2


def test_a_loop_of_links_ends(root: Path, tmp_path: Path) -> None:
    (root / "again").symlink_to(root)
    (root / "itself").symlink_to(root / "itself")
    reader = Counting()
    for _ in range(2):
        remembered("affectnet", {"root": root}, tmp_path / "cache", reader)
    assert reader.calls == 1


def test_what_changed_a_moment_ago_is_not_remembered(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_cache, "_SETTLED_NS", 60_000_000_000)
    reader = Counting()
    for _ in range(2):
        remembered("affectnet", {"root": root}, tmp_path / "cache", reader)
    assert reader.calls == 2


def test_a_change_while_it_is_read_is_not_remembered(root: Path, tmp_path: Path) -> None:
    def slow(name: str, **_: Any) -> pd.DataFrame:
        (root / "late.csv").write_text(str(time.time_ns()))
        return flat_plain(name)

    reader = Counting(slow)
    for _ in range(2):
        remembered("affectnet", {"root": root}, tmp_path / "cache", reader)
    assert reader.calls == 2


@pytest.mark.parametrize(
    "file", ["table.parquet", "unmatched.parquet", "landmarks.npy", "content.json"]
)
def test_a_damaged_memory_is_read_anew(root: Path, tmp_path: Path, file: str) -> None:
    reader = Counting()
    remembered("affectnet", {"root": root}, tmp_path / "cache", reader)
    (folder,) = (tmp_path / "cache" / "manifests").iterdir()
    (folder / file).write_bytes((folder / file).read_bytes()[:40])
    for _ in range(2):
        remembered("affectnet", {"root": root}, tmp_path / "cache", reader)
    assert reader.calls == 2


def test_only_the_latest_state_is_kept(root: Path, tmp_path: Path) -> None:
    remembered("affectnet", {"root": root}, tmp_path / "cache", read)
    shorten_a_list(root)
    remembered("affectnet", {"root": root}, tmp_path / "cache", read)
    assert len(list((tmp_path / "cache" / "manifests").iterdir())) == 1


@pytest.mark.parametrize("options", [{}, {"root": None}, {"root": "/nowhere/*"}])
def test_without_a_folder_nothing_is_remembered(tmp_path: Path, options: dict[str, Any]) -> None:
    reader = Counting(lambda name, **_: flat_plain(name))
    for _ in range(2):
        remembered("flat", options, tmp_path / "cache", reader)
    assert reader.calls == 2


def test_readers_are_not_remembered(root: Path, tmp_path: Path) -> None:
    reader = Counting(lambda name, **_: flat_manifest(10, dataset=name))
    for _ in range(2):
        remembered("flat", {"root": root}, tmp_path / "cache", reader)
    assert reader.calls == 2


def test_a_cache_that_cannot_be_written_is_a_warning(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    assert len(remembered("affectnet", {"root": root}, tmp_path / "cache", read))
    assert "not remembered" in caplog.text
