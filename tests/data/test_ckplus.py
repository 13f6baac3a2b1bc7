from __future__ import annotations

import numpy as np
import pytest

from fer_lab.data import CKPlusDataModule
from fer_lab.data.manifest import assets
from fer_lab.data.sources import ckplus, read
from fer_lab.errors import ConfigError, DataError
from tests.layouts.ckplus import (
    CODES,
    CSV_CODES,
    FOLDERS,
    grey,
    write_csv,
    write_emotion,
    write_folders,
    write_sequence,
    write_sequences,
)

WRITERS = {"sequences": write_sequences, "folders": write_folders, "csv": write_csv}


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    root = tmp_path_factory.mktemp("ckplus")
    return {name: write(root / name) for name, write in WRITERS.items()}


@pytest.mark.parametrize("form", WRITERS)
def test_every_row_is_kept_with_its_person_and_expression_or_counted(form, copies):
    copy = copies[form]
    manifest = read("ckplus", copy.root)
    rows = manifest[["subject", "label"]].astype(object).where(manifest["subject"].notna(), None)
    rows["label"] = manifest["label"]
    found = dict(zip(manifest["id"], rows.itertuples(index=False, name=None), strict=True))
    assert found == {f"ckplus/{key}": shown for key, shown in copy.images.items()}
    assert assets(manifest).dropped == copy.dropped


@pytest.mark.parametrize("form", WRITERS)
def test_all_rows_are_training_and_nothing_is_said_of_gender(form, copies):
    manifest = read("ckplus", copies[form].root)
    assert set(manifest["split"]) == {"train"}
    assert set(manifest["gender"]) == {"unknown"}
    assert set(manifest["gender_source"]) == {"none"}


@pytest.mark.parametrize(("code", "name"), CODES.items())
def test_every_code_of_an_emotion_file_has_its_expression(code, name, tmp_path):
    names = write_sequence(tmp_path, "S005", "001", 4, code)
    write_emotion(tmp_path, names[-1], f"   {code:.7e}\n")
    labels = read("ckplus", tmp_path).set_index("id")["label"].to_dict()
    assert labels == {
        f"ckplus/{key}": label for key, label in zip(names, ["neutral", *[name] * 3], strict=True)
    }


@pytest.mark.parametrize(("code", "name"), enumerate(CSV_CODES))
def test_every_code_of_the_csv_form_has_its_expression(code, name, copies):
    """Row n of the first eight has code n; the emotion files' codes are others."""
    manifest = read("ckplus", copies["csv"].root).set_index("id")
    assert manifest.loc[f"ckplus/ckextended.csv#{code}", "label"] == name


@pytest.mark.parametrize(("folder", "name"), FOLDERS.items())
def test_every_folder_has_its_expression(folder, name, copies):
    manifest = read("ckplus", copies["folders"].root)
    inside = manifest["path"].str.contains(f"/{folder}/")
    assert inside.sum() >= 12
    assert set(manifest["label"][inside]) == {name}


def test_the_codes_are_those_of_the_description():
    assert ckplus.EXPRESSION_CODES == CODES
    assert dict(enumerate(CSV_CODES)) == ckplus.CSV_CODES
    assert FOLDERS.items() <= ckplus.FOLDER_CODES.items()


@pytest.mark.parametrize("peak", [1, 2, 3, 5, 50])
def test_the_last_frames_are_the_peak_and_the_first_is_neutral(peak, tmp_path):
    names = write_sequence(tmp_path, "S005", "001", 6, 1)
    write_emotion(tmp_path, names[-1], "7.0000000e+00")
    manifest = read("ckplus", tmp_path, peak_frames=peak)
    assert manifest["id"].tolist() == [f"ckplus/{n}" for n in [names[0], *names[1:][-peak:]]]
    assert manifest["label"].tolist() == ["neutral", *["surprise"] * min(peak, 5)]


def test_frames_are_in_the_order_of_their_numbers(tmp_path):
    names = write_sequence(tmp_path, "S005", "001", 3, 1)
    folder = tmp_path / "cohn-kanade-images/S005/001"
    (folder / f"{names[-1]}.png").rename(folder / "S005_001_100.png")
    write_emotion(tmp_path, "S005_001_100", "1")
    manifest = read("ckplus", tmp_path, peak_frames=1)
    assert manifest["id"].tolist() == [f"ckplus/{names[0]}", "ckplus/S005_001_100"]


def test_pixels_of_the_csv_form_come_from_their_row(copies):
    manifest = read("ckplus", copies["csv"].root)
    reader = assets(manifest).readers["ckplus"]
    for row in (0, 13):
        sample = reader.read(manifest["path"][row], 48)
        np.testing.assert_array_equal(sample.image, np.repeat(grey(row)[..., None], 3, axis=2))
    last = manifest["path"].iloc[-1]
    assert last == "ckextended.csv#30"
    np.testing.assert_array_equal(reader.read(last, 48).image[..., 0], grey(0))


@pytest.mark.parametrize("value", ["8.0", "3.5", "-1"])
def test_an_unknown_emotion_names_its_file(value, tmp_path):
    names = write_sequence(tmp_path, "S005", "001", 4, 1)
    write_emotion(tmp_path, names[-1], value)
    with pytest.raises(DataError, match=rf"'{value}' is no code(.|\n)*{names[-1]}_emotion.txt"):
        read("ckplus", tmp_path)


@pytest.mark.parametrize("value", ["8", "happy"])
def test_an_unknown_code_of_the_csv_form_names_its_line(value, tmp_path):
    path = write_csv(tmp_path, each=1).root / "ckextended.csv"
    path.write_text(path.read_text() + f"{value},1 2 3,Training\n")
    lines = len(path.read_text().splitlines())
    with pytest.raises(DataError, match=rf"'{value}' is no code(.|\n)*csv, line {lines}"):
        read("ckplus", tmp_path)


def test_an_unknown_folder_is_named(tmp_path):
    root = write_folders(tmp_path, people=1, odd=False).root
    (root / "CK+48/fear").rename(root / "CK+48/joy")
    with pytest.raises(DataError, match=r"'joy' is no code for a folder(.|\n)*joy/S010(.|\n)*sad"):
        read("ckplus", root)


def test_the_csv_form_needs_its_columns_and_a_face(tmp_path):
    path = tmp_path / "ckextended.csv"
    path.write_text("emotion,image\n3,1 2 3\n")
    with pytest.raises(DataError, match=r"no column pixels"):
        read("ckplus", tmp_path)
    path.write_text("emotion,pixels\n3,1 2 3\n")
    with pytest.raises(DataError, match=r"none of the 1 rows of CK\+.*48 × 48 grey values: 1"):
        read("ckplus", tmp_path)


def test_a_folder_with_several_forms_asks_which(tmp_path):
    for write in WRITERS.values():
        write(tmp_path, odd=False)
    with pytest.raises(ConfigError, match=r"several forms of CK\+: sequences, folders, csv"):
        read("ckplus", tmp_path)
    counts = {name: len(read("ckplus", tmp_path, release=name)) for name in WRITERS}
    assert counts == {"sequences": 4 * 7 * 4, "folders": 4 * 7 * 3, "csv": 24}


def test_the_folder_of_ck48_may_be_the_root(tmp_path):
    root = write_folders(tmp_path, odd=False).root
    assert read("ckplus", root)["id"].equals(read("ckplus", root / "CK+48")["id"])


@pytest.mark.parametrize(
    ("options", "words"),
    [({"release": "48"}, "no release '48'"), ({"peak_frames": 0}, "peak_frames=0")],
)
def test_an_option_that_cannot_work_is_an_error(options, words, copies):
    with pytest.raises(ConfigError, match=words):
        read("ckplus", copies["folders"].root, **options)


def test_another_layout_names_what_is_missing(tmp_path):
    with pytest.raises(DataError, match=r"cohn-kanade-images, CK\+48 and ckextended.csv not found"):
        read("ckplus", tmp_path)
    with pytest.raises(DataError, match=r"CK\+\'s layout: ckextended.csv not found"):
        read("ckplus", tmp_path, release="csv")
    (tmp_path / "cohn-kanade-images").mkdir()
    with pytest.raises(DataError, match=r"CK\+\'s layout: Emotion not found"):
        read("ckplus", tmp_path)
    (tmp_path / "Emotion").mkdir()
    with pytest.raises(DataError, match=r"there is no image of CK\+"):
        read("ckplus", tmp_path)


def test_the_csv_form_is_loaded_from_the_packed_cache(tmp_path):
    root = write_csv(tmp_path / "ck", each=10).root
    data = CKPlusDataModule(root, image_size=48, batch_size=8, cache_dir=tmp_path / "cache")
    data.setup()
    assert min(map(len, (data.train_rows, data.val_rows, data.test_rows))) > 0
    batch = next(iter(data.test_dataloader()))
    row = int(data.manifest["path"].iloc[int(batch["index"][0])].rpartition("#")[2])
    np.testing.assert_array_equal(batch["image"][0, 0].numpy(), grey(row if row < 80 else 0))
