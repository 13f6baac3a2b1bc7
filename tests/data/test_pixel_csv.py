from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fer_lab.data.sources import pixel_csv
from fer_lab.data.sources.named_images import files_below
from fer_lab.data.sources.pixel_csv import grey_values, read_pixel_csv
from fer_lab.errors import DataError

COUNT = 48 * 48


def text(values: np.ndarray, separator: str = " ") -> str:
    return separator.join(map(str, np.ravel(values)))


def write(path: Path, *rows: tuple[str, str]) -> Path:
    lines = [f'{label},"{pixels}",Training' for label, pixels in rows]
    path.write_text("\n".join(["emotion,pixels,Usage", *lines]) + "\n")
    return path


@pytest.fixture
def faces():
    return np.random.default_rng(0).integers(0, 256, (5, 48, 48)).astype(np.uint8)


def test_texts_become_the_images_that_a_slow_loop_reads(faces):
    images, wrong = grey_values([text(face) for face in faces])
    assert not wrong.any()
    np.testing.assert_array_equal(images, faces)


@pytest.mark.parametrize("separator", ["  ", "\t", " \n", "\r\n"])
def test_any_blanks_separate(separator, faces):
    images, wrong = grey_values([f" {text(faces[0], separator)} ", text(faces[1])])
    assert not wrong.any()
    np.testing.assert_array_equal(images, faces[:2])


@pytest.mark.parametrize(
    "damage",
    [
        lambda values: values[:-1],
        lambda values: [*values, "0"],
        lambda values: [*values[:-1], "256"],
        lambda values: [*values[:-1], "1000"],
        lambda values: [*values[:-1], "00007"],
        lambda values: [*values[:-1], "-1"],
        lambda values: [*values[:-1], "1.5"],
        lambda values: [*values[:-1], "é"],
        lambda values: values[:0],
    ],
)
def test_a_damaged_text_is_told_apart_from_its_neighbours(damage, faces):
    middle = " ".join(damage(text(faces[1]).split(" ")))
    images, wrong = grey_values([text(faces[0]), middle, text(faces[2])])
    assert wrong.tolist() == [False, True, False]
    np.testing.assert_array_equal(images, [faces[0], np.zeros((48, 48)), faces[2]])


def test_no_texts_are_no_images():
    images, wrong = grey_values([])
    assert images.shape == (0, 48, 48)
    assert len(wrong) == 0


def test_rows_and_pixels_of_a_file(faces, tmp_path, monkeypatch):
    monkeypatch.setattr(pixel_csv, "_ROWS", 2)
    rows = [(str(n), text(face)) for n, face in enumerate(faces)]
    path = write(tmp_path / "f.csv", *rows[:2], ("9", "1 2"), *rows[2:])
    content = read_pixel_csv(path, ["emotion"], cache_dir=tmp_path / "cache")
    assert content.rows["emotion"].tolist() == ["0", "1", "9", "2", "3", "4"]
    assert content.rows.index.tolist() == [2, 3, 4, 5, 6, 7]
    assert content.wrong.tolist() == [False, False, True, False, False, False]
    assert content.paths.tolist() == [f"f.csv#{n}" for n in range(6)]
    sample = content.reader.read("f.csv#3", 48)
    np.testing.assert_array_equal(sample.image, np.repeat(faces[2][..., None], 3, axis=2))
    larger = content.reader.read("f.csv#3", 96).image
    assert larger.shape == (96, 96, 3)
    assert larger.dtype == np.uint8


def test_a_file_is_read_once_until_it_changes(faces, tmp_path, monkeypatch):
    path = write(tmp_path / "f.csv", ("1", text(faces[0])))
    first = read_pixel_csv(path, ["emotion"], cache_dir=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(pixel_csv, "read_list", None)
        again = read_pixel_csv(path, ["emotion"], cache_dir=tmp_path)
    assert again.rows.equals(first.rows)
    assert again.reader.key() == first.reader.key()
    write(path, ("1", text(faces[1])), ("2", text(faces[2])))
    changed = read_pixel_csv(path, ["emotion"], cache_dir=tmp_path)
    assert len(changed.rows) == 2
    assert changed.reader.key() != first.reader.key()
    np.testing.assert_array_equal(first.reader.read("f.csv#0", 48).image[..., 0], faces[0])


def test_a_copy_elsewhere_has_the_same_key(faces, tmp_path):
    keys = set()
    for name in ("a.csv", "b.csv"):
        path = write(tmp_path / name, ("1", text(faces[0])))
        keys.add(read_pixel_csv(path, ["emotion"], cache_dir=tmp_path).reader.key())
    assert len(keys) == 1


@pytest.mark.parametrize("file", ["images.npy", "rows.parquet", "content.json"])
@pytest.mark.parametrize("content", [None, b""])
def test_a_damaged_cache_is_made_anew(file, content, faces, tmp_path):
    path = write(tmp_path / "f.csv", ("1", text(faces[0])))
    array = read_pixel_csv(path, ["emotion"], cache_dir=tmp_path).reader.array
    if content is None:
        (array.parent / file).unlink()
    else:
        (array.parent / file).write_bytes(content)
    again = read_pixel_csv(path, ["emotion"], cache_dir=tmp_path)
    np.testing.assert_array_equal(again.reader.read("f.csv#0", 48).image[..., 0], faces[0])
    assert [folder.name for folder in (tmp_path / "pixels").iterdir()] == [array.parent.name]


def test_a_reader_crosses_to_other_processes_without_its_pixels_or_torch(faces, tmp_path):
    path = write(tmp_path / "f.csv", ("1", text(faces[0])))
    reader = read_pixel_csv(path, ["emotion"], cache_dir=tmp_path).reader
    before = reader.read("f.csv#0", 48).image
    pickled = pickle.dumps(reader)
    assert len(pickled) < 1000
    np.testing.assert_array_equal(pickle.loads(pickled).read("f.csv#0", 48).image, before)
    (tmp_path / "reader").write_bytes(pickled)
    code = (
        "import pathlib, pickle, sys\n"
        "reader = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "reader.read('f.csv#0', 48)\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "reader")], check=True)


def test_pixels_that_are_gone_are_named(faces, tmp_path):
    path = write(tmp_path / "f.csv", ("1", text(faces[0])))
    reader = read_pixel_csv(path, ["emotion"], cache_dir=tmp_path).reader
    reader.array.unlink()
    with pytest.raises(DataError, match=r"cannot be read(.|\n)*images.npy"):
        reader.read("f.csv#0", 48)


def test_a_missing_file_or_column_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone.csv cannot be read: No such file"):
        read_pixel_csv(tmp_path / "gone.csv", ["emotion"], cache_dir=tmp_path)
    path = tmp_path / "f.csv"
    path.write_text("emotion,image\n1,2\n")
    with pytest.raises(DataError, match=r"no column pixels(.|\n)*emotion, image"):
        read_pixel_csv(path, ["emotion"], cache_dir=tmp_path)


def test_a_cache_that_cannot_be_written_says_so(faces, tmp_path):
    path = write(tmp_path / "f.csv", ("1", text(faces[0])))
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot be written(.|\n)*FER_LAB_CACHE"):
        read_pixel_csv(path, ["emotion"], cache_dir=tmp_path / "file")


def test_a_file_without_rows_has_no_faces(tmp_path):
    content = read_pixel_csv(write(tmp_path / "f.csv"), ["emotion"], cache_dir=tmp_path)
    assert len(content.rows) == len(content.wrong) == len(content.paths) == 0


def test_files_are_found_at_any_depth_once_and_links_end(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name in ("1.png", "a/2.PNG", "a/b/3.png", "a/.4.png", ".hidden/5.png", "a/6.txt"):
        (tmp_path / name).touch()
    (tmp_path / "a/b/up").symlink_to(tmp_path)
    (tmp_path / "a/self").symlink_to(tmp_path / "a/self")
    assert files_below(tmp_path) == ["1.png", "a/2.PNG", "a/b/3.png"]
    assert files_below(tmp_path / "gone") == []
