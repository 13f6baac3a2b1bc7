from __future__ import annotations

import errno
import fcntl
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch  # noqa: F401 (drawing processes must not inherit it)

from fer_lab.data.pixels import packed, packing
from fer_lab.data.pixels.packed import PackedImages, default_cache, pack
from fer_lab.errors import ConfigError, DataError
from tests.data.flat_faces import BareReader, FlatReader, flat_manifest

# The package the tests' readers are in, for processes that the tests start themselves.
ROOT = Path(__file__).parents[3]
BUILDER = """
import sys
from fer_lab.data.pixels.packed import pack
from tests.data.flat_faces import FlatReader, flat_manifest
images = pack(flat_manifest({count}, reader=FlatReader(seconds={seconds})), 16, sys.argv[1])
print(images.folder, len(images), flush=True)
"""


def start_builder(cache: Path, *, count: int, seconds: float) -> subprocess.Popen[str]:
    code = BUILDER.format(count=count, seconds=seconds)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(cache)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def folders(cache: Path) -> list[Path]:
    return [path for path in (cache / "packed").glob("[!.]*") if path.is_dir()]


def temporary_folders(cache: Path) -> list[Path]:
    return [path for path in (cache / "packed").glob(".*") if path.is_dir()]


def test_rows_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    images = pack(flat_manifest(30), 16, tmp_path)
    pixels = images.read(np.array([7, 29, 7]))
    assert pixels.image.shape == (3, 16, 16, 3)
    assert pixels.image[:, 0, 0, 0].tolist() == [7, 29, 7]
    assert pixels.regions is not None
    assert pixels.regions[:, 5, 5].tolist() == [7, 29 % 19, 7]
    assert pixels.landmarks is not None
    assert pixels.landmarks[:, 67, 1].tolist() == [7, 29, 7]
    assert (len(images), images.size) == (30, 16)


def test_many_processes_draw_what_one_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "processor_count", lambda: 3)
    frame = flat_manifest(611)
    together = pack(frame, 8, tmp_path / "many")
    monkeypatch.setattr(packing, "processor_count", lambda: 1)
    alone = pack(frame, 8, tmp_path / "one")
    rows = np.arange(611)
    assert np.array_equal(together.read(rows).image, alone.read(rows).image)
    assert np.array_equal(together.read(rows).regions, alone.read(rows).regions)
    assert together.read(rows).image[:, 0, 0, 1].tolist() == (rows // 251).tolist()


def test_a_reader_without_regions_or_landmarks_has_none(tmp_path: Path) -> None:
    images = pack(flat_manifest(5, reader=BareReader()), 8, tmp_path)
    assert not images.has_regions
    assert not images.has_landmarks
    assert images.read(np.array([1])).regions is None


def test_the_second_call_opens_what_the_first_drew(tmp_path: Path) -> None:
    first = pack(flat_manifest(10), 8, tmp_path)
    # This reader has the same key and would fail.
    again = pack(flat_manifest(10, reader=FlatReader(fails_at=3)), 8, tmp_path)
    assert again.folder == first.folder


def test_the_key_changes_with_settings_paths_and_size(tmp_path: Path) -> None:
    frame = flat_manifest(10)
    made = [
        pack(frame, 8, tmp_path),
        pack(frame, 9, tmp_path),
        pack(frame.iloc[::-1], 8, tmp_path),
        pack(frame.iloc[:9], 8, tmp_path),
        pack(flat_manifest(10, reader=FlatReader(variant="b")), 8, tmp_path),
    ]
    assert len({images.folder for images in made}) == len(made) == len(folders(tmp_path))


def test_two_builders_at_once_leave_one_whole_folder(tmp_path: Path) -> None:
    builders = [start_builder(tmp_path, count=250, seconds=0.004) for _ in range(2)]
    outputs = [builder.communicate(timeout=60) for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0], outputs
    assert outputs[0][0].splitlines()[-1] == outputs[1][0].splitlines()[-1]
    assert len(folders(tmp_path)) == 1
    assert temporary_folders(tmp_path) == []
    images = PackedImages(folders(tmp_path)[0])
    assert images.read(np.arange(250)).image[:, 3, 3, 0].tolist() == list(range(250))


def test_a_killed_builder_leaves_nothing_that_reads_as_whole(tmp_path: Path) -> None:
    builder = start_builder(tmp_path, count=300, seconds=0.02)
    deadline = time.monotonic() + 30
    while not temporary_folders(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.5)
    os.kill(builder.pid, signal.SIGKILL)
    builder.wait(timeout=10)
    assert len(temporary_folders(tmp_path)) == 1
    assert folders(tmp_path) == []
    images = pack(flat_manifest(300), 16, tmp_path)
    assert images.read(np.arange(300)).landmarks[:, 0, 0].tolist() == list(range(300))
    assert temporary_folders(tmp_path) == []


def test_a_folder_cut_short_is_drawn_again(tmp_path: Path) -> None:
    images = pack(flat_manifest(20), 8, tmp_path)
    file = images.folder / "images.npy"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match="not whole"):
        PackedImages(images.folder)
    again = pack(flat_manifest(20), 8, tmp_path)
    assert again.read(np.array([19])).image[0, 7, 7, 0] == 19


@pytest.mark.parametrize("processors", [1, 2])
def test_a_failing_reader_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processors: int
) -> None:
    monkeypatch.setattr(packing, "processor_count", lambda: processors)
    with pytest.raises((DataError, ValueError), match="no colour for 150"):
        pack(flat_manifest(220, reader=FlatReader(fails_at=150)), 8, tmp_path)
    assert folders(tmp_path) == []
    assert temporary_folders(tmp_path) == []


def test_a_process_that_dies_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "processor_count", lambda: 2)
    with pytest.raises(DataError, match="ended with code 9"):
        pack(flat_manifest(220, reader=BareReader(dies_at=150)), 8, tmp_path)
    assert folders(tmp_path) == []


def test_a_cache_that_cannot_be_written_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be written") as caught:
        pack(flat_manifest(3), 8, tmp_path / "file")
    assert str(tmp_path / "file") in str(caught.value)
    assert "FER_LAB_CACHE" in str(caught.value)


def test_several_datasets_are_not_packed_as_one(tmp_path: Path) -> None:
    frame = flat_manifest(4)
    frame["dataset"] = ["flat", "flat", "other", "other"]
    with pytest.raises(ConfigError, match="only the rows of one dataset"):
        pack(frame, 8, tmp_path)


def test_pickling_opens_the_files_again_instead_of_copying_them(tmp_path: Path) -> None:
    images = pack(flat_manifest(200), 32, tmp_path)
    content = pickle.dumps(images)
    assert len(content) < 1000
    assert pickle.loads(content).read(np.array([5])).image[0, 0, 0, 0] == 5


def test_drawing_processes_import_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "processor_count", lambda: 2)
    images = pack(flat_manifest(220, reader=BareReader()), 8, tmp_path)
    assert not images.read(np.arange(220)).image[:, 0, 1].any()


def test_without_file_locks_the_second_builder_takes_the_folder_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    frame = flat_manifest(5)
    folder = pack(frame, 8, tmp_path / "first").folder
    other = tmp_path / "second" / "packed" / folder.name
    allocate = packed._allocate

    def first_one_finishes(*arguments: Any) -> list[str]:
        shutil.copytree(folder, other)
        return allocate(*arguments)

    monkeypatch.setattr(packed, "_allocate", first_one_finishes)
    images = pack(frame, 8, tmp_path / "second")
    assert images.folder == other
    assert temporary_folders(tmp_path / "second") == []


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_LAB_CACHE", "/elsewhere")
    assert default_cache() == Path("/elsewhere")
    monkeypatch.delenv("FER_LAB_CACHE")
    assert default_cache() == Path.home() / ".cache" / "fer_lab"
