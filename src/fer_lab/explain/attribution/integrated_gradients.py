"""Integrated gradients (Sundararajan et al. 2017), by captum."""

from __future__ import annotations

from typing import NamedTuple

import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

from fer_lab.explain.attribution import Explanation
from fer_lab.explain.attribution.maps import scaled
from fer_lab.explain.attribution.model_state import ordinary, untouched
from fer_lab.explain.attribution.options import refuse_no_count, refuse_unknown
from fer_lab.explain.attribution.scores import (
    COLOURS,
    predicted_unless,
    score_of,
)


class Integral(NamedTuple):
    """Attributions of an image's values, and whether to believe them.

    Attributes:
        logits: ``[N, C]``.
        values: signed, of each value of the image, ``[N, 3, H, W]``.
        error: how far their sum is from what the logit gained on the way from the baseline to the
            image, as a share of it, ``[N]``; more steps bring it down.
    """

    logits: Tensor
    values: Tensor
    error: Tensor


def integrated_gradients(
    model: nn.Module,
    image: Tensor,
    target: Tensor | None = None,
    *,
    steps: int = 50,
    baseline: str = "black",
    batch_size: int = 64,
) -> Explanation:
    """Gradients summed on the way from a flat image, times the change of each value.

    The map is the sum over colours, its positive part.

    Args:
        model: image -> logits.
        image: float ``[N, 3, H, W]`` in [0, 1].
        target: class to explain, int64 ``[N]``; the predicted one when None.
        steps: points of a Gauss-Legendre rule.
        baseline: colour of the flat image, ``black`` or ``grey``.
        batch_size: points at once, over all images.

    Raises:
        ConfigError: for an option that cannot work.
    """
    found = integral(model, image, target, steps=steps, baseline=baseline, batch_size=batch_size)
    size = image.shape[-2:]
    heat = found.values.sum(1).relu()
    return Explanation(found.logits, scaled(heat, size), (size[0], size[1]))


def integral(
    model: nn.Module,
    image: Tensor,
    target: Tensor | None = None,
    *,
    steps: int = 50,
    baseline: str = "black",
    batch_size: int = 64,
) -> Integral:
    """The signed attributions behind ``integrated_gradients``; arguments and errors as there."""
    refuse_no_count(steps=steps, batch_size=batch_size)
    refuse_unknown("baseline", baseline, tuple(COLOURS))
    with untouched(model), torch.inference_mode(False), torch.no_grad():
        image = ordinary(image)
        flat = torch.full_like(image[:1], COLOURS[baseline])
        logits: Tensor = model(image)
        chosen = predicted_unless(target, logits)
        gained = score_of(logits, chosen, "logit") - score_of(
            model(flat).expand(len(image), -1), chosen, "logit"
        )
        path = IntegratedGradients(model)
        values = torch.zeros_like(image)
        for first in range(0, len(image), batch_size):
            some = slice(first, first + batch_size)
            values[some] = path.attribute(
                image[some],
                baselines=flat,
                target=chosen[some],
                n_steps=steps,
                internal_batch_size=batch_size,
            )
        error = (values.sum((1, 2, 3)) - gained).abs() / gained.abs()
    return Integral(logits, values, error)
