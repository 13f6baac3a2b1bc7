from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from fer_lab.bias import four_way_matrix, joint_matrix, macro_correlation, micro_correlation

CLASSES = ("happy", "sad")
GROUPS = {"gender": ("female", "male"), "age": ("young", "old"), "race": ("black", "white")}
FACES = pd.DataFrame(
    [
        ("happy", "female", "young", "black"),
        ("happy", "female", "old", "black"),
        ("sad", "female", "young", "white"),
        ("sad", "male", "young", "white"),
        ("sad", "male", "unknown", "black"),
        ("fear", "male", "young", "black"),
    ],
    columns=["label", "gender", "age", "race"],
)
RANDOM = pd.DataFrame(
    {
        name: np.random.default_rng(n).choice([*values, "unknown"], 400)
        for n, (name, values) in enumerate({"label": CLASSES, **GROUPS}.items())
    }
)


def test_macro_correlation_by_hand():
    table = macro_correlation(FACES, CLASSES, GROUPS)
    assert table.values.tolist() == [
        ["expression", "happy", 2, 2 / 5],
        ["expression", "sad", 3, 3 / 5],
        ["gender", "female", 3, 3 / 5],
        ["gender", "male", 2, 2 / 5],
        ["age", "young", 3, 3 / 4],
        ["age", "old", 1, 1 / 4],
        ["race", "black", 3, 3 / 5],
        ["race", "white", 2, 2 / 5],
    ]


def test_micro_correlation_by_hand():
    table = micro_correlation(FACES, CLASSES, GROUPS).set_index(["gender", "age", "race", "label"])
    assert table.loc[("female", "all", "all", "happy")].tolist() == [2, 3, 2 / 3]
    assert table.loc[("all", "young", "all", "sad")].tolist() == [2, 3, 2 / 3]
    assert table.loc[("female", "young", "all", "sad")].tolist() == [1, 2, 1 / 2]
    assert table.loc[("male", "all", "black", "sad")].tolist() == [1, 1, 1]
    assert table.loc[("female", "young", "black", "happy")].tolist() == [1, 1, 1]
    empty = table.loc[("male", "old", "white", "sad")]
    assert empty["total"] == 0
    assert math.isnan(empty["share"])


def test_micro_correlation_has_every_combination_once():
    table = micro_correlation(FACES, CLASSES, GROUPS)
    assert len(table) == 2 * (3 * 2 + 3 * 4 + 8)
    assert not table.duplicated([*GROUPS, "label"]).any()
    assert len(micro_correlation(FACES, CLASSES, GROUPS, depth=1)) == 2 * 3 * 2


def test_micro_correlation_by_pandas():
    known = RANDOM[RANDOM["label"] != "unknown"]
    table = micro_correlation(RANDOM, CLASSES, GROUPS)
    for _, row in table.iterrows():
        chosen = known
        for attribute in GROUPS:
            if row[attribute] != "all":
                chosen = chosen[chosen[attribute] == row[attribute]]
            else:
                continue
        members = [attribute for attribute in GROUPS if row[attribute] != "all"]
        assert row["total"] == len(chosen), members
        assert row["share"] == pytest.approx((chosen["label"] == row["label"]).mean())


def test_joint_matrix_by_pandas():
    matrix = joint_matrix(RANDOM, CLASSES, GROUPS)
    assert matrix.shape == (8, 8)
    known = RANDOM[RANDOM["label"] != "unknown"].rename(columns={"label": "expression"})
    for one, first in matrix.index:
        for other, second in matrix.columns:
            rows = known[(known[one] != "unknown") & (known[other] != "unknown")]
            both = (rows[one] == first) & (rows[other] == second)
            assert matrix.loc[(one, first), (other, second)] == pytest.approx(both.mean())


def test_joint_matrix_has_marginals_on_its_diagonal_and_is_symmetric():
    matrix = joint_matrix(RANDOM, CLASSES, GROUPS)
    np.testing.assert_allclose(matrix, matrix.T)
    macro = macro_correlation(RANDOM, CLASSES, GROUPS)
    np.testing.assert_allclose(np.diag(matrix), macro["share"])
    assert matrix.index.tolist() == list(zip(macro["attribute"], macro["value"], strict=True))
    assert matrix.loc["gender", "race"].to_numpy().sum() == pytest.approx(1)
    assert matrix.loc[("gender", "female"), ("gender", "male")] == 0


def test_four_way_matrix_by_hand():
    order = {name: GROUPS[name] for name in ("age", "gender", "race")}
    matrix = four_way_matrix(FACES, CLASSES, order)
    assert matrix.index.tolist() == ["happy", "sad"]
    assert matrix.columns.names == ["age", "gender", "race"]
    assert matrix.shape == (2, 8)
    assert matrix.loc["happy", ("young", "female", "black")] == 1 / 4
    assert matrix.loc["sad", ("young", "male", "white")] == 1 / 4
    assert matrix.loc["sad", ("old", "male", "white")] == 0
    assert matrix.to_numpy().sum() == 1


def test_shares_of_nothing_are_undefined():
    nothing = FACES.assign(age="unknown")
    assert (
        macro_correlation(nothing, CLASSES, GROUPS)
        .query("attribute == 'age'")["share"]
        .isna()
        .all()
    )
    assert joint_matrix(nothing, CLASSES, GROUPS).loc["age"].isna().all(axis=None)
    assert four_way_matrix(nothing, CLASSES, GROUPS).isna().all(axis=None)
