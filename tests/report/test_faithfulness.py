from __future__ import annotations

import math

import numpy as np
import pytest

from fer_lab.errors import DataError
from fer_lab.report.faithfulness import NOT_MEASURED, checks, conclusion, footnote
from fer_lab.report.faithfulness_figure import faithfulness_figure
from tests.report.fabricated_explanations import faithfulness


def explained(**parts):
    """A summary whose checks have the gains given as (value, low, high), or None."""
    facts = faithfulness(np.random.default_rng(0))
    for key, part in parts.items():
        if part is None:
            facts[key] = None
        else:
            facts[key]["gain"] = dict(zip(("value", "low", "high"), part, strict=True))
    return {"grid": [7, 7], "faithfulness": facts}


def verdicts(explanation):
    return [check.verdict for check in checks(explanation)]


BETTER, NONE, WORSE = (0.21, 0.17, 0.25), (0.02, -0.01, 0.05), (-0.2, -0.3, -0.1)


@pytest.mark.parametrize(
    ("gain", "verdict", "words"),
    [
        (BETTER, "better than a random map", "faster than deleting at random: gain 0.21 (0.17 to"),
        (
            NONE,
            "no better than a random map",
            "no faster than deleting at random: gain 0.020 (-0.0",
        ),
        ((0.1, 0.0, 0.2), "no better than a random map", "no faster than deleting at random"),
        (WORSE, "worse than a random map", "more slowly than deleting at random: gain -0.20"),
        ((0.4, None, None), "too few faces for an interval", "cannot be judged"),
    ],
)
def test_a_gain_is_one_only_if_its_interval_lies_above_zero(gain, verdict, words):
    check = checks(explained(deletion=gain))[0]
    assert check.verdict == verdict
    assert words in check.sentence


@pytest.mark.parametrize(
    ("deletion", "insertion", "words"),
    [
        (BETTER, BETTER, "better than random maps do"),
        (BETTER, None, "better than random maps do"),
        (BETTER, NONE, "at deletion only"),
        ((0.004, 0.003, 0.005), (0.001, 0.0005, 0.002), "hardly better than random"),
        ((0.004, 0.003, 0.005), BETTER, "better than random maps do"),
        (WORSE, BETTER, "at insertion only"),
        (NONE, NONE, "no better than random ones"),
        (WORSE, NONE, "no better than random ones"),
        (None, None, NOT_MEASURED),
        ((0.4, None, None), None, NOT_MEASURED),
    ],
)
def test_the_conclusion_needs_both_gains(deletion, insertion, words):
    assert words in conclusion(explained(deletion=deletion, insertion=insertion))


def test_correlation_above_chance_is_not_put_down_to_learning():
    explanation = explained()
    check = checks(explanation)[-1]
    assert check.verdict == "more than by chance"
    assert "0.12 (0.06 to 0.17) with the model's own (0.00 by chance)" in check.sentence
    assert "without any learning" in check.sentence
    explanation["faithfulness"]["randomisation"]["left"]["low"] = -0.02
    check = checks(explanation)[-1]
    assert check.verdict == "as by chance"
    assert "without any learning" not in check.sentence


@pytest.mark.parametrize("facts", [None, {}, {"deletion": None}, {"deletion": {"gain": None}}])
def test_what_was_not_measured_is_said_to_be_so(facts):
    explanation = {"grid": [7, 7], "faithfulness": facts}
    assert checks(explanation) == []
    assert conclusion(explanation) == NOT_MEASURED
    assert footnote(explanation) == "How far to trust it: not measured; grid 7 × 7."
    with pytest.raises(DataError, match="not measured"):
        faithfulness_figure(explanation)


def test_an_older_summary_has_no_key_at_all():
    assert footnote({"grid": [7, 7]}) == "How far to trust it: not measured; grid 7 × 7."


def test_the_small_print_has_every_gain_and_the_grid():
    assert footnote(explained(deletion=BETTER, insertion=NONE)) == (
        "How far to trust it: deletion gain 0.21 (0.17 to 0.25); insertion gain 0.020 (-0.010 to "
        "0.050), no better than a random map; correlation 0.12 with maps of random weights "
        "(chance 0.00); grid 7 × 7."
    )


def test_the_curves_are_those_of_the_facts():
    explanation = explained(deletion=BETTER)
    facts = explanation["faithfulness"]
    figure = faithfulness_figure(explanation)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[0] == "Deletion: gain 0.21 (0.17 to 0.25)"
    for axes, key in zip(figure.axes[:2], ("deletion", "insertion"), strict=True):
        own, beside = (line.get_ydata() for line in axes.lines)
        assert own.tolist() == facts[key]["probability"]
        assert beside.tolist() == facts[key]["random_probability"]
    bars = [bar.get_width() for bar in figure.axes[2].patches]
    assert bars == [facts["ablation"]["drop"], facts["ablation"]["random_drop"]]
    cascade = figure.axes[3].lines[0].get_ydata()
    assert cascade[0] == 1
    for shown, fact in zip(cascade[1:], facts["randomisation"]["correlation"], strict=True):
        assert math.isnan(shown) if fact is None else shown == fact


@pytest.mark.parametrize("missing", [("ablation",), ("ablation", "randomisation"), ("insertion",)])
def test_a_check_that_was_not_made_has_no_panel(missing):
    explanation = explained(**dict.fromkeys(missing))
    shown = [axes for axes in faithfulness_figure(explanation).axes if axes.axison]
    assert len(shown) == len(verdicts(explanation)) == 4 - len(missing)
