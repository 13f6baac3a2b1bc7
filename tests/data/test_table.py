from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_lab.data import TableDataModule
from fer_lab.data.manifest import assets
from fer_lab.data.sources import read
from fer_lab.errors import ConfigError, DataError
from tests.layouts.table import CODES, COLUMNS, write_image, write_rows, write_table

LABELS = {**CODES, 9: None}
SPLITS = {"learn": "train", "watch": "val", "exam": "test"}
OPTIONS: dict[str, Any] = {"columns": COLUMNS, "labels": LABELS, "splits": SPLITS}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("own") / "faces of mine")


@pytest.fixture(scope="module")
def manifest(written):
    return read("table", written.root, attributes=["glasses", "pose"], **OPTIONS)


def small(root: Path, *rows: dict[str, Any], name: str = "t.csv", **options: Any) -> pd.DataFrame:
    for row in rows:
        path = root / str(row.get("path", "x"))
        if root in path.resolve().parents and path.suffix == ".png":
            write_image(path, 1)
    write_rows(root / name, list(rows))
    return read("table", root, **options)


def test_every_code_is_mapped_by_name(manifest, written):
    for code, name in CODES.items():
        rows = manifest[manifest["id"].str.startswith(f"table/{code}/")]
        assert len(rows) == 6
        assert set(rows["label"]) == {name}
    assert sorted(manifest["id"]) == sorted(f"table/{image}" for image in written.images)


def test_rows_that_cannot_be_used_are_counted(manifest, written):
    assert assets(manifest).dropped == written.dropped


def test_splits_go_by_their_words(manifest):
    counts = manifest["split"].value_counts().to_dict()
    assert counts == {"train": 7 * 4 + 2, "val": 7, "test": 7}
    assert (manifest[manifest["split"] == "test"]["subject"] == "p5").all()


def test_every_demographic_word_has_its_group(manifest):
    rows = manifest[manifest["id"].str.startswith("table/1/")].sort_values("id")
    assert list(rows["gender"]) == ["female", "male", "female", "male", "unknown", "female"]
    assert list(rows["age"]) == ["0-15", "16-32", "33-53", "54+", "unknown", "0-15"]
    assert rows["age_years"].fillna(-1).tolist() == [5, 20, 40, 70, -1, 15.9]
    assert list(rows["race"]) == ["white", "black", "asian", "middle_eastern", "unknown", "latinx"]
    assert set(manifest["gender_source"]) == {"annotated"}
    assert rows["intensity"].tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_further_columns_become_attributes(manifest):
    rows = manifest[manifest["id"].str.startswith("table/1/")].sort_values("id")
    assert list(rows["attribute_glasses"]) == ["yes", "no", "unknown"] * 2
    assert list(rows["attribute_pose"]) == ["left", "unknown", "right"] * 2


def test_a_parquet_file_gives_the_same(tmp_path, manifest):
    written = write_table(tmp_path / "p", suffix=".parquet")
    same = read("table", written.root, attributes=["glasses", "pose"], **OPTIONS)
    ours, theirs = (frame.drop(columns="path") for frame in (same, manifest))
    pd.testing.assert_frame_equal(ours, theirs)


def test_without_a_column_of_splits_every_row_is_training(written):
    columns = COLUMNS | {"split": None}
    found = read("table", written.root, columns=columns, labels=LABELS)
    assert set(found["split"]) == {"train"}
    assert found["subject"].nunique() == 6


def test_names_of_expressions_need_no_mapping(tmp_path):
    words = {
        "Neutral": "neutral",
        "happy": "happy",
        "HAPPINESS": "happy",
        "sadness": "sad",
        "surprised": "surprise",
        "fearful": "fear",
        "disgusted": "disgust",
        "angry": "anger",
        "contempt": "contempt",
    }
    rows = [{"path": f"{n}.png", "label": word} for n, word in enumerate(words)]
    found = small(tmp_path, *rows)
    assert list(found.sort_values("id")["label"]) == list(words.values())


def test_several_boxes_of_one_image_are_several_faces(tmp_path):
    box = {"l": 1, "t": 2, "r": 11, "b": 22}
    rows = [
        {"path": "a.png", "label": "sad", **box},
        {"path": "a.png", "label": "happy", **(box | {"l": 5})},
        {"path": "a.png", "label": "happy", **(box | {"l": 5})},
        {"path": "b.png", "label": "sad", **dict.fromkeys("ltrb", "")},
        {"path": "c.png", "label": "sad", **(box | {"r": 0})},
    ]
    found = small(tmp_path, *rows, columns={"box": list("ltrb")}, box_format="xyxy")
    assert list(found["id"]) == ["table/a.png", "table/a.png#1", "table/b.png"]
    boxes = assets(found).arrays["box"]
    assert boxes[found["box"][:2]].tolist() == [[1, 2, 10, 20], [5, 2, 6, 20]]
    assert found["box"][2] == -1
    assert assets(found).dropped == {"listed twice, kept once": 1, "malformed row": 1}
    assert list(found["scene"]) == ["a.png", "a.png", "b.png"]


def test_scenes_are_those_of_the_table_or_images_of_several_faces(tmp_path):
    rows = [{"path": f"{n}.png", "label": "sad", "video": video} for n, video in enumerate("aab")]
    assert "scene" not in small(tmp_path, *rows)
    named = small(tmp_path, *rows, columns={"scene": "video"})
    assert list(named["scene"]) == ["a", "a", "b"]


def test_ids_of_the_tables_own_are_keys(tmp_path):
    rows = [{"path": "a.png", "label": "sad", "id": n} for n in (7, 8)]
    assert list(small(tmp_path, *rows)["id"]) == ["table/7", "table/8"]
    with pytest.raises(DataError, match="table/7 stands in 2 rows"):
        small(tmp_path, rows[0], rows[0])


def test_own_age_groups_keep_their_order_and_years_are_not_taken_for_groups(tmp_path):
    ages = ["10-19", "3-9", "0-2", "70+", ""]
    rows = [{"path": f"{n}.png", "label": "sad", "age": age} for n, age in enumerate(ages)]
    found = small(tmp_path, *rows)
    assert list(found["age"].cat.categories) == ["0-2", "3-9", "10-19", "70+", "unknown"]
    assert list(found["age"]) == [*ages[:4], "unknown"]
    years = [{"path": f"{n}.png", "label": "sad", "age": n + 20} for n in range(30)]
    with pytest.raises(ConfigError, match="age_years"):
        small(tmp_path, *years)


def test_several_tables_need_a_name(tmp_path):
    with pytest.raises(DataError, match="no table in the folder"):
        read("table", tmp_path)
    for name in ("a.csv", "b.csv"):
        write_rows(tmp_path / name, [{"path": "a.png", "label": "sad"}])
    with pytest.raises(DataError, match=r"several tables(.|\n)*a\.csv, b\.csv(.|\n)*dataset\.file"):
        read("table", tmp_path)
    write_image(tmp_path / "a.png", 1)
    assert len(read("table", tmp_path, file="b.csv")) == 1
    assert len(read("table", tmp_path, file=tmp_path / "a.csv", title="mine")) == 1


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"columns": {"label": "feeling"}}, ["no column path, feeling", "picture", "columns"]),
        ({"columns": COLUMNS, "attributes": ["hat"]}, ["no column hat", "glasses"]),
        (
            {"columns": COLUMNS, "labels": {1: "happy"}},
            ["'7'", "no code for an expression", "1 happy", "dataset.labels"],
        ),
        (
            {"columns": COLUMNS, "labels": LABELS},
            ["'learn' is no code for a split", "training train", "dataset.splits"],
        ),
    ],
)
def test_what_is_not_in_the_table_is_named(tmp_path, suffix, changed, words):
    written = write_table(tmp_path, odd=False, suffix=suffix)
    with pytest.raises(DataError) as caught:
        read("table", written.root, **changed)
    for word in [*words, written.file.name]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": {"lable": "x"}}, ["'lable'", "did you mean 'label'"]),
        ({"columns": {"path": None}}, ["path needs a name"]),
        ({"columns": {"box": ["x"]}}, ["four columns"]),
        ({"labels": {0: "hapy"}}, ["'hapy'", "did you mean 'happy'", "dataset.labels, 0"]),
        ({"genders": {0: "boy"}}, ["'boy'", "female, male"]),
        ({"box_format": "yolo"}, ["'yolo'", "xyxy"]),
        ({"file": "faces.xlsx"}, ["faces.xlsx", ".parquet"]),
    ],
)
def test_an_option_that_cannot_work_is_named(tmp_path, options, words):
    rows = [{"path": "a.png", "label": "sad", "gender": "f"}]
    with pytest.raises(ConfigError) as caught:
        small(tmp_path, *rows, **options)
    for word in words:
        assert word in str(caught.value)


def test_codes_of_genders_are_mapped(tmp_path):
    rows = [{"path": f"{n}.png", "label": "sad", "gender": n} for n in range(3)]
    genders = {0: "male", 1: "female", 2: "unknown"}
    found = small(tmp_path, *rows, genders=genders)
    assert list(found["gender"]) == ["male", "female", "unknown"]
    with pytest.raises(DataError, match=r"'0' is no code for a gender(.|\n)*line 2"):
        small(tmp_path, *rows)


def test_a_missing_folder_or_no_usable_row_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"the table not found(.|\n)*dataset\.root"):
        read("table", tmp_path / "nowhere")
    write_rows(tmp_path / "t.csv", [{"path": "gone.png", "label": "sad"}])
    with pytest.raises(DataError, match=r"none of the 1 rows of the table.*image missing: 1"):
        read("table", tmp_path)
    (tmp_path / "t.csv").write_text("path,label\n")
    with pytest.raises(DataError, match="there is no image of the table"):
        read("table", tmp_path)
    (tmp_path / "t.csv").unlink()
    (tmp_path / "t.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=r"t\.parquet is no parquet file"):
        read("table", tmp_path)


def test_masks_of_a_table_reach_the_batches(tmp_path):
    mask = np.zeros((36, 40), np.uint8)
    mask[:18] = 13
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.fromarray(mask + 50).save(tmp_path / "wrong.png")
    masks = ["mask.png", "wrong.png", "gone.png", "../mask.png", ""]
    rows = [
        {"path": f"{n}.png", "label": ("sad", "happy")[n % 2], "mask_path": mask, "split": split}
        for split in ("train", "val", "test")
        for n, mask in enumerate(masks, 10 * len(split))
    ]
    small(tmp_path, *rows)
    data = TableDataModule(tmp_path, image_size=8, batch_size=5, num_workers=0, attributes=())
    data.setup()
    assert data.has_regions
    assert data.dropped["region mask missing"] == 6
    assert data.dropped["region mask unusable, face kept without"] == 3
    batch = next(iter(data.test_dataloader()))
    assert batch["regions"][0].tolist() == [[13] * 8] * 4 + [[0] * 8] * 4
    assert (batch["regions"][1:] == 255).all()


def test_damaged_images_are_listed(written):
    data = TableDataModule(written.root, table=OPTIONS, image_size=16, batch_size=8, num_workers=0)
    data.setup()
    assert list(data.unreadable["id"]) == [f"table/{image}" for image in written.unreadable]
    assert data.groups["gender"] == ("female", "male")
    assert len(next(iter(data.train_dataloader()))["label"]) == 8
