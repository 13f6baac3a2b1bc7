from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap

from fer_lab.explain.trust import trust_document

STEPS = 4


def table(images: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    curves = {
        name: list(rng.random((images, STEPS + 1)))
        for name in ("deletion", "deletion_random", "insertion", "insertion_random")
    }
    return pd.DataFrame(
        {
            "id": [f"face-{n}" for n in range(images)],
            **curves,
            "region": ["mouth" if n % 4 else "nose" for n in range(images)],
            "drop": rng.random(images),
            "random_drop": rng.random(images) / 2,
            "cascade": list(rng.random((images, 3))),
            "chance": rng.random(images) / 10,
        }
    )


def area(row: np.ndarray) -> float:
    return float(sum((a + b) / 2 for a, b in itertools.pairwise(row)) / STEPS)


@pytest.mark.parametrize(("name", "sign"), [("deletion", -1), ("insertion", 1)])
def test_a_gain_is_positive_where_the_map_beats_a_random_one(name, sign):
    frame = table()
    facts = trust_document(frame, ["head", "middle", "first"], baseline="blur")
    own = [area(row) for row in frame[name]]
    other = [area(row) for row in frame[f"{name}_random"]]
    gains = sign * (np.array(own) - np.array(other))
    assert facts[name]["area"] == pytest.approx(np.mean(own), abs=1e-6)
    assert facts[name]["gain"]["value"] == pytest.approx(gains.mean(), abs=1e-6)
    expected = bootstrap((gains,), np.mean, method="percentile", rng=0).confidence_interval
    assert facts[name]["gain"]["low"] == pytest.approx(expected.low, abs=0.01)
    assert facts[name]["gain"]["high"] == pytest.approx(expected.high, abs=0.01)
    assert facts[name]["probability"] == pytest.approx(np.stack(frame[name]).mean(0), abs=1e-6)
    assert facts["steps"] == STEPS


def test_hidden_regions_are_counted_and_drawn_anew_modules_named():
    frame = table()
    facts = trust_document(frame, ["head", "middle", "first"], baseline="blur")
    assert facts["ablation"]["regions"] == {"mouth": 30, "nose": 10}
    gain = (frame["drop"] - frame["random_drop"]).mean()
    assert facts["ablation"]["gain"]["value"] == pytest.approx(gain, abs=1e-6)
    cascade = np.stack(frame["cascade"])
    assert facts["randomisation"]["modules"] == ["head", "middle", "first"]
    assert facts["randomisation"]["correlation"] == pytest.approx(cascade.mean(0), abs=1e-6)
    assert facts["randomisation"]["left"]["value"] == pytest.approx(cascade[:, 2].mean(), abs=1e-6)


def test_what_is_not_known_is_left_out_of_the_means_or_is_none():
    frame = table(4)
    frame["drop"] = np.nan
    frame.at[0, "deletion"] = np.full(STEPS + 1, np.nan)  # a constant map orders no pixels
    facts = trust_document(frame, ["head"], baseline="blur")
    assert facts["ablation"] is None
    areas = [area(row) for row in frame["deletion"][1:]]
    assert facts["deletion"]["area"] == pytest.approx(np.mean(areas), abs=1e-6)
    # The random map is compared on the same images.
    others = [area(row) for row in frame["deletion_random"][1:]]
    assert facts["deletion"]["random_area"] == pytest.approx(np.mean(others), abs=1e-6)
    alone = trust_document(table(1), ["head"], baseline="blur")
    assert alone["deletion"]["gain"]["low"] is None
