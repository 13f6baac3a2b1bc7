from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_lab.data.manifest import Assets, validate
from fer_lab.data.pixels import verification
from fer_lab.data.pixels.decoding import decode
from fer_lab.data.pixels.verification import verify


def manifest_of(*paths: Path, boxes: list[tuple[float, ...]] | None = None) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "id": [f"a/{number}" for number in range(len(paths))],
            "dataset": "a",
            "path": [str(path) for path in paths],
            "label": "happy",
            "split": "train",
        }
    )
    if boxes is not None:
        frame["box"] = range(len(boxes))
        frame.attrs["assets"] = Assets(arrays={"box": np.array(boxes, np.float32)})
    return validate(frame)


def photograph(path: Path, size: tuple[int, int] = (64, 48), **options: object) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    mode = options.pop("mode", "RGB")
    Image.fromarray(pixels).convert(str(mode)).save(path, **options)
    return path


def replace_unseen(path: Path, content: bytes) -> None:
    """Other content of the same size and time: only a look into the file could tell."""
    before = path.stat()
    path.write_bytes(content.ljust(before.st_size, b"\0")[: before.st_size])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def reasons(table: pd.DataFrame) -> dict[str, str]:
    return {
        Path(path).name: reason for path, reason in zip(table["path"], table["reason"], strict=True)
    }


def test_files_that_cannot_be_used_are_listed_with_their_reason(tmp_path):
    good = photograph(tmp_path / "good.jpg")
    whole = good.read_bytes()
    png = photograph(tmp_path / "good.png").read_bytes()
    for name, content in {
        "empty.jpg": b"",
        "text.jpg": b"<html>",
        "half.jpg": whole[: len(whole) // 2],
        "half.png": png[: len(png) // 2],
        "damaged.png": png[:60] + b"\0" * 40 + png[100:],
        "short.jpg": whole[:10],
    }.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    names = [*sorted(path.name for path in tmp_path.iterdir()), "gone.jpg"]
    good_rows, unreadable = verify(
        manifest_of(*(tmp_path / name for name in names)), tmp_path / "cache"
    )
    assert [name for name, good in zip(names, good_rows, strict=True) if good] == [
        "good.jpg",
        "good.png",
    ]
    assert reasons(unreadable) == {
        "empty.jpg": "empty file",
        "text.jpg": "not an image",
        "half.jpg": "truncated image",
        "half.png": "truncated image",
        "damaged.png": "damaged image",
        "short.jpg": "truncated image",
        "folder.jpg": "file cannot be opened",
        "loop.jpg": "file missing",
        "gone.jpg": "file missing",
    }
    assert list(unreadable.columns) == ["id", "path", "reason"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {"mode": "L"}),
        ("a.jpg", {"mode": "CMYK"}),
        ("a.jpg", {"progressive": True}),
        ("tiny.jpg", {"size": (3, 2)}),
        ("a.png", {"mode": "P"}),
        ("a.png", {"mode": "RGBA"}),
        ("a.tiff", {}),
        ("a.tiff", {"mode": "L"}),
        ("a.bmp", {}),
        ("a.webp", {}),
        ("a.ppm", {}),
        ("a.png", {"mode": "I;16"}),
        ("png-called.jpg", {"format": "PNG"}),
    ],
)
def test_what_is_good_here_is_readable_there(tmp_path, name, options):
    path = photograph(tmp_path / name, **options)
    good, unreadable = verify(manifest_of(path), tmp_path / "cache")
    assert good.all()
    assert unreadable.empty
    assert decode(str(path)).shape == (*options.get("size", (64, 48))[::-1], 3)


def test_what_was_seen_is_not_looked_at_again(tmp_path):
    good, bad = photograph(tmp_path / "good.jpg"), tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    manifest = manifest_of(good, bad)
    verify(manifest, tmp_path / "cache")
    replace_unseen(good, b"no image")
    rows, unreadable = verify(manifest, tmp_path / "cache")
    assert rows.tolist() == [True, False]
    assert reasons(unreadable) == {"bad.jpg": "not an image"}


def test_a_file_that_changed_is_looked_at_again(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"no image")
    manifest = manifest_of(path)
    assert not verify(manifest, tmp_path / "cache")[0].any()
    photograph(path)
    assert verify(manifest, tmp_path / "cache")[0].all()
    replace_unseen(path, b"no image")
    os.utime(path, ns=(1, 1))
    assert not verify(manifest, tmp_path / "cache")[0].any()


def test_what_was_seen_of_other_files_is_kept(tmp_path):
    first, second = photograph(tmp_path / "1.jpg"), photograph(tmp_path / "2.jpg")
    for path in (first, second):
        verify(manifest_of(path), tmp_path / "cache")
    for path in (first, second):
        replace_unseen(path, b"no image")
    assert verify(manifest_of(first, second), tmp_path / "cache")[0].all()


def test_an_interruption_keeps_what_was_seen(tmp_path, monkeypatch):
    paths = [photograph(tmp_path / f"{number}.jpg") for number in range(3)]
    look = verification.look

    def interrupted(path: str):
        if path.endswith("2.jpg"):
            raise KeyboardInterrupt
        return look(path)

    monkeypatch.setattr(verification, "look", interrupted)
    monkeypatch.setattr("fer_lab.data.threads._AT_ONCE", 1)
    with pytest.raises(KeyboardInterrupt):
        verify(manifest_of(*paths), tmp_path / "cache", threads=1)
    monkeypatch.setattr(verification, "look", look)
    for path in paths:
        replace_unseen(path, b"no image")
    assert verify(manifest_of(*paths), tmp_path / "cache")[0].tolist() == [True, True, False]


VERIFIER = """
import sys, time
from pathlib import Path
from fer_lab.data import threads
from fer_lab.data.pixels import file_memory, verification
from tests.data.pixels.test_verification import manifest_of

def slow(path, look=verification.look):
    time.sleep(0.02)
    return look(path)

verification.look, threads._AT_ONCE, file_memory._KEEP_EVERY = slow, 1, 0.1
verification.verify(manifest_of(*sorted(Path(sys.argv[1]).glob("*.jpg"))), sys.argv[2], threads=1)
"""


def test_a_killed_process_leaves_what_it_had_kept(tmp_path):
    paths = [photograph(tmp_path / f"{number:03d}.jpg") for number in range(200)]
    cache = tmp_path / "cache"
    process = subprocess.Popen(
        [sys.executable, "-c", VERIFIER, str(tmp_path), str(cache)], cwd=Path(__file__).parents[3]
    )
    deadline = time.monotonic() + 60
    while not list(cache.glob("verified-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait(timeout=10) == -signal.SIGKILL
    for path in paths:
        replace_unseen(path, b"no image")
    good, _ = verify(manifest_of(*paths), cache)
    assert good[0]
    assert not good[-1]


def test_a_damaged_memory_is_made_anew(tmp_path):
    path = photograph(tmp_path / "a.jpg")
    manifest = manifest_of(path)
    verify(manifest, tmp_path / "cache")
    (memory,) = (tmp_path / "cache").iterdir()
    memory.write_bytes(b"PAR1 and nothing else")
    assert verify(manifest, tmp_path / "cache")[0].all()
    replace_unseen(path, b"no image")
    assert verify(manifest, tmp_path / "cache")[0].all()


def test_a_memory_that_cannot_be_written_is_a_warning(tmp_path, caplog):
    (tmp_path / "cache").write_text("a file, not a folder")
    good, _ = verify(manifest_of(photograph(tmp_path / "a.jpg")), tmp_path / "cache")
    assert good.all()
    assert "not kept" in caplog.text


def test_a_decompression_bomb_is_not_decoded(tmp_path):
    bomb = tmp_path / "bomb.png"
    Image.new("1", (20_000, 10_000)).save(bomb)
    assert bomb.stat().st_size < 100_000
    larger = tmp_path / "larger.png"
    Image.new("1", (30_000, 10_000)).save(larger)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, unreadable = verify(manifest_of(bomb, larger), tmp_path / "cache")
    assert set(unreadable["reason"]) == {"more than 80 megapixels"}


@pytest.mark.parametrize(
    ("box", "good"),
    [
        ((0, 0, 64, 48), True),
        ((-10, -10, 20, 20), True),
        ((60, 40, 100, 100), True),
        ((64, 0, 10, 10), False),
        ((0, 48, 10, 10), False),
        ((-20, 5, 20, 10), False),
        ((10, 10, 0, 10), False),
        ((10, 10, 5, -3), False),
    ],
)
def test_a_box_must_share_area_with_its_image(tmp_path, box, good):
    manifest = manifest_of(photograph(tmp_path / "a.jpg"), boxes=[box])
    rows, unreadable = verify(manifest, tmp_path / "cache")
    assert rows.tolist() == [good]
    assert list(unreadable["reason"]) == ([] if good else ["box outside the image"])


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tiff", "a.webp"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_box_is_checked_against_the_image_as_it_is_turned(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = photograph(tmp_path / name, size=(90, 30), exif=exif)
    width, height = (30, 90) if orientation > 4 else (90, 30)
    boxes = [(width - 2, 0, 10, 10), (0, height - 2, 10, 10), (width, 0, 9, 9), (0, height, 9, 9)]
    rows, _ = verify(manifest_of(path, path, path, path, boxes=boxes), tmp_path / "cache")
    assert rows.tolist() == [True, True, False, False]


def test_an_exif_block_in_disorder_turns_nothing(tmp_path):
    path = photograph(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert verify(manifest_of(path, boxes=[(60, 0, 9, 9)]), tmp_path / "cache")[0].all()


def test_faces_of_one_file_are_judged_by_their_own_boxes(tmp_path):
    path = photograph(tmp_path / "a.jpg")
    manifest = manifest_of(path, path, path, boxes=[(0, 0, 9, 9), (99, 0, 9, 9), (9, 9, 9, 9)])
    manifest["box"] = [0, 1, -1]
    assert verify(manifest, tmp_path / "cache")[0].tolist() == [True, False, True]


def test_rows_that_are_not_files_are_good(tmp_path):
    class Reader:
        def key(self):
            return ""

    manifest = manifest_of(Path("synthetic#1"), photograph(tmp_path / "a.jpg"))
    manifest["dataset"] = pd.Categorical(["made", "a"])
    manifest.attrs["assets"] = Assets(readers={"made": Reader()})
    good, unreadable = verify(manifest, tmp_path / "cache")
    assert good.all()
    assert unreadable.empty
    only_made = manifest.iloc[:1].reset_index(drop=True)
    assert verify(only_made, tmp_path / "cache")[0].all()
