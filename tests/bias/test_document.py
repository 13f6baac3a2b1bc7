from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from fer_lab.bias import MEASURES, ZERO_AT_INDEPENDENCE, dataset_bias
from fer_lab.bias.measures import all_measures
from fer_lab.errors import ConfigError

CLASSES = ("happy", "sad", "anger")
GROUPS = {"gender": ("female", "male"), "age": ("young", "old")}
FIGURE = {"value", "low", "high", "null_mean", "null_p95", "p", "excess"}


def faces(count: int, seed: int | np.random.Generator = 0, bias: float = 0.0) -> pd.DataFrame:
    """Labels that follow gender in a share of the rows, and never age."""
    rng = np.random.default_rng(seed)
    gender = rng.choice(["female", "male"], count)
    follows = rng.random(count) < bias
    by_gender = np.where(gender == "female", "happy", "anger")
    return pd.DataFrame(
        {
            "label": np.where(follows, by_gender, rng.choice(CLASSES, count, p=[0.5, 0.3, 0.2])),
            "gender": gender,
            "age": rng.choice(["young", "old"], count),
        }
    )


def audit(frame: pd.DataFrame, **options) -> dict:
    options = {"classes": CLASSES, "groups": GROUPS, "resamples": 300} | options
    return dataset_bias(frame, **options)


def indices(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    gender = frame["gender"].map(GROUPS["gender"].index).to_numpy()
    return gender, frame["label"].map(CLASSES.index).to_numpy()


def test_counts_by_hand():
    frame = pd.DataFrame(
        {
            "label": ["happy", "happy", "sad", "anger", "fear", "happy"],
            "gender": ["female", "male", "male", "unknown", "female", None],
            "attribute_hat": pd.Categorical(["no", "no", "yes", "no", "yes", "yes"]),
        }
    )
    document = audit(frame, groups={"gender": ("female", "male"), "hat": ("yes", "no", "maybe")})
    assert (document["samples"], document["left_out"]) == (5, 1)
    gender, hat = document["attributes"].values()
    assert (gender["known"], gender["unknown"]) == (3, 2)
    assert gender["groups"] == {"female": 1, "male": 2}
    assert gender["counts"] == [[1, 0, 0], [1, 1, 0]]
    assert hat["groups"] == {"yes": 2, "no": 3, "maybe": 0}
    assert hat["counts"] == [[1, 1, 0], [2, 0, 1], [0, 0, 0]]


def test_values_are_the_measures_of_the_counts_and_their_means():
    document = audit(faces(500, bias=0.3))
    expected = []
    for attribute in document["attributes"].values():
        values = [measure(attribute["counts"]) for measure in MEASURES.values()]
        assert [m["value"] for m in attribute["measures"].values()] == pytest.approx(values)
        assert attribute["bias"]["value"] == pytest.approx(np.mean(values))
        expected.append(values)
    means = np.mean(expected, axis=0)
    assert [m["value"] for m in document["measures"].values()] == pytest.approx(means.tolist())
    assert document["bias"]["value"] == pytest.approx(means.mean())
    assert list(document["measures"]) == list(MEASURES)


def test_every_figure_has_an_interval_around_it_and_a_null():
    document = audit(faces(300, bias=0.2))
    figures = [document["bias"], *document["measures"].values()]
    for attribute in document["attributes"].values():
        figures += [attribute["bias"], *attribute["measures"].values()]
    for figure in figures:
        assert set(figure) == FIGURE
        assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
        assert 0 < figure["p"] <= 1
        assert figure["excess"] == pytest.approx(figure["value"] - figure["null_mean"])


def test_document_is_json_with_none_where_undefined():
    frame = faces(60).assign(gender="female", age="unknown")
    document = audit(frame)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    gender, age = document["attributes"].values()
    for name in MEASURES:
        undefined = name in ZERO_AT_INDEPENDENCE
        assert (gender["measures"][name]["value"] is None) == undefined
        assert set(age["measures"][name].values()) == {None}
    assert document["bias"]["value"] == pytest.approx(gender["bias"]["value"])


def test_no_labelled_row_is_a_document_without_figures():
    document = audit(faces(20).assign(label="unknown"))
    assert (document["samples"], document["left_out"]) == (0, 20)
    assert set(document["bias"].values()) == {None}


def test_interval_is_that_of_rows_drawn_with_replacement():
    frame = faces(400, bias=0.3)
    figure = audit(frame, resamples=4000)["attributes"]["gender"]["bias"]
    rng = np.random.default_rng(1)
    gender, label = indices(frame)
    drawn = []
    for _ in range(600):
        rows = rng.integers(0, len(frame), len(frame))
        drawn.append(all_measures(confusion_matrix(gender[rows], label[rows])[:2]).mean())
    low, high = 2 * figure["value"] - np.quantile(drawn, [0.975, 0.025])
    assert figure["low"] == pytest.approx(low, abs=0.015)
    assert figure["high"] == pytest.approx(high, abs=0.015)


def test_null_is_that_of_shuffled_labels():
    frame = faces(400, bias=0.3)
    measures = audit(frame, resamples=4000)["attributes"]["gender"]["measures"]
    rng = np.random.default_rng(1)
    gender, label = indices(frame)
    drawn = [all_measures(confusion_matrix(gender, rng.permutation(label))[:2]) for _ in range(600)]
    for number, figure in enumerate(measures.values()):
        values = np.array(drawn)[:, number]
        tolerance = 4 * values.std() / np.sqrt(600) + 1e-9
        assert figure["null_mean"] == pytest.approx(values.mean(), abs=tolerance)
        assert figure["null_p95"] == pytest.approx(np.quantile(values, 0.95), abs=3 * tolerance)


def test_attribute_that_means_nothing_stays_below_its_null():
    rng = np.random.default_rng(0)
    draws = 600
    below = dict.fromkeys(MEASURES, 0)
    for seed in range(draws):
        frame = faces(300, rng)
        document = audit(frame, seed=seed, groups={"age": GROUPS["age"]})
        for name, figure in document["measures"].items():
            below[name] += figure["value"] <= figure["null_p95"]
    shares = {name: count / draws for name, count in below.items()}
    assert all(0.92 <= share <= 0.98 for share in shares.values()), shares


def test_planted_bias_is_found_in_the_attribute_that_has_it():
    document = audit(faces(2000, bias=0.3))
    for name in ZERO_AT_INDEPENDENCE:
        assert document["attributes"]["gender"]["measures"][name]["p"] < 0.01
        assert document["attributes"]["gender"]["measures"][name]["low"] > 0
        assert document["attributes"]["age"]["measures"][name]["p"] > 0.01


def test_rows_of_one_subject_are_drawn_together():
    # Each face ten times over is no more evidence than each face once.
    once = faces(200, bias=0.4)
    often = pd.concat([once] * 10, ignore_index=True)
    person = often.assign(subject=np.tile(np.arange(200), 10).astype(str))

    def interval(frame):
        return audit(frame, resamples=2000)["attributes"]["gender"]["bias"]

    def width(figure):
        return figure["high"] - figure["low"]

    alone, naive, together = interval(once), interval(often), interval(person)
    assert width(together) == pytest.approx(width(alone), rel=0.1)
    assert width(naive) < 0.5 * width(alone)
    assert together["null_p95"] == pytest.approx(alone["null_p95"], rel=0.1)
    assert naive["null_mean"] < together["null_mean"]
    assert audit(person)["resampled_by"] == "subject"
    assert audit(often)["resampled_by"] == "sample"


def test_subjects_of_which_there_is_one_row_are_rows():
    frame = faces(150)
    named = frame.assign(subject=[f"person {number}" for number in range(150)])
    assert audit(named) == audit(frame)


@pytest.mark.parametrize("subject", ["", "unknown", None])
def test_rows_whose_subject_is_not_known_are_no_one_subject(subject):
    frame = faces(150)
    assert audit(frame.assign(subject=subject)) == audit(frame)


def test_subjects_of_two_datasets_are_different_people():
    frame = faces(150)
    alone = frame.assign(subject=[f"{n // 2}" for n in range(150)], dataset=["a", "b"] * 75)
    assert audit(alone) == audit(frame)
    assert audit(alone.assign(dataset="a"))["resampled_by"] == "subject"


def test_some_rows_without_a_subject_are_drawn_alone():
    frame = faces(300, bias=0.2)
    frame["subject"] = pd.Series([f"p{n // 5}" if n < 100 else None for n in range(300)])
    document = audit(frame)
    assert document["attributes"]["gender"]["known"] == 300
    figure = document["attributes"]["gender"]["bias"]
    assert figure["low"] < figure["value"] < figure["high"]


def test_same_seed_same_document():
    frame = faces(200)
    assert audit(frame, seed=3) == audit(frame, seed=3)
    assert audit(frame, seed=3) != audit(frame, seed=4)


def test_variant_and_division_by_labels_are_passed_on():
    frame = faces(200, bias=0.2)
    document = audit(frame, variant="published", per_label=True)
    counts = document["attributes"]["gender"]["counts"]
    values = [m["value"] for m in document["attributes"]["gender"]["measures"].values()]
    assert values == pytest.approx(all_measures(counts, "published", per_label=True).tolist())
    assert document["variant"] == "published"


def test_senseless_requests_are_refused():
    with pytest.raises(ConfigError, match="no attribute to audit"):
        audit(faces(5), groups={})
    with pytest.raises(ConfigError, match="no attribute 'race'"):
        audit(faces(5), groups={"race": ("white",)})
    with pytest.raises(ValueError, match="at least two labels"):
        audit(faces(5), classes=["happy"])
    with pytest.raises(ValueError, match="level=95"):
        audit(faces(5), level=95)
