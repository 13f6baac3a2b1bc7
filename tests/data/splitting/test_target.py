from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fer_lab.data import loading
from fer_lab.data.datamodule import FaceDataModule, SyntheticDataModule
from fer_lab.data.manifest import merge, validate
from fer_lab.data.splitting.target import set_target
from fer_lab.errors import ConfigError, DataError
from tests.data.flat_faces import flat_manifest


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A datamodule over flat faces; ``change`` edits the manifest of each dataset."""

    def build(*names: str, change: Any = None, **options: Any) -> FaceDataModule:
        def read(name: str, **_: Any) -> pd.DataFrame:
            frame = flat_manifest(100, dataset=name)
            if change is not None:
                change(frame, name)
            return validate(frame)

        monkeypatch.setattr(loading, "read", read)
        settings = {
            "attributes": ["gender"],
            "image_size": 8,
            "batch_size": 16,
            "cache_dir": tmp_path / "cache",
        }
        data = FaceDataModule({name: {} for name in names or ("flat",)}, **settings | options)
        data.setup()
        return data

    return build


def labels_by_row(data: FaceDataModule) -> dict[int, str]:
    """The class of every validation and test row, as batches give it."""
    return {
        row: data.classes[label]
        for loader in (data.val_dataloader(), data.test_dataloader())
        for batch in loader
        for row, label in zip(batch["index"].tolist(), batch["label"].tolist(), strict=True)
    }


def test_expressions_are_the_default(make):
    data = make(classes=["happy", "sad"])
    assert data.classes == ("happy", "sad")
    assert "expression" not in data.manifest
    assert set(labels_by_row(data).values()) == {"happy", "sad"}


@pytest.mark.parametrize("name", ["glasses", "attribute_glasses"])
def test_an_attribute_gives_classes_labels_and_leaves_the_expression(name, make):
    def change(frame: pd.DataFrame, _: str) -> None:
        frame["attribute_glasses"] = np.arange(len(frame)) % 3 == 0

    data = make(change=change, target=name)
    assert data.classes == ("no", "yes")
    found = labels_by_row(data)
    assert len(found) == 40
    for row, label in found.items():
        assert label == data.manifest["attribute_glasses"][row]
        assert label == data.manifest["label"][row]
    number = data.manifest["id"].str.removeprefix("flat/").astype(int)
    assert (data.manifest["expression"] == np.where(number // 5 % 2, "sad", "happy")).all()


def test_rows_of_an_unknown_target_are_dropped_and_counted(make):
    def change(frame: pd.DataFrame, _: str) -> None:
        frame.loc[::10, "gender"] = None

    data = make(change=change, target="gender")
    assert data.dropped["gender unknown"] == 10
    assert len(data.manifest) == 90
    assert data.classes == ("female", "male")


def test_the_target_itself_is_not_audited(make):
    def change(frame: pd.DataFrame, _: str) -> None:
        frame["attribute_hat"] = np.arange(len(frame)) % 2 == 0

    data = make(change=change, target="gender", attributes=["gender", "hat"])
    assert set(data.groups) == {"hat"}
    assert "gender is what is told apart: it is not audited" in data.warnings


def test_datasets_are_told_apart(make):
    data = make("first", "second", target="dataset")
    assert data.classes == ("first", "second")
    for row, label in labels_by_row(data).items():
        assert data.manifest["id"][row].startswith(f"{label}/")
    batch = next(iter(data.train_dataloader()))
    assert set(batch["label"].tolist()) == {0, 1}
    assert set(data.groups) == {"gender"}


def test_expressions_may_be_audited_when_they_are_not_the_target(make):
    data = make(target="gender", attributes=["expression"])
    assert {"happy", "sad"} <= set(data.groups["expression"])


def test_classes_may_name_some_of_the_groups(tmp_path):
    options = {"train": 40, "val": 20, "test": 20, "image_size": 48, "cache_dir": tmp_path}
    data = SyntheticDataModule(target="race", **options)
    data.setup()
    every = data.classes
    assert len(every) > 2
    aimed, classes = set_target(data._load().selection.manifest, "race", [every[1], every[0]])
    assert classes == every[:2]
    assert set(aimed["label"]) == set(data.manifest["label"])
    with pytest.raises(ConfigError, match=r"race is never red(.|\n)*classes"):
        set_target(data.manifest, "race", ["red", every[0]])
    with pytest.raises(ConfigError, match="fewer than two classes"):
        set_target(data.manifest, "race", [every[0]])


def test_an_empty_label_is_unknown_and_counted(make):
    def change(frame: pd.DataFrame, _: str) -> None:
        frame.loc[::4, "label"] = None
        frame.loc[1::4, "label"] = "unknown"

    data = make(change=change, classes=["happy", "sad"])
    assert data.dropped["expression unknown"] == 50
    assert set(data.manifest["label"]) == {"happy", "sad"}


def test_a_dataset_without_expressions_is_merged_with_one_that_has_them(make):
    def change(frame: pd.DataFrame, name: str) -> None:
        if name == "second":
            frame["label"] = None

    data = make("first", "second", change=change, classes=["happy", "sad"])
    assert data.dropped["expression unknown"] == 100
    assert set(data.manifest["dataset"]) == {"first"}
    other = make("first", "second", change=change, target="gender")
    assert len(other.manifest) == 200
    assert (other.manifest["expression"] == "unknown").sum() == 100


def test_without_any_expression_the_error_says_what_could_be_told_apart(make):
    def change(frame: pd.DataFrame, _: str) -> None:
        frame["label"] = pd.NA

    with pytest.raises(DataError) as caught:
        make(change=change)
    message = str(caught.value)
    assert "expression is not known for any of the 100 rows" in message
    assert "`target=…`: gender" in message
    data = make(change=change, target="gender")
    assert "expression" not in data.manifest


def test_a_target_that_does_not_exist_is_an_error_with_the_near_miss(make):
    with pytest.raises(ConfigError, match=r"did you mean 'gender'(.|\n)*where: target"):
        make(target="gendre")


def test_a_single_dataset_cannot_be_told_apart(make):
    with pytest.raises(ConfigError, match=r"fewer than two classes(.|\n)*dataset here: flat"):
        make(target="dataset")


def test_a_target_of_which_nothing_is_known_is_an_error(make):
    with pytest.raises(DataError, match=r"age is not known for any of the 100 rows"):
        make(target="age")


def test_the_fingerprint_goes_with_the_target(make):
    by_gender, by_label = make(target="gender"), make(classes=["happy", "sad"])
    assert by_gender.fingerprint != by_label.fingerprint


def with_hats(monkeypatch: pytest.MonkeyPatch, *, expressions: bool) -> None:
    """400 training rows, every fourth with a hat."""

    def read(name: str, **_: Any) -> pd.DataFrame:
        frame = flat_manifest(400, dataset=name, splits=("train",))
        frame["attribute_hat"] = np.arange(len(frame)) % 4 == 0
        return validate(frame if expressions else frame.assign(label=None))

    monkeypatch.setattr(loading, "read", read)


def hats(place: Path, **options: Any) -> FaceDataModule:
    data = FaceDataModule({"flat": {}}, image_size=8, cache_dir=place, verify=False, **options)
    data.setup()
    return data


def test_the_same_rows_are_drawn_whatever_is_told_apart(tmp_path, monkeypatch):
    with_hats(monkeypatch, expressions=True)
    drawn = [
        {
            name: set(data.manifest["id"].iloc[rows])
            for name, rows in (("val", data.val_rows), ("test", data.test_rows))
        }
        for data in (hats(tmp_path, target=target) for target in ("expression", "hat", "gender"))
    ]
    assert drawn[0] == drawn[1] == drawn[2]
    assert (len(drawn[0]["test"]), len(drawn[0]["val"])) == (80, 32)


def test_without_expressions_draws_are_stratified_by_the_target(tmp_path, monkeypatch):
    with_hats(monkeypatch, expressions=False)
    data = hats(tmp_path, target="hat", split={"val_fraction": 0.1, "test_fraction": 0})
    drawn = data.manifest["label"].iloc[data.val_rows].value_counts().to_dict()
    assert drawn == {"no": 30, "yes": 10}


def test_merging_keeps_unknown_labels():
    without = flat_manifest(20, dataset="b")
    without["label"] = None
    merged = merge([flat_manifest(20, dataset="a"), without])
    assert merged["label"].value_counts()["unknown"] == 20
