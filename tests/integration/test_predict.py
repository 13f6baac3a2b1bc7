"""``fer-lab predict``: anybody's photographs in, probabilities with their caveat out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fer_lab.errors import ConfigError, DataError
from tests.integration.deployed import (
    CLASSES,
    picture,
    probabilities,
    save,
)
from tests.integration.runs import command, run_task

SHARES = [f"prob_{name}" for name in CLASSES]


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """A folder as people have them: formats, folders, and files that are no photographs."""
    folder = tmp_path_factory.mktemp("album")
    names = ["a.png", "b.bmp", "deep/er/c.webp", "deep/d.TIFF", "e f,g.png"]
    for seed, name in enumerate(names):
        options = {"lossless": True} if name.endswith("webp") else {}
        save(picture(seed), folder / name, **options)
    (folder / "nonsense.jpg").write_bytes(b"not an image")
    (folder / "empty.png").touch()
    whole = save(picture(9, 160, 160), folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    for other in ("readme.txt", "clip.gif", "deep/film.gif", "LICENSE"):
        (folder / other).write_text("x")
    (folder / ".hidden.png").write_bytes((folder / "a.png").read_bytes())
    return folder, names


def test_probabilities_are_those_of_the_model_and_no_file_is_lost(trained, predicted, album):
    folder, names = album
    table = predicted(folder, "batch_size=2")
    assert sorted(table.index) == sorted(names)
    for seed, name in enumerate(names):
        right = probabilities(trained[1], picture(seed))
        assert table.loc[name, SHARES].to_numpy(float) == pytest.approx(right, abs=1e-5)
        assert table.loc[name, "prediction"] == CLASSES[right.argmax()]
        assert table.loc[name, "confidence"] == pytest.approx(right.max(), abs=1e-5)
        assert Path(table.loc[name, "path"]) == folder / name
    assert table["prediction"].nunique() > 1
    aside = pd.read_csv(predicted.out / "predictions_set_aside.csv").set_index("id")["reason"]
    assert aside.to_dict() == {
        "cut.jpg": "truncated image",
        "empty.png": "empty file",
        "nonsense.jpg": "not an image",
    }
    facts = json.loads((predicted.out / "predictions.json").read_text())
    assert facts["other_files"] == {".gif": 2, ".txt": 1, "without a suffix": 1}
    on_disk = [path for path in folder.rglob("[!.]*") if path.is_file()]
    others = sum(facts["other_files"].values())
    assert facts["predicted"] + sum(facts["set_aside"].values()) + others == len(on_disk)


def test_the_file_holds_the_table_to_the_last_digit(predicted, album):
    table = predicted(album[0], f"output='{predicted.out / 'mine' / 'all.csv'}'")
    written = pd.read_csv(predicted.out / "mine" / "all.csv", index_col="id")
    assert list(written.columns) == ["path", "prediction", "confidence", *SHARES]
    pd.testing.assert_frame_equal(written.astype(table.dtypes), table)
    assert (predicted.out / "mine" / "all_set_aside.csv").is_file()
    assert (predicted.out / "mine" / "all.json").is_file()


def test_answers_do_not_depend_on_the_batch(predicted, album):
    one, all_at_once = predicted(album[0], "batch_size=1"), predicted(album[0], "batch_size=64")
    assert (one["prediction"] == all_at_once["prediction"]).all()
    assert one[SHARES].to_numpy() == pytest.approx(all_at_once[SHARES].to_numpy(), abs=1e-5)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_photograph_is_turned_upright_first(trained, predicted, tmp_path, orientation):
    turns = {2: (0, 1), 3: (2, 0), 4: (2, 1), 5: (1, 1), 6: (1, 0), 7: (3, 1), 8: (3, 0)}
    quarters, mirrored = turns[orientation]
    shown = picture(1)
    stored = np.rot90(np.fliplr(shown) if mirrored else shown, quarters)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(np.ascontiguousarray(stored), tmp_path / "turned.png", exif=exif)
    found = predicted(path).loc["turned.png", SHARES].to_numpy(float)
    assert found == pytest.approx(probabilities(trained[1], shown), abs=1e-5)


def test_grey_and_transparent_photographs_are_read_as_colour(trained, predicted, tmp_path):
    grey = picture(3)[:, :, 0]
    save(grey, tmp_path / "in" / "grey.png")
    save(np.dstack([picture(4), grey]), tmp_path / "in" / "glass.png")
    table = predicted(tmp_path / "in")
    for name, right in {"grey.png": np.dstack([grey] * 3), "glass.png": picture(4)}.items():
        found = table.loc[name, SHARES].to_numpy(float)
        assert found == pytest.approx(probabilities(trained[1], right), abs=1e-5)


def test_boxes_crop_and_everything_without_one_is_named(trained, predicted, tmp_path):
    folder = tmp_path / "in"
    large = picture(5, 160, 160)
    save(large, folder / "group.png")
    save(picture(6), folder / "alone.png")
    save(picture(7), folder / "nobody.png")
    save(picture(8), folder / "flat.png")
    save(picture(8), folder / "beside.png")
    boxes = tmp_path / "boxes.csv"
    boxes.write_text(
        "path,left,top,right,bottom,score\n"
        "group.png,20,30,56.9,66.9,0.9\n"
        f"{folder / 'alone.png'},0,0,48,48,0.8\n"
        "group.png,100,90,136.9,126.9,0.9\n"
        "nobody.png,,,,,\n"
        "flat.png,10,10,10,20,0.1\n"
        "beside.png,48,0,60,9,0.1\n"
        "elsewhere.png,0,0,9,9,0.1\n"
    )
    table = predicted(folder, f"boxes='{boxes}'")
    assert list(table.index) == ["alone.png", "group.png#1", "group.png#2"]
    assert table.loc["group.png#2", ["left", "top", "right", "bottom"]].tolist() == [
        *(100, 90, 136.9, 126.9)
    ]
    # 36.9 pixels and 30 % more are the model's 48: from 5.5 pixels before the box on.
    rights = {
        "group.png#1": large[24:72, 14:62],
        "group.png#2": large[84:132, 94:142],
        "alone.png": picture(6),
    }
    for name, crop in rights.items():
        found = table.loc[name, SHARES].to_numpy(float)
        assert found == pytest.approx(probabilities(trained[1], crop), abs=1e-5)
    aside = pd.read_csv(predicted.out / "predictions_set_aside.csv").set_index("id")["reason"]
    assert aside.to_dict() == {
        "flat.png": "box without area",
        "nobody.png": "no box",
        "beside.png": "box outside the image",
    }
    facts = json.loads((predicted.out / "predictions.json").read_text())
    assert facts["boxes_of_other_photographs"] == 1
    assert "cropped to its given box" in facts["caveat"]["text"][0]


def test_the_caveat_says_what_the_audit_found(trained, predicted, album):
    predicted(album[0])
    caveat = json.loads((predicted.out / "predictions.json").read_text())["caveat"]
    audit = json.loads((trained[0] / "metrics" / "test.json").read_text())
    text = " ".join(caveat["text"])
    assert "no face detection yet" in text
    assert "split female" in text
    assert "latinx" in text
    assert caveat["groups"]["gender"] == ["female", "male"]
    assert caveat["audit"]["samples"] == audit["samples"]
    for attribute, part in audit["attributes"].items():
        said = caveat["audit"]["attributes"][attribute]
        assert said["bias"] == part["bias"]
        worst = part["worst_group"]
        assert f"{worst['accuracy']:.3f} ({worst['group'].replace('_', ' ')}, " in text
        for group, line in part["groups"].items():
            assert said["groups"][group]["accuracy"] == line["accuracy"]["value"]
    assert f"{audit['worst_group']['accuracy']:.3f}" in caveat["line"]


def test_of_a_checkpoint_alone_nothing_is_claimed(trained, predicted, album, tmp_path):
    lone = tmp_path / "lone.ckpt"
    shutil.copy(trained[0] / "checkpoints" / "best.ckpt", lone)
    predicted(album[0] / "a.png", checkpoint=lone)
    facts = json.loads((predicted.out / "predictions.json").read_text())
    assert facts["training"] is None
    assert facts["caveat"]["audit"] is None
    assert any("Nothing is known" in sentence for sentence in facts["caveat"]["text"])


def test_an_audit_of_another_checkpoint_is_called_so(trained, predicted, album, tmp_path):
    copy = shutil.copytree(trained[0], tmp_path / "copy")
    shutil.copy(copy / "checkpoints" / "best.ckpt", copy / "checkpoints" / "last.ckpt")
    predicted(album[0] / "a.png", checkpoint=copy / "checkpoints" / "last.ckpt")
    text = json.loads((predicted.out / "predictions.json").read_text())["caveat"]["text"]
    assert any("best.ckpt, not of last.ckpt" in sentence for sentence in text)
    (copy / "metrics" / "test.json").write_text("{}")
    predicted(album[0] / "a.png", checkpoint=copy)
    text = json.loads((predicted.out / "predictions.json").read_text())["caveat"]["text"]
    assert any("cannot be read" in sentence for sentence in text)


def test_a_list_of_an_earlier_time_does_not_stay(predicted, album):
    predicted(album[0])
    assert (predicted.out / "predictions_set_aside.csv").is_file()
    predicted(album[0] / "a.png")
    assert not (predicted.out / "predictions_set_aside.csv").exists()


def test_a_name_that_is_no_text_is_listed(predicted, tmp_path):
    save(picture(1), tmp_path / "in" / "good.png")
    try:
        shutil.copy(tmp_path / "in" / "good.png", os.fsencode(tmp_path / "in") + b"/\xff.png")
    except OSError:
        pytest.skip("this file system takes names of text alone")
    assert list(predicted(tmp_path / "in").index) == ["good.png"]
    aside = pd.read_csv(predicted.out / "predictions_set_aside.csv")
    assert aside["id"].tolist() == ["\\xff.png"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("batch_size=0", "batch_size=0"),
        ("batch_size=many", "whole number"),
        ("top_k=0", "top_k=0"),
        ("device=tpu", "there is no device 'tpu'"),
        ("output=table.xlsx", "is no .csv"),
        ("checkpoint=null", "name the model"),
        ("checkpoint=nowhere.ckpt", "no such checkpoint"),
        ("image=null", "name the photographs"),
        ("image=[]", "name the photographs"),
        ("image=nowhere", "no such file or folder"),
        ("boxes=nowhere.csv", "cannot be read"),
    ],
)
def test_a_mistake_is_one_error(predicted, album, override, said):
    with pytest.raises((ConfigError, DataError), match=said):
        predicted(album[0], override)
    assert not (predicted.out / "predictions.csv").exists()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("a.png,1,2,x,4", "column right, line 2"),
        ("a.png,1,2,,4", "line 2"),
        ("other.png,1,2,3,4", "none of the 1 boxes"),
        ("", "none of the 0 boxes"),
    ],
)
def test_a_list_of_boxes_in_disorder_is_refused(predicted, album, tmp_path, lines, said):
    (tmp_path / "boxes.csv").write_text(f"path,left,top,right,bottom\n{lines}\n")
    with pytest.raises(DataError) as error:
        predicted(album[0], f"boxes='{tmp_path / 'boxes.csv'}'")
    assert said in str(error.value)


def test_nothing_readable_is_an_error_that_lists_why(predicted, album, tmp_path):
    with pytest.raises(DataError, match="1 truncated image"):
        predicted(album[0] / "cut.jpg")
    assert (predicted.out / "predictions_set_aside.csv").is_file()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("x")
    with pytest.raises(DataError, match=r"no image in it; other files: \.txt 1"):
        predicted(tmp_path / "texts")


def test_a_model_whose_answers_are_no_numbers_is_refused(trained, predicted, album, tmp_path):
    content = torch.load(trained[0] / "checkpoints" / "best.ckpt", weights_only=True)
    content["state_dict"]["backbone.head.bias"].fill_(torch.nan)
    torch.save(content, tmp_path / "broken.ckpt")
    with pytest.raises(DataError, match="no numbers"):
        predicted(album[0], checkpoint=tmp_path / "broken.ckpt")


def test_predictions_joined_with_labels_can_be_evaluated(trained, album, tmp_path):
    folder, names = album
    done = subprocess.run(
        command(f"checkpoint={trained[0]}", str(folder), "output=mine.csv", task="predict"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "5 photographs: " in done.stdout
    assert "set aside: 1 truncated image" in done.stdout
    (caveat,) = [line for line in done.stdout.splitlines() if line.startswith("caveat: ")]
    assert "no face detection yet" in caveat
    mine = pd.read_csv(tmp_path / "mine.csv")
    truth = pd.DataFrame({"id": names, "label": [CLASSES[0]] + [CLASSES[1]] * 4})
    mine.merge(truth, on="id").to_csv(tmp_path / "joined.csv", index=False)
    place, done = run_task(
        tmp_path / "evaluated",
        "evaluate",
        *(f"predictions={tmp_path / 'joined.csv'}", "callbacks.fairness.resamples=20"),
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads((place / "metrics" / "test.json").read_text())
    right = mine.merge(truth, on="id").eval("prediction == label").mean()
    assert facts["accuracy"]["value"] == pytest.approx(right)
    assert facts["calibration"] is not None
    assert facts["attributes"] == {}
