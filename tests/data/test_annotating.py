"""Labels of others reach each of several datasets before their groups are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fer_lab.data.annotating import annotate_each
from fer_lab.data.loading import Chosen, choose_rows
from fer_lab.data.manifest import assets, group_values
from fer_lab.data.splitting.split_options import Split
from fer_lab.errors import DataError
from tests.data.flat_faces import flat_manifest
from tests.layouts.table import write_image, write_rows

# `known` says itself who its faces are, in codes of its own; of `bare` a model tells.
RACES = ["caucasian", "asian"]
YEARS = [12, 20, 40, 60]


@pytest.fixture
def written(tmp_path: Path) -> dict[str, dict[str, Any]]:
    for name in ("known", "bare"):
        rows = []
        for number in range(16):
            row = {
                "path": f"{name}{number}.png",
                "label": ("happy", "sad")[number % 2],
                "split": "train",
            }
            if name == "known":
                row |= {
                    "gender": ("female", "male")[number % 2],
                    "race": RACES[number // 2 % 2],
                    "age": ("0-15", "54+")[number % 2],
                }
            rows.append(row)
            write_image(tmp_path / name / row["path"], number)
        write_rows(tmp_path / f"{name}.csv", rows)
    groups = [
        {
            "image_path": f"bare{number}.png",
            "gender": ("Man", "Woman")[number // 2 % 2],
            "race": ("White", "East Asian", "Indian")[number % 3],
            "age": YEARS[number % 4],
        }
        for number in range(15)
    ]
    groups.append({"image_path": "nobody.png", "gender": "Man", "race": "White", "age": 3})
    write_rows(tmp_path / "inferred.csv", groups)
    return {
        name: {"source": "table", "root": tmp_path / name, "file": tmp_path / f"{name}.csv"}
        for name in ("known", "bare")
    }


def chosen(written: dict[str, dict[str, Any]], tmp_path: Path, **options: Any) -> Chosen:
    settings: dict[str, Any] = {
        "classes": ["happy", "sad"],
        "attributes": ["gender", "age", "race"],
        "split": Split(val_fraction=0, test_fraction=0),
        "test_split": Split(),
        "cache_dir": tmp_path / "cache",
        "verify": False,
        "annotations": [
            {"kind": "demographics", "file": tmp_path / "inferred.csv", "source": "a model"}
        ],
    }
    return choose_rows(written, **(settings | options))


HARMONISE = {
    "gender": {},
    "age": ["0-15", "16-53", "54+"],
    "race": {
        "known": {"caucasian": "white", "asian": "asian"},
        "bare": {"white": "white", "east_asian": "asian", "indian": "unknown"},
    },
}


def test_inferred_groups_are_harmonised_like_annotated_ones(written, tmp_path):
    found = chosen(written, tmp_path, harmonise=HARMONISE)
    rows = found.selection.manifest.set_index("id")
    assert found.selection.groups["race"] == ("white", "asian")
    assert rows.loc["known/known2.png", "race"] == "asian"
    # Inferred White, East Asian, Indian in turn, and 12, 20, 40, 60 years; of the last nothing.
    bare = [rows.loc[f"bare/bare{number}.png"] for number in range(16)]
    races = [("white", "asian", "unknown")[number % 3] for number in range(15)]
    assert [row["race"] for row in bare] == [*races, "unknown"]
    ages = [("0-15", "16-53", "16-53", "54+")[number % 4] for number in range(15)]
    assert [row["age"] for row in bare] == [*ages, "unknown"]
    assert any("indian (5)" in note for note in found.selection.notes)


def test_each_dataset_keeps_where_its_groups_come_from(written, tmp_path):
    found = chosen(written, tmp_path, harmonise=HARMONISE)
    rows = found.selection.manifest
    for name in ("gender", "age", "race"):
        counts = pd.crosstab(rows["dataset"], rows[f"{name}_source"])
        assert counts.loc["known", "annotated"] == 16
        assert counts.loc["bare"].to_dict() == {"a model": 15, "annotated": 0, "none": 1}
    assert found.selection.sources_of["gender"] == "a model and annotated"
    assert found.dropped["demographics of no listed image"] == 1


def test_sources_that_nobody_declared_equal_are_an_error(written, tmp_path):
    tables = {name: rule for name, rule in HARMONISE.items() if name != "gender"}
    with pytest.raises(DataError, match=r"gender has different groups or sources") as caught:
        chosen(written, tmp_path, harmonise=tables)
    assert "data.harmonise" in str(caught.value)


def test_pixels_and_arrays_beside_a_manifest_stay_its_own(tmp_path):
    parts = [flat_manifest(20, dataset=name) for name in ("one", "two")]
    rating = {"image": "two/3", "annotator": "a", "rank": "strong"}
    file = write_rows(tmp_path / "ranks.csv", [rating])
    after = annotate_each(parts, [{"kind": "intensity", "file": file}])
    for before, part in zip(parts, after, strict=True):
        assert assets(part).readers == assets(before).readers
        assert (assets(part).dropped, len(assets(part).unmatched)) == ({}, 0)
        assert part[list(before.columns)].equals(before)
        assert group_values(part, "intensity_rank") == ("minimal", "average", "strong")
    ranks = after[1].set_index("id")["intensity_rank"]
    assert ranks["two/3"] == "strong"
    assert (ranks.drop("two/3") == "unknown").all()
    assert (after[0]["intensity_rank"] == "unknown").all()
