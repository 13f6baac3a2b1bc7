"""Whether an attribution says what the model uses: pixels taken away, regions hidden.

Every figure is per image and stands beside what an attribution without knowledge of the model gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fer_lab.explain import perturbation
from fer_lab.explain.attribution.model_state import untouched
from fer_lab.explain.perturbation import Baseline
from fer_lab.explain.randomisation import Randomisation, randomisation_check
from fer_lab.explain.regions import intersection_over_region

__all__ = [
    "Ablation",
    "Curve",
    "Randomisation",
    "deletion_curve",
    "insertion_curve",
    "randomisation_check",
    "region_ablation",
]

Model = Callable[[Tensor], Tensor]


class Curve(NamedTuple):
    """The explained class as an image loses or gains pixels in the order of an attribution.

    Attributes:
        share: of the pixels that are removed (deletion) or shown (insertion), ``[S + 1]``.
        probability: of the explained class, ``[N, S + 1]``; NaN for a constant attribution, which
            orders nothing.
        area: under the curve, ``[N]`` in [0, 1]: the lower the better in deletion, the higher
            the better in insertion; NaN for a constant attribution.
        random_probability: the mean over random maps, ``[N, S + 1]``; NaN without any.
        random_area: under that curve, ``[N]``.
    """

    share: Tensor
    probability: Tensor
    area: Tensor
    random_probability: Tensor
    random_area: Tensor


class Ablation(NamedTuple):
    """What a model loses with its most important region, ``[N]`` each.

    Attributes:
        region: the region of highest IoR, -1 where the attribution is all zero.
        area: its share of the pixels, NaN without a region.
        drop: of the explained class's probability when the region is hidden, NaN without one.
        random_drop: the mean drop when the region's shape is hidden somewhere else.
    """

    region: Tensor
    area: Tensor
    drop: Tensor
    random_drop: Tensor


def deletion_curve(
    model: Model,
    image: Tensor,
    attribution: Tensor,
    target: Tensor,
    *,
    steps: int = 20,
    baseline: Baseline = "blur",
    random_maps: int = 1,
    seed: int | Sequence[int] = 0,
) -> Curve:
    """The class's probability while pixels are removed, the most important first.

    Args:
        model: image -> logits.
        image: float ``[N, 3, H, W]``.
        attribution: ``[N, H, W]``; equal values are ordered at random.
        target: class that is explained, int64 ``[N]``.
        steps: number of equal portions S of the pixels.
        baseline: what stands in a removed pixel's place, the blurred image or the image's mean
            colour.
        random_maps: how many random maps to compare with; 0 leaves ``random_area`` NaN.
        seed: of random maps and of ties; each image's own, or one for their places in the batch.

    Raises:
        ValueError: for another baseline, shapes that do not fit, or a number of steps below 1.

    Source: Petsiuk et al. 2018 (RISE); Samek et al. 2017, pixel flipping.
    """
    start, end = image, perturbation.without_detail(image, baseline)
    return _curve(model, start, end, attribution, target, steps, random_maps, seed)


def insertion_curve(
    model: Model,
    image: Tensor,
    attribution: Tensor,
    target: Tensor,
    *,
    steps: int = 20,
    baseline: Baseline = "blur",
    random_maps: int = 1,
    seed: int | Sequence[int] = 0,
) -> Curve:
    """The class's probability while pixels appear, the most important first.

    Arguments and errors as `deletion_curve`.

    Source: Petsiuk et al. 2018 (RISE).
    """
    start, end = perturbation.without_detail(image, baseline), image
    return _curve(model, start, end, attribution, target, steps, random_maps, seed)


def region_ablation(
    model: Model,
    image: Tensor,
    attribution: Tensor,
    target: Tensor,
    regions: Tensor,
    *,
    num_regions: int = 19,
    baseline: Baseline = "blur",
    random_places: int = 5,
    seed: int | Sequence[int] = 0,
) -> Ablation:
    """Hide the region of highest IoR, and its shape at random places of the same image.

    Within an image lift is IoR over one number, so that both name the same region.

    Args:
        model: image -> logits.
        image: float ``[N, 3, H, W]``.
        attribution: ``[N, H, W]`` in [0, 1].
        target: class that is explained, int64 ``[N]``.
        regions: index of each pixel's region, ``[N, H, W]``; indices from ``num_regions`` on mean
            no region.
        num_regions: number of regions.
        baseline: what stands in a hidden pixel's place, the blurred image or its mean colour.
        random_places: how many displacements of the region to compare with; the image is taken
            as going on at its other side, which keeps the area the same.
        seed: of the displacements, as in `deletion_curve`.

    Raises:
        ValueError: as `deletion_curve`.

    Source: Samek et al. 2017, perturbation of regions; the region from FaceX's IoR.
    """
    _check(image, attribution, target)
    ior = intersection_over_region(attribution, regions, num_regions).nan_to_num(-1)
    explained = attribution.flatten(1).amax(1) > 0
    region = torch.where(explained, ior.argmax(1), -1)
    mask = regions == region[:, None, None]
    hidden = perturbation.without_detail(image, baseline)
    draws = perturbation.generators(seed, len(image))

    with _evaluating(model):
        before = _probability(model, image, target)

        def drop(mask: Tensor) -> Tensor:
            seen = torch.where(mask[:, None], hidden, image)
            return before - _probability(model, seen, target)

        own = drop(mask)
        others = [drop(perturbation.displaced(mask, draws)) for _ in range(random_places)]
    elsewhere = torch.stack(others).mean(0) if others else torch.full_like(own, torch.nan)
    area = mask.flatten(1).to(own.dtype).mean(1)
    figures = [torch.where(explained, each, torch.nan) for each in (area, own, elsewhere)]
    return Ablation(region, *figures)


def _curve(
    model: Model,
    start: Tensor,
    end: Tensor,
    attribution: Tensor,
    target: Tensor,
    steps: int,
    random_maps: int,
    seed: int | Sequence[int],
) -> Curve:
    _check(start, attribution, target)
    if steps < 1:
        raise ValueError(f"steps is 1 or more, not {steps}")
    draws = perturbation.generators(seed, len(start))
    share = torch.arange(steps + 1, device=start.device) / steps
    with _evaluating(model):
        probability = _along(model, start, end, attribution, target, share, draws)
        others = [
            _along(model, start, end, each, target, share, draws)
            for each in (perturbation.random_maps(start, draws) for _ in range(random_maps))
        ]
    low, high = attribution.flatten(1).aminmax(dim=1, keepdim=True)
    probability = torch.where(high > low, probability, torch.nan)
    area = torch.trapezoid(probability, share)
    chance = torch.stack(others).mean(0) if others else torch.full_like(probability, torch.nan)
    return Curve(share, probability, area, chance, torch.trapezoid(chance, share))


def _along(
    model: Model,
    start: Tensor,
    end: Tensor,
    attribution: Tensor,
    target: Tensor,
    share: Tensor,
    draws: Sequence[torch.Generator],
) -> Tensor:
    """Probability ``[N, S + 1]`` when the first shares of the pixels are those of ``end``."""
    place = perturbation.places(attribution, draws)
    pixels = place.shape[1]
    found = []
    for step in range(len(share)):
        changed = place < round(step * pixels / (len(share) - 1))
        seen = torch.where(changed.view(len(start), 1, *start.shape[-2:]), end, start)
        found.append(_probability(model, seen, target))
    return torch.stack(found, dim=1)


@contextmanager
def _evaluating(model: Model) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        if isinstance(model, nn.Module):
            stack.enter_context(untouched(model))
        yield


def _probability(model: Model, image: Tensor, target: Tensor) -> Tensor:
    return model(image).float().softmax(1).gather(1, target.view(-1, 1)).squeeze(1)


def _check(image: Tensor, attribution: Tensor, target: Tensor) -> None:
    if attribution.shape != (len(image), *image.shape[-2:]) or target.shape != (len(image),):
        raise ValueError(
            f"an image {list(image.shape)} needs an attribution [N, H, W] and a target [N], not "
            f"{list(attribution.shape)} and {list(target.shape)}"
        )
