from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from fer_lab.data.synthetic import Population, SyntheticReader
from fer_lab.data.synthetic.shortcuts import ATTRIBUTES, CASES, SINGLE, carries, case_of, without
from fer_lab.data.vocabulary import REGIONS
from fer_lab.errors import ConfigError
from fer_lab.explain.planted import (
    ATTRIBUTE_REGIONS,
    agreement,
    attribute_ior,
    best_way,
    case_facts,
    cross_fit,
    halves,
    mean_effects,
    overall_agreement,
    region_means,
    region_ranks,
)


@pytest.fixture
def rows() -> pd.DataFrame:
    """Two ways of explaining 30 faces, each with skin, hair and a part of the other regions."""
    rng = np.random.default_rng(0)
    found = []
    for face, region in itertools.product(range(30), REGIONS):
        if region not in ("skin", "hair") and rng.random() < 0.5:
            continue
        for method, layer in (("hirescam", "relu2"), ("lrp", "")):
            zero = method == "lrp" and face % 10 == 0
            found.append(
                {
                    "id": f"f/{face}",
                    "method": method,
                    "layer": layer,
                    "region": region,
                    "ior": 0.0 if zero else rng.random(),
                    "lift": np.nan if zero else 1.0,
                }
            )
    return pd.DataFrame(found)


@pytest.fixture
def effects() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    faces = [
        (f"f/{face}", name)
        for face, name in itertools.product(range(30), ATTRIBUTES)
        if rng.random() < 0.6
    ]
    frame = pd.DataFrame(faces, columns=["id", "attribute"])
    return frame.assign(probability=rng.random(len(frame)), without=rng.random(len(frame)))


def slow_mean(rows, method, region, ids) -> float:
    values = [
        row.ior
        for row in rows.itertuples()
        if row.method == method and row.region == region and row.id in ids and row.lift == row.lift
    ]
    return sum(values) / len(values) if values else float("nan")


def slow_rank(rows, method, attribute, ids) -> int:
    means = {region: slow_mean(rows, method, region, ids) for region in REGIONS}
    best = max(means[region] for region in ATTRIBUTE_REGIONS[attribute])
    return 1 + sum(value > best for value in means.values())


def test_means_are_over_faces_with_the_region_and_without_all_zero_maps(rows):
    ids = {f"f/{n}" for n in range(0, 30, 2)}
    means = region_means(rows, ids)
    assert list(means.index) == [("hirescam", "relu2"), ("lrp", "")]
    for (method, layer), region in itertools.product(means.index, REGIONS):
        assert means.loc[(method, layer), region] == pytest.approx(
            slow_mean(rows, method, region, ids)
        )


def test_facts_of_a_case_equal_a_slow_count(rows, effects):
    facts = case_facts(rows, effects, ["hat", "lipstick"])
    wearing = {name: set(part["id"]) for name, part in effects.groupby("attribute")}
    both = wearing["hat"] & wearing["lipstick"]
    assert 3 < len(both) < 25
    true = {
        name: np.mean([r.probability - r.without for r in effects.itertuples() if r[2] == name])
        for name in ATTRIBUTES
    }
    for way in facts:
        method = way["method"]
        for name in ("hat", "lipstick"):
            assert way["ranks"][name] == slow_rank(rows, method, name, both)
        ior = {
            name: max(
                slow_mean(rows, method, region, wearing[name]) for region in ATTRIBUTE_REGIONS[name]
            )
            for name in ATTRIBUTES
        }
        assert way["attribute_ior"] == pytest.approx(ior, abs=1e-6)
        expected = spearmanr([ior[n] for n in ATTRIBUTES], [true[n] for n in ATTRIBUTES])[0]
        assert way["agreement"] == pytest.approx(expected, abs=1e-6)
    assert [way["all_zero_maps"] for way in facts] == [0, 3]


def test_of_several_regions_the_hottest_counts():
    means = pd.DataFrame({"u_lip": [0.1, 0.9], "l_lip": [0.4, 0.2], "skin": [0.3, 0.5]})
    assert region_ranks(means, "lipstick").tolist() == [1, 1]
    assert attribute_ior(means, "lipstick").tolist() == [0.4, 0.9]
    assert region_ranks(means.assign(skin=0.95), "lipstick").tolist() == [2, 2]


def test_a_region_that_is_nowhere_has_no_rank():
    assert region_ranks(pd.DataFrame({"skin": [0.3]}), "hat").isna().all()


def test_an_attribute_that_speaks_against_the_class_should_be_coldest():
    effect = pd.Series({"hat": -0.5, "glasses": 0.6, "blond": 0.1})
    hot = pd.DataFrame({"hat": [0.0, 0.8], "glasses": [0.7, 0.7], "blond": [0.2, 0.2]})
    assert agreement(hot, effect).tolist() == pytest.approx([1.0, -0.5])


def test_every_attribute_has_regions_and_every_region_exists():
    assert set(ATTRIBUTE_REGIONS) == set(ATTRIBUTES)
    assert {name for names in ATTRIBUTE_REGIONS.values() for name in names} <= set(REGIONS)


def test_each_half_has_every_attribute_once_and_each_target_equally_often():
    half = halves([name for name, case in CASES.items() if len(case.attributes) == 1])
    assert len(half) == 12
    for number in (0, 1):
        cases = [case_of(name) for name in half.index[half == number]]
        assert sorted(case.attributes[0] for case in cases) == sorted(SINGLE)
        assert sorted(case.target for case in cases) == ["age"] * 3 + ["gender"] * 3


def ranked(ranks: dict[str, dict[str, float]], agreement: float = 0.0) -> pd.DataFrame:
    """Ranks by way and case."""
    return pd.DataFrame(
        [
            {"case": case, "method": way, "layer": "", "rank": rank, "agreement": agreement}
            for way, cases in ranks.items()
            for case, rank in cases.items()
        ]
    )


def test_each_half_is_claimed_by_what_was_best_on_the_other():
    table = ranked(
        {"one": {"a": 1, "b": 1, "c": 7, "d": 9}, "two": {"a": 5, "b": 3, "c": 2, "d": 2}}
    )
    claimed = cross_fit(table, pd.Series({"a": 0, "c": 1, "b": 0, "d": 1}))
    assert list(claimed.index) == ["a", "c", "b", "d"]
    assert claimed["method"].tolist() == ["two", "one", "two", "one"]
    assert claimed["rank"].tolist() == [5, 7, 3, 9]


def test_what_is_claimed_has_no_say_in_the_choice():
    table = ranked({"one": {"a": 1, "c": 4}, "two": {"a": 2, "c": 5}})
    half = pd.Series({"a": 0, "c": 1})
    before = cross_fit(table, half).loc["a", "method"]
    better = table.assign(rank=table["rank"].where(table["case"] != "a", [9, 0, 1, 0]))
    assert cross_fit(better, half).loc["a", "method"] == before == "one"


def test_one_half_alone_claims_nothing():
    assert cross_fit(ranked({"one": {"a": 1}}), pd.Series({"a": 0, "c": 1})).empty


def test_a_tie_goes_to_the_better_agreement_and_no_rank_is_no_choice():
    table = pd.concat(
        [
            ranked({"one": {"a": 2, "c": 2}}, 0.1),
            ranked({"two": {"a": 1, "c": 3}}, 0.6),
            ranked({"none": {"a": 1, "c": float("nan")}}, 0.9),
        ]
    )
    assert best_way(table) == ("two", "")


def test_the_best_over_several_seeds_counts_each_of_them():
    rows = [
        (seed, case, method, rank, 0.0)
        for seed, cases in ((1, ("a", "b")), (2, ("a",)))
        for case in cases
        for method, rank in (("one", 2.0), ("two", 1.0 if seed == 1 else 9.0))
    ]
    table = pd.DataFrame(rows, columns=["seed", "case", "method", "rank", "agreement"])
    assert best_way(table.assign(layer="")) == ("one", "")


def test_agreement_over_all_cases_leaves_out_what_is_not_known():
    rng = np.random.default_rng(2)
    pairs = pd.DataFrame({"ior": rng.random(20), "effect": rng.random(20)})
    expected = spearmanr(pairs["ior"], pairs["effect"])[0]
    pairs.loc[20] = [np.nan, 0.5]
    assert overall_agreement(pairs) == pytest.approx(expected)
    assert np.isnan(overall_agreement(pairs.iloc[:2]))


def test_effects_are_what_taking_the_attribute_off_costs():
    frame = pd.DataFrame(
        {
            "attribute": ["hat", "hat", "blond"],
            "probability": [0.9, 0.7, 0.2],
            "without": [0.1, 0.5, 0.3],
        }
    )
    assert mean_effects(frame).to_dict() == pytest.approx({"hat": 0.5, "blond": -0.1})


def test_there_are_12_single_and_12_double_cases():
    sizes = [len(case.attributes) for case in CASES.values()]
    assert (sizes.count(1), sizes.count(2)) == (12, 12)
    assert all(case_of(name).name == name for name in CASES)


def test_a_misspelt_case_names_the_one_meant():
    with pytest.raises(ConfigError, match="did you mean 'gender-glasses'"):
        case_of("gender-glases")


@pytest.mark.parametrize("name", ["gender-glasses", "age-hat-smiling", "age-hat-lipstick"])
def test_target_and_attributes_agree_as_often_as_asked(name):
    case = case_of(name)
    shares = {"age": {"0-15": 0, "16-32": 0, "33-53": 1, "54+": 1}}
    worn = dict.fromkeys(("glasses", "hat", "lipstick"), 0.3)
    for strength in (0.99, 0.5):
        settings = {"shares": shares, "accessories": worn, "label_noise": 0.0}
        population = Population.named("fair").changed({**settings, "planted": case.rules(strength)})
        reader = SyntheticReader(classes=["neutral", "happy"], population=population)
        faces = [reader.face(f"synthetic#{number}") for number in range(2000)]
        tied = [
            face.gender == "female" if case.target == "gender" else face.age_years < 54
            for face in faces
        ]
        for attribute in case.attributes:
            has = [carries(face, attribute) for face in faces]
            agreeing = np.mean(np.array(tied) == has)
            assert agreeing == pytest.approx(strength, abs=0.035 if strength == 0.5 else 0.01)


def test_an_attribute_is_taken_off_and_nothing_else_changes():
    reader = SyntheticReader(classes=["neutral", "happy"], population="fair")
    faces = [reader.face(f"synthetic#{number}") for number in range(100)]
    for attribute in ATTRIBUTES:
        face = next(face for face in faces if carries(face, attribute))
        plain = without(face, attribute)
        assert not carries(plain, attribute)
        changed = {name for name in vars(face) if vars(face)[name] != vars(plain)[name]}
        assert changed == ({"expression", "intensity"} if attribute == "smiling" else {attribute})
