from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_lab.data.manifest import assets
from fer_lab.data.sources import affectnet, read
from fer_lab.errors import ConfigError, DataError
from tests.layouts.affectnet import (
    BOX,
    CODES,
    HEADER,
    landmarks,
    row,
    write_annotations,
    write_csv_release,
    write_image,
    write_npy_release,
)


@pytest.fixture(scope="module")
def csv_copy(tmp_path_factory):
    return write_csv_release(tmp_path_factory.mktemp("affectnet") / "csv", train=2, test=1)


@pytest.fixture(scope="module")
def npy_copy(tmp_path_factory):
    return write_npy_release(tmp_path_factory.mktemp("affectnet") / "npy")


def expected_ids(images: list[str]) -> set[str]:
    return {f"affectnet/{image}" for image in images}


def write_lists(root: Path, training: list[list[str]], validation: list[list[str]]) -> None:
    for name, rows in (("training.csv", training), ("validation.csv", validation)):
        lines = [",".join(cells) for cells in rows]
        (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def small_copy(root: Path, *rows: list[str], validation: list[list[str]] | None = None) -> Path:
    """A CSV release of one good training and one good validation image, and ``rows``."""
    for image in ("1/good.jpg", "1/test.jpg"):
        write_image(root / "Manually_Annotated_Images" / image, 0, np.random.default_rng(0))
    write_lists(
        root,
        [HEADER, row("1/good.jpg", 1), *rows],
        [HEADER, row("1/test.jpg", 1), *(validation or [])],
    )
    return root


@pytest.mark.parametrize("release", ["csv", "npy"])
def test_every_row_is_kept_or_counted(release, csv_copy, npy_copy):
    copy = csv_copy if release == "csv" else npy_copy
    manifest = read("affectnet", copy.root, gender_labels=copy.gender_labels)
    for split, images in copy.images.items():
        assert set(manifest["id"][manifest["split"] == split]) == expected_ids(images)
    assert set(manifest["split"]) == {"train", "test"}
    assert assets(manifest).dropped == copy.dropped
    assert all(Path(path).is_file() for path in manifest["path"])


@pytest.mark.parametrize("release", ["csv", "npy"])
@pytest.mark.parametrize(("code", "name"), enumerate(CODES))
def test_every_code_has_its_expression(release, code, name, csv_copy, npy_copy):
    """Images of code n lie in folder 100 + n, and have landmarks of a radius of 20 + n."""
    manifest = read("affectnet", (csv_copy if release == "csv" else npy_copy).root)
    points = assets(manifest).arrays["landmarks"]
    rows = manifest["landmarks"].to_numpy()
    centre = np.array([BOX[0] + BOX[2] / 2, BOX[1] + BOX[3] / 2])
    radius = np.linalg.norm(points[rows] - centre, axis=2).mean(axis=1)
    of_code = (rows >= 0) & np.isclose(radius, 20 + code, atol=0.1)
    if release == "csv":
        of_code = manifest["id"].str.startswith(f"affectnet/{100 + code}/").to_numpy()
    else:
        of_code &= ~manifest["id"].isin(expected_ids(list(npy_copy.unreadable))).to_numpy()
    assert of_code.sum() == 6
    assert set(manifest["label"][of_code]) == {name}


def test_codes_of_no_expression_are_dropped_by_name():
    assert [affectnet.EXPRESSION_CODES[code] for code in affectnet.NO_EXPRESSION] == [
        "none",
        "uncertain",
        "non-face",
    ]
    assert affectnet.GENDER_CODES == {"F": "female", "M": "male", "I": "unknown"}


def test_boxes_landmarks_and_sentinels_of_the_csv_release(csv_copy):
    manifest = read("affectnet", csv_copy.root).set_index("id")
    arrays = assets(read("affectnet", csv_copy.root)).arrays
    usual = manifest.loc["affectnet/103/train001su.jpg"]
    assert arrays["box"][usual["box"]].tolist() == list(BOX)
    np.testing.assert_allclose(arrays["landmarks"][usual["landmarks"]], landmarks(3), rtol=1e-6)
    assert (usual["valence"], usual["arousal"]) == (0.25, -0.5)
    no_box = manifest.loc["affectnet/8/no-box.jpg"]
    assert (no_box["box"], no_box["landmarks"]) == (-1, -1)
    sentinels = manifest.loc["affectnet/8/sentinels.jpg"]
    assert np.isnan(sentinels["valence"])
    assert np.isnan(sentinels["arousal"])
    assert sentinels["box"] >= 0
    assert sentinels["landmarks"] == -1
    assert manifest["valence"].dtype == np.float32


def test_the_npy_release_has_landmarks_and_no_boxes(npy_copy):
    manifest = read("affectnet", npy_copy.root)
    first = manifest.set_index("id").loc["affectnet/train_set/images/9.jpg"]
    assert "box" not in manifest
    points = assets(manifest).arrays["landmarks"][first["landmarks"]]
    np.testing.assert_allclose(points, landmarks(2), rtol=1e-6)
    assert (first["valence"], first["arousal"]) == (0.25, -0.5)


@pytest.mark.parametrize("release", ["csv", "npy"])
@pytest.mark.parametrize("named", [True, False])
def test_gender_labels_are_joined_from_files_named_or_found(release, named, csv_copy, npy_copy):
    copy = csv_copy if release == "csv" else npy_copy
    manifest = read("affectnet", copy.root, gender_labels=copy.gender_labels if named else "auto")
    images = manifest["id"].str.removeprefix("affectnet/")
    assert manifest["gender"].tolist() == [copy.genders.get(image, "unknown") for image in images]
    assert set(manifest["gender_source"]) == {"annotated"}
    unmatched = assets(manifest).unmatched
    assert len(unmatched) == copy.dropped.get("gender label of no listed image", 0)
    assert set(unmatched["kind"]) <= {"gender label"}
    assert unmatched["place"].str.contains(r"\.csv, line \d+$").all()


def test_without_label_files_every_gender_is_unknown(csv_copy):
    manifest = read("affectnet", csv_copy.root, gender_labels=None)
    assert set(manifest["gender"]) == {"unknown"}
    assert set(manifest["gender_source"]) == {"none"}


def test_gender_columns_of_other_names(tmp_path):
    root = small_copy(tmp_path)
    labels = tmp_path / "labels.csv"
    labels.write_text("file;,who,again\ngood.jpg,m,\ngood.jpg,F,1\n")
    columns = {"path": "file;", "gender": "who", "duplicate": "again"}
    manifest = read("affectnet", root, gender_labels=str(labels), gender_columns=columns)
    assert manifest.set_index("id")["gender"].to_dict() == {
        "affectnet/1/good.jpg": "male",
        "affectnet/1/test.jpg": "unknown",
    }
    with pytest.raises(ConfigError, match="gender_columns has sex"):
        read("affectnet", root, gender_columns={"sex": "who"})


def test_lists_may_stand_beside_the_images_and_in_parent_folders(tmp_path):
    flat = write_csv_release(tmp_path / "a", train=1, test=1, odd=False, lists_folder=False)
    write_csv_release(tmp_path / "b" / "Manually_Annotated", train=1, test=1, odd=False)
    first, second = read("affectnet", flat.root), read("affectnet", tmp_path / "b")
    assert list(first["id"]) == list(second["id"])
    assert assets(first).dropped == {}


def test_another_layout_names_what_is_missing(tmp_path):
    with pytest.raises(
        DataError, match=r"training.csv and validation.csv not found(.|\n)*train_set"
    ):
        read("affectnet", tmp_path)
    (tmp_path / "training.csv").touch()
    with pytest.raises(DataError, match=r"layout: validation.csv not found"):
        read("affectnet", tmp_path)
    with pytest.raises(DataError, match="train_set and val_set not found"):
        read("affectnet", tmp_path, release="npy")
    (tmp_path / "train_set").mkdir()
    with pytest.raises(ConfigError, match="both releases"):
        read("affectnet", tmp_path)
    with pytest.raises(ConfigError, match="no release 'tfrecord'"):
        read("affectnet", tmp_path, release="tfrecord")


def test_a_missing_column_names_the_file_and_its_columns(tmp_path):
    root = small_copy(tmp_path)
    write_lists(root, [[*HEADER[:6], "label", *HEADER[7:]], row("1/good.jpg", 1)], [HEADER])
    with pytest.raises(DataError) as caught:
        read("affectnet", root)
    for words in ("training.csv has no column expression", str(root), "face_height", "label"):
        assert words in str(caught.value)


@pytest.mark.parametrize("code", ["11", "-1", "1.5", "happy"])
def test_an_unknown_code_names_file_line_value_and_the_known(tmp_path, code):
    root = small_copy(tmp_path, row("1/good.jpg", 2), row("1/good.jpg", code))
    with pytest.raises(DataError) as caught:
        read("affectnet", root)
    for words in (repr(code), "training.csv, line 4", "0 neutral", "10 non-face"):
        assert words in str(caught.value)


@pytest.mark.parametrize("code", ["11", "1.5", "happy", 12])
def test_an_unknown_code_in_an_array_names_the_file(tmp_path, code):
    copy = write_npy_release(tmp_path, odd=False, train=1)
    write_annotations(tmp_path / "val_set/annotations", 3, code, text=isinstance(code, str))
    with pytest.raises(DataError) as caught:
        read("affectnet", copy.root)
    for words in (str(code), "val_set/annotations/3_exp.npy", "0 neutral"):
        assert words in str(caught.value)


def test_codes_written_as_floats_are_codes(tmp_path):
    root = small_copy(tmp_path, validation=None)
    write_lists(root, [HEADER, row("1/good.jpg", "3.0")], [HEADER, row("1/test.jpg", " 7 ")])
    assert read("affectnet", root).set_index("split")["label"].to_dict() == {
        "train": "surprise",
        "test": "contempt",
    }


def test_an_image_in_both_lists_is_only_tested_on(tmp_path):
    root = small_copy(tmp_path, row("1/test.jpg", 2))
    manifest = read("affectnet", root)
    assert manifest.set_index("id")["split"].to_dict() == {
        "affectnet/1/test.jpg": "test",
        "affectnet/1/good.jpg": "train",
    }
    assert assets(manifest).dropped == {"listed again with another label, first kept": 1}


@pytest.mark.parametrize(
    "changed",
    [
        {"facial_landmarks": ";".join(["1"] * 135)},
        {"facial_landmarks": ";".join(["1"] * 137)},
        {"facial_landmarks": ";".join(["1"] * 135 + ["one"])},
        {"facial_landmarks": ";".join(["1"] * 135 + ["nan"])},
        {"facial_landmarks": ";".join(["1"] * 100 + [""] + ["1"] * 35)},
        {"face_x": "left"},
        {"arousal": "inf"},
    ],
)
def test_a_malformed_row_is_set_aside_and_others_are_read_as_before(tmp_path, changed, caplog):
    root = tmp_path
    write_image(root / "Manually_Annotated_Images/1/bad.jpg", 0, np.random.default_rng(0))
    small_copy(root, row("1/bad.jpg", 1, **changed))
    manifest = read("affectnet", root)
    assert list(manifest["id"]) == ["affectnet/1/test.jpg", "affectnet/1/good.jpg"]
    assert assets(manifest).dropped == {"malformed row": 1}
    assert "training.csv, line 3" in caplog.text
    points = assets(manifest).arrays["landmarks"][manifest["landmarks"]]
    np.testing.assert_allclose(points, [landmarks(1)] * 2, rtol=1e-6)


def test_a_line_with_too_many_cells_names_the_line(tmp_path):
    root = small_copy(tmp_path, [*row("1/good.jpg", 1), "more"])
    with pytest.raises(DataError, match=r"training.csv is no list(.|\n)*line 3"):
        read("affectnet", root)


@pytest.mark.parametrize("cells", [row("1/more.jpg", 1)[:3], row("1/more.jpg", "")])
def test_a_row_without_a_code_is_set_aside(tmp_path, cells):
    write_image(tmp_path / "Manually_Annotated_Images/1/more.jpg", 0, np.random.default_rng(0))
    manifest = read("affectnet", small_copy(tmp_path, cells))
    assert list(manifest["id"]) == ["affectnet/1/test.jpg", "affectnet/1/good.jpg"]
    assert assets(manifest).dropped == {"malformed row": 1}


def test_a_row_that_is_set_aside_does_not_shadow_a_later_one(tmp_path):
    root = small_copy(tmp_path, row("1/test.jpg", 2), validation=[row("1/other.jpg", 8)])
    for image in ("1/other.jpg",):
        write_image(root / "Manually_Annotated_Images" / image, 0, np.random.default_rng(0))
    training = root / "training.csv"
    training.write_text(training.read_text() + ",".join(row("1/other.jpg", 4)) + "\n")
    found = read("affectnet", root).set_index("id")
    assert (found["label"]["affectnet/1/other.jpg"], found["split"]["affectnet/1/other.jpg"]) == (
        "fear",
        "train",
    )


def test_nothing_usable_is_an_error_with_the_counts(tmp_path):
    write_lists(
        tmp_path,
        [HEADER, row("/etc/passwd", 1), row("a/../../b.jpg", 1), row("C:\\b.jpg", 1)],
        [HEADER, row("1/gone.jpg", 1)],
    )
    with pytest.raises(DataError, match=r"outside the folder of images: 3.*|image missing: 1"):
        read("affectnet", tmp_path)


def test_empty_lists_are_an_error(tmp_path):
    write_lists(tmp_path, [HEADER], [HEADER])
    with pytest.raises(DataError, match="there is no image of AffectNet"):
        read("affectnet", tmp_path)


def test_many_rows_are_read_in_parts_alike(tmp_path, monkeypatch):
    from fer_lab.data.sources import affectnet_csv, lists

    copy = write_csv_release(tmp_path, train=2, test=1)
    whole = read("affectnet", copy.root)
    monkeypatch.setattr(lists, "_CHUNK", 7)
    monkeypatch.setattr(affectnet_csv, "_AT_ONCE", 3)
    parts = read("affectnet", copy.root)
    pd.testing.assert_frame_equal(whole, parts)
    for name, array in assets(whole).arrays.items():
        np.testing.assert_array_equal(assets(parts).arrays[name], array)


def test_pickled_annotations_are_never_loaded(tmp_path):
    copy = write_npy_release(tmp_path, odd=False)
    marker = tmp_path / "executed"

    class Attack:
        def __reduce__(self):
            return (Path.touch, (marker,))

    for suffix in ("exp", "lnd"):
        path = tmp_path / "train_set/annotations" / f"0_{suffix}.npy"
        np.save(path, np.array([Attack()], dtype=object), allow_pickle=True)
    manifest = read("affectnet", copy.root)
    assert not marker.exists()
    assert assets(manifest).dropped == {"annotation unreadable": 1}
