from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from fer_lab.data.splitting.selection import plain
from fer_lab.data.splitting.split_options import Split
from fer_lab.errors import ConfigError


def test_a_split_is_made_from_a_name_or_options() -> None:
    assert Split.of("mixed").where == {}
    assert Split.of("male").where == {"gender": ["male"]}
    given = {"name": "old", "where": {"age": ["54+"], "race": None}, "seed": 4}
    split = Split.of(given)
    assert (split.name, split.seed, split.val_fraction) == ("old", 4, 0.1)
    assert str(split) == "age=['54+']"
    assert Split.of(split) is split
    assert Split.of({"where": None}).where == {}
    with pytest.raises(ConfigError, match="no split 'women'"):
        Split.of("women")
    with pytest.raises(ConfigError, match="did you mean 'where'"):
        Split.of({"were": {}})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"folds": 1}, "1 folds cannot be crossed"),
        ({"folds": 5, "fold": 5}, "there is no fold 5"),
        ({"fold": 2}, "set split.folds"),
        ({"folds": "five"}, "no whole number"),
        ({"folds": 5, "leave_out": "affectnet"}, "two ways to choose the test rows"),
        ({"by": "person"}, "use subject or image"),
        ({"seed": None}, "seed=None is no whole number"),
        ({"seed": "one"}, "seed='one' is no whole number"),
        ({"val_fraction": "much"}, "val_fraction='much' is no share"),
        ({"test_fraction": 1}, "test_fraction=1 is no share"),
        ({"where": "gender"}, r"split.where.gender=\[female\]"),
        ({"balance": "gender"}, r"\[gender,label\]"),
        ({"balance": []}, "names no combinations"),
        ({"match": "gender"}, "not among the balanced"),
        ({"balance": ["label"], "match": "gender"}, "not among the balanced"),
    ],
)
def test_options_that_cannot_work_are_errors_at_once(
    options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        Split.of(options)


@pytest.mark.parametrize(
    "option", [{"folds": 5}, {"leave_out": "a"}, {"by": "image"}, {"val_fraction": 0.3}]
)
def test_what_divides_the_whole_is_no_option_of_the_test(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"set split.{next(iter(option))}"):
        Split.of(option, "test_split")


def test_the_options_on_disk_declare_every_field_of_a_split() -> None:
    folder = Path(__file__).parents[3] / "conf" / "split"
    names = set()
    for file in folder.glob("*.yaml"):
        declared = OmegaConf.to_container(OmegaConf.load(file))
        assert isinstance(declared, dict)
        assert set(declared) == {each.name for each in fields(Split)}
        split = Split.of(plain(declared))
        assert split.name == file.stem
        by_name = Split.of(file.stem)
        assert replace(split, where=by_name.where, balance=by_name.balance) == by_name
        assert str(split) == str(by_name)
        assert list(split.balance or ()) == list(by_name.balance or ())
        names.add(file.stem)
    assert names == {"mixed", "female", "male", "mixed_matched"}
    assert names == {file.stem for file in (folder.parent / "test_split").glob("*.yaml")}
