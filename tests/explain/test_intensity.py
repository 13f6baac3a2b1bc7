from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from fer_lab.data.sources.external import annotate
from fer_lab.data.vocabulary import INTENSITY_RANKS
from fer_lab.explain.attribution.lrp import relevance_of
from fer_lab.explain.intensity import histogram, rank, rankable, validate
from fer_lab.models import BaselineCNN

EDGES = np.arange(11) / 10


def relevances(images: int = 5, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(images, 3, 8, 8, generator=generator, dtype=torch.float64)


def counts_by_numpy(values: np.ndarray) -> list[int]:
    """NumPy's last bin is closed, so that the maximum, 1.0, is taken out before."""
    scaled = (values - values.min()) / (values.max() - values.min())
    return np.histogram(scaled[scaled < 1], bins=EDGES)[0].tolist()


def a_histogram(**counts: int) -> torch.Tensor:
    """One image; ``b4=7`` puts seven values into the fourth bin."""
    row = torch.zeros(1, 10, dtype=torch.int64)
    for name, count in counts.items():
        row[0, int(name[1:]) - 1] = count
    return row


@pytest.mark.parametrize("scaling", ["signed", "positive"])
def test_counts_are_those_of_numpy_image_by_image(scaling):
    relevance = relevances()
    kept = relevance if scaling == "signed" else relevance.clamp_min(0)
    expected = [counts_by_numpy(image.numpy().ravel()) for image in kept]
    assert histogram(relevance, scaling=scaling).tolist() == expected


def test_every_value_but_the_maximum_is_counted_as_published():
    assert histogram(relevances()).sum(1).tolist() == [3 * 8 * 8 - 1] * 5


def test_a_value_on_an_edge_belongs_to_the_bin_that_it_opens():
    tenths = torch.arange(11, dtype=torch.float64) / 10
    assert histogram(tenths[None]).tolist() == [[1] * 10]


def test_another_number_of_bins():
    quarters = torch.tensor([[0.0, 0.1, 0.3, 0.9, 1.0]])
    assert histogram(quarters, bins=4).tolist() == [[2, 1, 0, 1]]


def test_an_image_without_variation_or_with_a_number_that_is_none_has_no_rank():
    relevance = torch.ones(4, 3, 2, 2)
    relevance[1, 0, 0, 0] = 2
    relevance[2, 0, 0, 0] = math.nan
    relevance[3, 0, 0, 0] = math.inf
    counts = histogram(relevance)
    assert counts.sum(1).tolist()[0::2] == [0, 0]
    assert rank(counts)[1] == "minimal"
    assert [rank(counts)[image] for image in (0, 2, 3)] == [None, None, None]


def test_relevance_that_is_negative_everywhere_is_undefined_when_only_the_positive_is_kept():
    relevance = -1 - torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert rank(histogram(relevance, scaling="positive")) == [None]
    assert rank(histogram(relevance, scaling="signed")) != [None]


def test_half_precision_is_counted_in_single():
    relevance = relevances().half()
    assert histogram(relevance).tolist() == histogram(relevance.float()).tolist()


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"b1": 5}, "minimal"),
        ({"b10": 5}, "strong"),
        # m1 = bins 1–5 = 3, m2 = bins 4–8 = 5, m3 = bins 6–10 = 2.
        ({"b4": 3, "b8": 2}, "average"),
        # Bins 4 and 5 lie in m1 and m2, bins 6 to 8 in m2 and m3: ties of two.
        ({"b5": 4}, "minimal"),
        ({"b6": 4}, "average"),
        # m1 = m3 = 4, m2 = 0.
        ({"b1": 4, "b10": 4}, "minimal"),
    ],
)
def test_the_largest_sum_of_counts_ranks_and_ties_go_to_the_lower(counts, expected):
    assert rank(a_histogram(**counts)) == [expected]


def test_mean_scores_say_strong_as_soon_as_one_value_lies_in_the_last_two_bins():
    counts = a_histogram(b1=1000, b9=1)
    assert rank(counts) == ["minimal"]
    assert rank(counts, rule="mean_scores") == ["strong"]
    # By hand: m1 = (98 * 0.05 + 0.35 + 0.45) / 100, m2 = (0.35 + 0.45) / 2, m3 has no value.
    assert rank(a_histogram(b1=98, b4=1, b5=1), rule="mean_scores") == ["average"]


def test_the_code_of_the_guide_runs():
    page = Path(__file__).parents[2] / "docs" / "intensity.md"
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(block, names)
    assert len(names["ranks"]) == 4


def test_the_positive_part_ranks_nearly_every_explanation_minimal():
    torch.manual_seed(0)
    image = torch.rand(8, 3, 64, 64)
    _, relevance = relevance_of(BaselineCNN(7), image, composite="epsilon_gamma_box")
    assert rank(histogram(relevance, scaling="positive")) == ["minimal"] * 8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: histogram(relevances(), scaling="negative"), "signed"),
        (lambda: rank(torch.ones(1, 9)), r"\[N, 10\]"),
        (lambda: rank(torch.ones(1, 10), rule="sums"), "mean_scores"),
        (lambda: validate(["weak"], ["strong"], ["happy"]), "'weak' is not a rank"),
        (lambda: validate(["strong"], [], ["happy"]), "1 ranks, 0 truths"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_faces_that_are_ranked_are_right_and_not_neutral():
    label = ["happy", "happy", "neutral", "sad"]
    assert rankable(label, ["happy", "sad", "neutral", "sad"]).tolist() == [
        True,
        False,
        False,
        True,
    ]


def test_figures_by_expression_and_rank_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    expressions = rng.choice(["happy", "sad"], 300)
    truth, ranks = rng.choice(INTENSITY_RANKS, (2, 300))
    found = validate(ranks.tolist(), truth.tolist(), expressions.tolist())
    parts = {"happy": expressions == "happy", "sad": expressions == "sad"}
    cases = [(found, np.ones(300, dtype=bool))]
    cases += [(found["by_expression"][name], mask) for name, mask in parts.items()]
    for figures, mask in cases:
        true, said = truth[mask], ranks[mask]
        confusion = confusion_matrix(true, said, labels=list(INTENSITY_RANKS))
        assert figures["confusion"] == confusion.tolist()
        assert figures["accuracy"] == pytest.approx(accuracy_score(true, said))
        each = precision_recall_fscore_support(true, said, labels=list(INTENSITY_RANKS))
        for name, expected in zip(("precision", "recall", "f1", "support"), each, strict=True):
            assert list(figures[name].values()) == pytest.approx(expected.tolist())
        assert figures["constant"] == pytest.approx(
            pd.Series(true).value_counts().max() / len(true)
        )
        assert figures["warning"] is None


def test_a_figure_without_a_case_is_none_not_zero():
    figures = validate(["minimal"], ["average"], ["happy"])
    assert figures["precision"] == {"minimal": 0.0, "average": None, "strong": None}
    assert figures["recall"] == {"minimal": None, "average": 0.0, "strong": None}
    assert figures["f1"] == {"minimal": 0.0, "average": 0.0, "strong": None}
    assert validate([], [], [])["accuracy"] is None


def test_undefined_ranks_and_undecided_truths_are_counted_and_left_out():
    ranks = ["strong", None, "strong", "minimal"]
    figures = validate(ranks, ["strong", "strong", "unknown", None], ["happy"] * 4)
    assert (figures["samples"], figures["undefined"], figures["undecided"]) == (1, 1, 2)
    assert figures["accuracy"] == 1.0
    assert figures["distribution"] == pytest.approx(
        {"minimal": 1 / 3, "average": 0.0, "strong": 2 / 3}
    )


@pytest.mark.parametrize(("most", "warned"), [(95, False), (96, True)])
def test_one_rank_for_more_than_95_percent_is_warned_of(most, warned):
    ranks = ["strong"] * most + ["minimal"] * (100 - most)
    warning = validate(ranks, ranks, ["happy"] * 100)["warning"]
    assert (warning is not None) is warned
    if warned:
        assert "96.0% of the faces are ranked strong" in warning


def test_ties_of_annotators_decide_nothing(tmp_path):
    faces = ["a.png", "b.png", "c.png"]
    votes = {
        "a.png": ["strong", "strong", "minimal"],
        "b.png": ["minimal", "average"],
    }
    rows = [
        {"image": name, "annotator": f"person {number}", "rank": vote}
        for name, ballot in votes.items()
        for number, vote in enumerate(ballot)
    ]
    file = tmp_path / "ratings.csv"
    pd.DataFrame(rows).to_csv(file, index=False)
    manifest = pd.DataFrame(
        {"id": faces, "dataset": "own", "path": faces, "label": "happy", "split": "test"}
    )
    annotated = annotate(manifest, [{"kind": "intensity", "file": file, "ties": "unknown"}])
    truth = annotated.manifest["intensity_rank"]
    figures = validate(["strong"] * 3, truth, annotated.manifest["label"].tolist())
    assert list(annotated.counts.values()) == [1]
    assert (figures["samples"], figures["undecided"], figures["accuracy"]) == (1, 2, 1.0)
