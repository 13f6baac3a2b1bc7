"""Sets drawn for a run hold something that it can use, or the error says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fer_lab.data import FaceDataModule, loading
from fer_lab.errors import DataError
from tests.data.flat_faces import flat_manifest


def ready(data: FaceDataModule) -> FaceDataModule:
    data.setup()
    return data


def person_manifest(name: str, people: dict[str, int]) -> pd.DataFrame:
    """Training rows, as many as asked of each person."""
    frame = flat_manifest(sum(people.values()), dataset=name, splits=("train",))
    frame["subject"] = [person for person, count in people.items() for _ in range(count)]
    return frame


def test_a_drawn_set_of_images_that_cannot_be_used_gets_another_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = {"anna": 6, "ben": 6, "cleo": 6}

    def data(outside: str | None) -> FaceDataModule:
        frame = person_manifest("flat", people)
        if outside is not None:
            frame.loc[frame["subject"] == outside, "label"] = "contempt"
        monkeypatch.setattr(loading, "read", lambda *_, **__: frame)
        split = {"val_fraction": 0.34, "test_fraction": 0}
        made = FaceDataModule(
            {"flat": {}},
            classes=["happy", "sad"],
            attributes=["gender"],
            split=split,
            image_size=8,
            cache_dir=tmp_path,
        )
        return ready(made)

    whole = data(None)
    (watched,) = whole.manifest["subject"].iloc[whole.val_rows].unique()
    without = data(watched)
    assert set(without.manifest["subject"].iloc[without.val_rows]) < set(people) - {watched}
    assert len(without.train_rows) == len(without.val_rows) == 6


def test_a_single_person_cannot_be_divided_and_the_error_says_what_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = person_manifest("flat", {"anna": 20})
    monkeypatch.setattr(loading, "read", lambda *_, **__: frame)
    options: dict[str, Any] = {
        "classes": ["happy", "sad"],
        "attributes": ["gender"],
        "image_size": 8,
        "cache_dir": tmp_path,
    }
    with pytest.raises(DataError, match=r"no val rows(.|\n)*split\.by=image"):
        ready(FaceDataModule({"flat": {}}, **options)).val_dataloader()
    divided = ready(FaceDataModule({"flat": {}}, split={"by": "image"}, **options))
    assert len(divided.val_rows) > 0
