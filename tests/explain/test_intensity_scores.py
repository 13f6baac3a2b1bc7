from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from fer_lab.explain.attribution.lrp import relevance_of
from fer_lab.explain.intensity_scores import (
    Terciles,
    log_odds,
    neutral_margin,
    rank_correlations,
)
from fer_lab.explain.rank_correlation import spearman
from fer_lab.models import BaselineCNN


@pytest.mark.parametrize("values", [50, 4])
def test_rank_correlation_is_scipys_with_and_without_ties(values):
    rng = np.random.default_rng(0)
    first, second = rng.integers(values, size=(2, 6, 40)).astype(float)
    expected = [spearmanr(*pair).statistic for pair in zip(first, second, strict=True)]
    found = spearman(torch.from_numpy(first), torch.from_numpy(second))
    assert found.tolist() == pytest.approx(expected)


def test_rank_correlation_of_a_constant_or_of_what_is_no_number_is_undefined():
    row = torch.tensor([[1.0, 2.0, 3.0]])
    assert spearman(row, torch.ones(1, 3)).isnan().all()
    assert spearman(row, torch.tensor([[1.0, torch.nan, 2.0]])).isnan().all()


def test_scores_by_hand():
    logits = torch.tensor([[0.0, 2.0, 1.0], [5.0, -1.0, 2.0]])
    assert neutral_margin(logits, neutral=0).tolist() == [2.0, 0.0]
    assert neutral_margin(logits, neutral=2, target=torch.tensor([0, 1])).tolist() == [-1.0, -3.0]
    probability = logits.softmax(1)[0, 1]
    torch.testing.assert_close(log_odds(logits)[0], (probability / (1 - probability)).log())
    probability = logits.softmax(1)[1, 2]
    torch.testing.assert_close(
        log_odds(logits, torch.tensor([1, 2]))[1], (probability / (1 - probability)).log()
    )


def test_the_margin_is_the_relevance_of_the_difference_of_two_logits():
    torch.manual_seed(0)
    model = BaselineCNN(7).eval()
    for module in model.modules():
        if getattr(module, "bias", None) is not None:
            torch.nn.init.zeros_(module.bias)
    image, target = torch.rand(3, 3, 64, 64), torch.tensor([1, 2, 3])
    logits, own = relevance_of(model, image, target)
    _, neutral = relevance_of(model, image, torch.zeros(3, dtype=torch.int64))
    torch.testing.assert_close(
        (own - neutral).sum((1, 2, 3)), neutral_margin(logits, 0, target), rtol=0.02, atol=1e-3
    )


def test_terciles_make_thirds_of_every_expression_whatever_its_scale():
    rng = np.random.default_rng(0)
    expressions = np.repeat(["happy", "sad"], 300)
    values = rng.normal(size=600) * np.where(expressions == "happy", 1, 100)
    order = rng.permutation(600)
    values, expressions = values[order], expressions[order]
    ranks = np.array(Terciles.fit(values, expressions).rank(values, expressions))
    for name in ("happy", "sad"):
        own = ranks[expressions == name]
        assert [(own == each).sum() for each in ("minimal", "average", "strong")] == [100] * 3
        highest = values[expressions == name][own == "average"].max()
        assert highest < values[expressions == name][own == "strong"].min()


def test_a_value_on_a_cut_has_the_lower_rank():
    terciles = Terciles({"happy": (1.0, 2.0)})
    ranks = terciles.rank([1.0, 1.5, 2.0, 2.1], ["happy"] * 4)
    assert ranks == ["minimal", "average", "average", "strong"]


def test_neutral_faces_unseen_expressions_and_missing_values_have_no_rank():
    values, expressions = [1.0, 2.0, 3.0, 9.0], ["happy", "happy", "happy", "neutral"]
    terciles = Terciles.fit([*values, np.nan], [*expressions, "sad"])
    assert list(terciles.cuts) == ["happy"]
    ranks = terciles.rank([5.0, np.nan, 5.0, 5.0], ["happy", "happy", "neutral", "sad"])
    assert ranks == ["strong", None, None, None]


def test_correlation_is_within_each_expression():
    # Sad faces score higher throughout: pooled, the correlation is that of the offset.
    intensity = [0.1, 0.5, 0.9, 0.1, 0.5, 0.9, 0.0]
    score = [1.0, 2.0, 3.0, 30.0, 20.0, 10.0, 5.0]
    expressions = ["happy"] * 3 + ["sad"] * 3 + ["neutral"]
    found = rank_correlations(score, intensity, expressions)
    assert found == pytest.approx({"happy": 1.0, "sad": -1.0})
    assert rank_correlations([*score, np.nan], [*intensity, 0.5], [*expressions, "happy"]) == found


@pytest.mark.parametrize("call", [Terciles.fit, Terciles({}).rank])
def test_lengths_must_agree(call):
    with pytest.raises(ValueError, match="2 values of 1 expressions"):
        call([1.0, 2.0], ["happy"])
