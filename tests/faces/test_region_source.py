from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fer_lab import data
from fer_lab.data.assets import Assets
from fer_lab.errors import ConfigError
from fer_lab.faces.region_source import ORDER, region_source


@pytest.fixture
def weights(tmp_path):
    file = tmp_path / "parsing_bisenet.pth"
    file.write_bytes(b"weights")
    return file


def faces(masks=(None, None, None), landmarks=(-1, -1, -1), name: str = "own") -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "id": [f"{name}/{n}" for n in range(3)],
            "dataset": pd.Categorical([name] * 3),
            "path": [f"/data/{name}/{n}.jpg" for n in range(3)],
            "mask_path": pd.Series(masks, dtype="str"),
            "landmarks": landmarks,
        }
    )
    arrays = {"landmarks": np.zeros((3, 68, 2), dtype=np.float32)}
    rows.attrs["assets"] = Assets(arrays=arrays, roots={name: f"/data/{name}"})
    return rows


OWN = ("/data/own/masks/0.png", "/data/own/masks/1.png", None)
PREPARED = ("/prepared/0.png", None, None)
POINTS = (0, -1, 2)


@pytest.mark.parametrize(
    ("masks", "landmarks", "parser", "source", "covered"),
    [
        (OWN, POINTS, True, "dataset", 2),
        (("/data/own/anno/0/00000_*.png", None, None), POINTS, True, "dataset", 1),
        (PREPARED, POINTS, True, "prepared", 1),
        ((None,) * 3, POINTS, True, "parser", 3),
        ((None,) * 3, POINTS, False, "landmarks", 2),
        ((None,) * 3, (-1,) * 3, False, None, 0),
    ],
)
def test_the_best_source_that_is_there_is_taken(weights, masks, landmarks, parser, source, covered):
    found = region_source(faces(masks, landmarks), parser_file=weights if parser else None)["own"]
    assert (found.source, found.covered, found.faces) == (source, covered, 3)


def test_a_folder_whose_name_begins_alike_is_another():
    found = region_source(faces(("/data/own_masks/0.png", None, None)))["own"]
    assert found.source == "prepared"


def test_drawn_faces_bring_their_masks(weights):
    manifest = data.read("synthetic", train=4, val=0, test=0)
    found = region_source(manifest, parser_file=weights)["synthetic"]
    assert (found.source, found.covered) == ("dataset", 4)
    assert region_source(manifest, order=["landmarks"])["synthetic"].covered == 4


def test_every_step_says_why(tmp_path):
    missing = tmp_path / "parsing_bisenet.pth"
    found = region_source(faces(landmarks=POINTS), parser_file=missing)["own"]
    assert [source for source, _ in found.reasons] == list(ORDER)
    assert str(found) == (
        "own: landmarks, 2 of 3 faces (dataset: it has no masks; prepared: no masks in files"
        f" (mask_path); parser: no weights: {missing}; landmarks: 2 faces have landmarks)"
    )
    assert "parser: turned off" in str(region_source(faces())["own"])


def test_each_dataset_takes_its_own_source():
    both = pd.concat([faces(OWN), faces(landmarks=POINTS, name="other")], ignore_index=True)
    both["dataset"] = pd.Categorical(both["dataset"])
    both.attrs["assets"] = Assets(
        arrays={"landmarks": np.zeros((3, 68, 2), dtype=np.float32)},
        roots={"own": "/data/own", "other": "/data/other"},
    )
    found = region_source(both)
    assert {name: each.source for name, each in found.items()} == {
        "own": "dataset",
        "other": "landmarks",
    }


def test_a_table_without_masks_and_landmarks_has_nothing():
    plain = faces().drop(columns=["mask_path", "landmarks"])
    assert region_source(plain)["own"].source is None


def test_the_order_can_be_asked_for_and_is_checked(weights):
    asked = region_source(faces(OWN), parser_file=weights, order=["parser", "dataset"])["own"]
    assert asked.source == "parser"
    for order in (["mask"], ["parser", "parser"]):
        with pytest.raises(ConfigError, match="named once each"):
            region_source(faces(), order=order)
