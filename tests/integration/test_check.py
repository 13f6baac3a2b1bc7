"""``fer-lab check dataset=…`` on written layouts, with duplicates planted across splits."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from tests.integration.runs import command
from tests.layouts.affectnet import Written, write_csv_release

WIDTH = 80


def check(place: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*overrides, task="check"), cwd=place, capture_output=True, text=True, check=False
    )


def report(place: Path, name: str) -> pd.DataFrame:
    (path,) = place.glob(f"outputs/*/*/{name}.csv")
    return pd.read_csv(path, dtype={"group": "str"}, keep_default_na=False)


def plant(written: Written) -> tuple[str, str, str]:
    """Give a test image the bytes of a training image, and another one its look."""
    images = written.root / "Manually_Annotated_Images"
    original = written.images["train"][0]
    copied, stored_anew = written.images["test"][:2]
    shutil.copy(images / original, images / copied)
    with Image.open(images / original) as image:
        image.resize((240, 200)).save(images / stored_anew, quality=70)
    return original, copied, stored_anew


@pytest.fixture(scope="module")
def leaky(tmp_path_factory):
    place = tmp_path_factory.mktemp("leaky")
    written = write_csv_release(place / "affect net")
    # The layout's boxes belong to its own size of image: faces are compared whole here.
    for path in (written.root / "Manually_Annotated_file_lists").glob("*.csv"):
        table = pd.read_csv(path, dtype="str", keep_default_na=False)
        table["face_width"] = table["face_width"].replace("60", "-1")
        table.to_csv(path, index=False)
    planted = plant(written)
    done = check(place, "dataset=affectnet", f"dataset.root='{written.root}'")
    return place, written, planted, done


def test_leakage_is_reported_and_does_not_fail(leaky):
    _, _, _, done = leaky
    assert done.returncode == 0, done.stderr
    assert "1 test image has the same bytes as a training image" in done.stdout
    assert "2 test images have the same look as a training image" in done.stdout


def test_duplicates_are_listed_with_their_splits(leaky):
    place, _, planted, _ = leaky
    table = report(place, "duplicates")
    assert table["across_splits"].astype("str").eq("True").all()
    original, copied, stored_anew = (f"affectnet/{image}" for image in planted)
    exact = table[table["kind"] == "exact"].set_index("id")["split"].to_dict()
    assert exact == {original: "train", copied: "test"}
    near = table[table["kind"] == "near"].set_index("id")["split"].to_dict()
    assert near == {**exact, stored_anew: "test"}


@pytest.mark.parametrize("flag", ["--strict", "strict=true"])
def test_strict_fails_on_leakage_after_the_report(tmp_path, leaky, flag):
    _, written, _, _ = leaky
    done = check(tmp_path, "dataset=affectnet", f"dataset.root='{written.root}'", flag)
    assert done.returncode == 1
    assert "error: the splits are not separate" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Images" in done.stdout
    assert len(report(tmp_path, "duplicates")) == 5


def test_near_duplicates_can_be_left_out(tmp_path, leaky):
    _, written, _, _ = leaky
    check(tmp_path, "dataset=affectnet", f"dataset.root='{written.root}'", "radius=null")
    assert set(report(tmp_path, "duplicates")["kind"]) == {"exact"}


def test_what_was_set_aside_is_listed_with_its_reason(leaky):
    place, written, _, done = leaky
    dropped = report(place, "dropped").set_index("reason")["count"].to_dict()
    for reason, count in written.dropped.items():
        assert dropped[reason] == count
        assert reason in done.stdout


def test_annotations_of_no_image_are_listed_with_their_lines(tmp_path, leaky):
    _, written, _, _ = leaky
    known = written.images["train"][0]
    file = tmp_path / "races.csv"
    file.write_text(f"image_path,race\n{known},white\n9/gone.jpg,black\n")
    done = check(
        tmp_path,
        "dataset=affectnet",
        f"dataset.root='{written.root}'",
        f"data.annotations=[{{kind:demographics,file:'{file}'}}]",
        "radius=null",
    )
    assert done.returncode == 0, done.stderr
    lost = report(tmp_path, "unmatched").to_numpy().tolist()
    assert ["demographics", f"{file}, line 3", "9/gone.jpg"] in lost
    # Beside them stand the dataset's own gender labels of no listed image.
    assert {kind for kind, _, _ in lost} == {"demographics", "gender label"}
    assert "Annotations of no image" in done.stdout


def test_unreadable_files_are_listed(leaky):
    place, written, _, _ = leaky
    found = report(place, "unreadable").set_index("id")["reason"].to_dict()
    expected = {
        f"affectnet/{image}": reason
        for image, reason in written.unreadable.items()
        if "box" not in reason
    }
    assert {key: found[key] for key in expected} == expected


def test_counts_by_split_expression_and_group(leaky):
    place, written, _, _ = leaky
    counts = report(place, "counts").set_index(["split", "attribute", "group", "label"])["count"]
    for gender in ("female", "male"):
        happy = [image for image in written.images["test"] if image.startswith("101/")]
        expected = sum(written.genders.get(image) == gender for image in happy)
        assert counts["test", "gender", gender, "happy"] == expected
    everyone = counts.xs("all", level="attribute").sum()
    assert counts.xs("gender", level="attribute").sum() == everyone


def test_the_terminal_is_80_columns_wide_and_names_the_files(leaky):
    place, _, _, done = leaky
    *tables, where = done.stdout.splitlines()
    folder = Path(where.strip().removeprefix("in "))
    assert (place / folder / "counts.csv").is_file()
    assert max(len(line) for line in tables) <= WIDTH


def test_clean_splits_pass_strictly(tmp_path):
    written = write_csv_release(tmp_path / "clean", odd=False)
    done = check(tmp_path, "dataset=affectnet", f"dataset.root={written.root}", "--strict")
    assert done.returncode == 0, done.stderr
    assert "No duplicates among" in done.stdout
    assert report(tmp_path, "duplicates").empty


def test_drawn_faces_are_counted_and_not_compared(tmp_path):
    small = ("dataset.train=70", "dataset.val=30", "dataset.test=30")
    done = check(tmp_path, *small, "--strict")
    assert done.returncode == 0, done.stderr
    assert "130 faces are drawn" in done.stdout
    counts = report(tmp_path, "counts")
    assert counts[counts["attribute"] == "race"]["count"].sum() == 130


def test_a_missing_folder_is_one_error_that_names_the_override(tmp_path):
    done = check(tmp_path, "dataset=affectnet", "dataset.root=nowhere")
    assert done.returncode == 1
    assert "dataset.root=" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("override", ["radius=-1", "radius=many", "strict=perhaps"])
def test_options_that_cannot_work_are_refused(tmp_path, override):
    done = check(tmp_path, override)
    assert done.returncode == 1
    assert override in done.stderr
    assert "Traceback" not in done.stderr
