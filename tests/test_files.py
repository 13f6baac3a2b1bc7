"""Files are whole or not there, and the last words of a run find room on a full disk."""

from __future__ import annotations

import json

import pytest

from fer_lab.errors import user_mistake
from fer_lab.files import atomic_path, write_json
from tests.disks import disk, fill


@pytest.fixture
def small_disk(tmp_path):
    with disk(tmp_path / "disk", "1m") as place:
        yield place


def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "facts.json"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), atomic_path(path) as temporary:
        temporary.write_text("half and \udcff", encoding="utf-8")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_takes_last_words_in_place_as_far_as_a_block_goes(small_disk):
    path = small_disk / "run.json"
    write_json(path, {"status": "running", "started": "x" * 500})
    fill(small_disk)
    with pytest.raises(OSError, match=f"No space left on device: '{path}'") as error:
        write_json(path, {"status": "failed"})
    assert str(user_mistake(error.value)).splitlines()[:2] == [
        "cannot write there: No space left on device",
        f"  where: {path}",
    ]
    assert json.loads(path.read_text())["status"] == "running"
    for words in ("short", "long" * 500):  # shorter and longer than what stood there
        write_json(path, {"status": "failed", "error": words}, in_place=True)
        assert json.loads(path.read_text()) == {"status": "failed", "error": words}
    with pytest.raises(OSError, match="No space left"):
        write_json(path, {"status": "failed", "error": "longer" * 1000}, in_place=True)
    assert json.loads(path.read_text())["error"] == words
    assert [each.name for each in small_disk.glob(".*")] == []
