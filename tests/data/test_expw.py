from __future__ import annotations

import numpy as np
import pytest

from fer_lab.data.manifest import assets, fingerprint
from fer_lab.data.sources import expw, read
from fer_lab.data.verification import verify
from fer_lab.errors import ConfigError, DataError
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


def photographs(manifest, split: str) -> set[str]:
    return set(manifest.loc[manifest["split"] == split, "path"])


def test_every_row_is_kept_or_counted(copy):
    manifest = read("expw", copy.root)
    assert manifest.set_index("id")["label"].to_dict() == copy.labels
    assert assets(manifest).dropped == copy.dropped


def test_unusable_photographs_are_found_by_verification(copy, tmp_path):
    good, unreadable = verify(read("expw", copy.root), tmp_path)
    assert dict(zip(unreadable["id"], unreadable["reason"], strict=True)) == copy.unreadable
    assert good.sum() == len(copy.labels) - len(copy.unreadable)


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


def test_a_tenth_of_the_photographs_is_tested_on_with_all_their_faces(copy):
    manifest = read("expw", copy.root)
    tested, learnt = photographs(manifest, "test"), photographs(manifest, "train")
    assert len(tested) == round(0.1 * manifest["path"].nunique())
    assert tested.isdisjoint(learnt)
    assert photographs(manifest, "val") == set()


def test_the_draw_depends_on_the_seed_and_not_on_order_or_folder(copy, tmp_path):
    manifest = read("expw", copy.root)
    assert photographs(read("expw", copy.root, seed=2), "test") != photographs(manifest, "test")
    other = write(tmp_path / "other")
    assert fingerprint(read("expw", other.root)) == fingerprint(manifest)
    path = other.root / "label/label.lst"
    path.write_text("\n".join(reversed(path.read_text().splitlines())) + "\n")
    turned = read("expw", other.root).set_index("id")["split"].sort_index()
    usual = manifest.set_index("id")["split"].sort_index()
    assert turned.drop("expw/ünï code.jpg#0").equals(usual.drop("expw/ünï code.jpg#0"))


def test_the_share_drawn_can_be_changed(copy):
    assert photographs(read("expw", copy.root, test_fraction=0), "test") == set()
    half = read("expw", copy.root, test_fraction=0.5)
    assert len(photographs(half, "test")) == round(0.5 * half["path"].nunique())
    with pytest.raises(ConfigError, match=r"test_fraction=1.5(.|\n)*expw.test_fraction"):
        read("expw", copy.root, test_fraction=1.5)


@pytest.mark.parametrize("root", [None, "nowhere"])
def test_a_missing_folder_says_what_is_expected_there(root):
    with pytest.raises(DataError) as caught:
        read("expw", root)
    for words in ("ExpW not found", "label/label.lst", "image/origin/", "dataset.root="):
        assert words in str(caught.value)


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
    with pytest.raises(DataError, match="none of the 0 images"):
        read("expw", root)


def test_the_named_datamodule_reads_the_dataset(copy, tmp_path):
    from fer_lab.data import ExpWDataModule

    data = ExpWDataModule(
        copy.root, test_fraction=0.2, image_size=32, cache_dir=tmp_path, num_workers=0
    )
    data.setup()
    assert len(data.manifest) == len(copy.labels) - len(copy.unreadable)
    assert min(len(data.train_rows), len(data.val_rows), len(data.test_rows)) > 0
    assert next(iter(data.val_dataloader()))["image"].shape[1:] == (3, 32, 32)
