from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fer_lab.data.manifest import assets
from fer_lab.data.sources import expw, read
from fer_lab.data.splitting.partition import partition
from fer_lab.data.splitting.split_options import Split
from fer_lab.errors import DataError
from tests.layouts.affectnet import write_image
from tests.layouts.expw import EXPRESSIONS, line, write


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return write(tmp_path_factory.mktemp("expw") / "copy")


def small_copy(root, *lines: str):
    """One photograph with one face and ``lines``."""
    write_image(root / "image/origin/a.jpg", 0, np.random.default_rng(0))
    (root / "label").mkdir()
    (root / "label/label.lst").write_text("\n".join([line("a.jpg", 0, 3), *lines]) + "\n")
    return root


def test_every_row_is_kept_or_counted(copy):
    manifest = read("expw", copy.root)
    assert manifest.set_index("id")["label"].to_dict() == copy.labels
    assert assets(manifest).dropped == copy.dropped


@pytest.mark.parametrize(("code", "name"), enumerate(EXPRESSIONS))
def test_every_code_has_its_expression(code, name, copy):
    """Photographs of code n are numbered n, n + 7 … and named after their expression."""
    manifest = read("expw", copy.root).set_index("id")
    assert expw.EXPRESSION_CODES[code] == name
    for number in range(code, 70, 7):
        assert manifest.loc[f"expw/{name}_actor_{number}.jpg#0", "label"] == name


def test_top_left_right_bottom_become_left_top_width_height(tmp_path):
    root = small_copy(tmp_path, line("a.jpg", 1, 2, top=1, left=20, right=50, bottom=71))
    manifest = read("expw", root)
    boxes = assets(manifest).arrays["box"][manifest["box"]]
    assert boxes.tolist() == [[20, 10, 60, 50], [20, 1, 30, 70]]
    assert manifest["confidence"].tolist() == [47.8125] * 2


def test_every_face_of_a_photograph_is_a_row(copy):
    manifest = read("expw", copy.root).set_index("id")
    first = manifest.loc["expw/disgust_actor_1.jpg#0"]
    second = manifest.loc["expw/disgust_actor_1.jpg#1"]
    assert first["path"] == second["path"]
    assert first["box"] != second["box"]


def test_every_row_is_training_and_its_photograph_is_its_scene(copy):
    manifest = read("expw", copy.root)
    assert set(manifest["split"]) == {"train"}
    assert list(manifest["scene"]) == [Path(path).name for path in manifest["path"]]
    assert manifest["scene"].duplicated().sum() == 35


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"folds": 3}])
def test_the_faces_of_a_photograph_stay_together(seed, options, copy):
    divided = partition(read("expw", copy.root), Split(seed=seed, **options)).manifest
    sides = divided.groupby("scene")["split"].nunique()
    assert (sides == 1).all()
    counts = divided["split"].value_counts()
    assert counts.min() > 0
    share = counts["test"] / len(divided)
    assert abs(share - (1 / 3 if options else 0.2)) < 0.05


def test_another_layout_names_what_is_missing(tmp_path):
    with pytest.raises(DataError, match=r"label/label.lst and image/origin/ not found"):
        read("expw", tmp_path)
    (tmp_path / "image/origin").mkdir(parents=True)
    with pytest.raises(DataError, match=r"layout: label/label.lst not found"):
        read("expw", tmp_path)


@pytest.mark.parametrize("code", ["7", "-1", "0.5", "happy"])
def test_an_unknown_code_names_file_line_value_and_the_known(tmp_path, code):
    root = small_copy(tmp_path, "", line("a.jpg", 1, code))
    with pytest.raises(DataError) as caught:
        read("expw", root)
    for words in (repr(code), "label.lst, line 3", "0 anger", "6 neutral"):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("a.jpg 1 10 20 80 60 4", "malformed row"),
        (line("a.jpg", 1, 3, left="nan"), "malformed row"),
        (line("a.jpg", 1, 3, bottom="inf"), "malformed row"),
        (line("a.jpg", 1, 3, right=20), "box without an area"),
        (line("a.jpg", 1, 3, bottom=9), "box without an area"),
        (line("/etc/passwd", 1, 3), "path outside the folder of images"),
        (line("x/../../a.jpg", 1, 3), "path outside the folder of images"),
        (line("..\\a.jpg", 1, 3), "path outside the folder of images"),
        (line("b.jpg", 1, 3), "image missing"),
        (line("a.jpg", 0, 3), "listed twice, kept once"),
        (line("a.jpg", 0, 4), "listed again with another label, first kept"),
    ],
)
def test_a_bad_row_is_set_aside_and_counted(tmp_path, bad, reason):
    manifest = read("expw", small_copy(tmp_path, bad))
    assert list(manifest["id"]) == ["expw/a.jpg#0"]
    assert assets(manifest).dropped == {reason: 1}


def test_nothing_usable_is_an_error_with_the_counts(tmp_path):
    root = small_copy(tmp_path)
    (root / "image/origin/a.jpg").unlink()
    with pytest.raises(DataError, match="image missing: 1"):
        read("expw", root)
    (root / "label/label.lst").write_text("")
    with pytest.raises(DataError, match="there is no image of ExpW"):
        read("expw", root)


def test_the_named_datamodule_reads_the_dataset(copy, tmp_path):
    from fer_lab.data import ExpWDataModule

    data = ExpWDataModule(copy.root, image_size=32, cache_dir=tmp_path, num_workers=0)
    data.setup()
    assert len(data.manifest) == len(copy.labels) - len(copy.unreadable)
    assert min(len(data.train_rows), len(data.val_rows), len(data.test_rows)) > 0
    assert next(iter(data.val_dataloader()))["image"].shape[1:] == (3, 32, 32)
