"""LIME on superpixels (Ribeiro et al. 2016): a linear model of what hiding parts of an image does.

As the authors' package computes it (kernel, ridge, replaced pixels, probabilities), except that the
samples are a balanced design: fewer of them give weights as stable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_lab.explain.attribution import Explanation
from fer_lab.explain.attribution.maps import scaled
from fer_lab.explain.attribution.model_state import ordinary, untouched
from fer_lab.explain.attribution.options import (
    refuse_no_count,
    refuse_not_positive,
    refuse_unknown,
)
from fer_lab.explain.attribution.scores import (
    COLOURS,
    SCORES,
    predicted_unless,
    score_of,
)
from fer_lab.explain.attribution.superpixels import (
    balanced_design,
    mean_colours,
    perturbed,
    superpixels,
)

REPLACEMENTS = ("mean", *COLOURS)


class SuperpixelWeights(NamedTuple):
    """What each superpixel of each image does for the explained class.

    Attributes:
        logits: of the images themselves, ``[N, C]``.
        segments: index of each pixel's superpixel, int64 ``[N, H, W]``.
        weights: for each image the change of the score that showing a superpixel brings, ``[d]``;
            d differs between images.
    """

    logits: Tensor
    segments: Tensor
    weights: list[Tensor]


def lime(
    model: nn.Module,
    image: Tensor,
    target: Tensor | None = None,
    *,
    ids: Sequence[object] | None = None,
    segments: int = 50,
    compactness: float = 20.0,
    samples: int = 256,
    top: int | None = None,
    replace: str = "mean",
    score: str = "probability",
    kernel_width: float = 0.25,
    ridge: float = 0.01,
    seed: int = 0,
    batch_size: int = 64,
) -> Explanation:
    """Superpixels by how much showing them speaks for the class.

    Args:
        model: image -> logits.
        image: float ``[N, 3, H, W]`` in [0, 1].
        target: class to explain, int64 ``[N]``; the predicted one when None.
        ids: of the images, N; an id and the seed decide which superpixels each sample hides, for
            any model and whatever else is in the batch. The image's own values when None.
        segments: superpixels asked for.
        compactness: of superpixels; higher is squarer.
        samples: changed images that the model is shown, for each image.
        top: None for the positive weights; a number for the mask of so many most positive
            superpixels (the gender-split study: 5).
        replace: hidden superpixels get their ``mean`` colour, ``grey`` or ``black``.
        score: what is explained: the class' ``probability`` (as the authors') or ``logit``.
        kernel_width: of the exponential kernel on the cosine distance to the whole image.
        ridge: penalty. The authors' package has 1, which 1,000 samples outweigh.
        seed: another seed hides others.
        batch_size: changed images at once.

    Raises:
        ConfigError: for an option that cannot work.

    Source: Ribeiro et al. 2016, Algorithm 1; defaults of their package ``lime`` 0.2.
    """
    if top is not None:
        refuse_no_count(top=top)
    found = superpixel_weights(
        model,
        image,
        target,
        ids=ids,
        segments=segments,
        compactness=compactness,
        samples=samples,
        replace=replace,
        score=score,
        kernel_width=kernel_width,
        ridge=ridge,
        seed=seed,
        batch_size=batch_size,
    )
    size = image.shape[-2:]
    heat = [
        (weight.relu() if top is None else _most_positive(weight, top))[index]
        for weight, index in zip(found.weights, found.segments, strict=True)
    ]
    maps = torch.stack(heat) if heat else image.new_zeros(0, *size)
    return Explanation(
        found.logits, maps if top is not None else scaled(maps, size), (size[0], size[1])
    )


def superpixel_weights(
    model: nn.Module,
    image: Tensor,
    target: Tensor | None = None,
    *,
    ids: Sequence[object] | None = None,
    segments: int = 50,
    compactness: float = 20.0,
    samples: int = 256,
    replace: str = "mean",
    score: str = "probability",
    kernel_width: float = 0.25,
    ridge: float = 0.01,
    seed: int = 0,
    batch_size: int = 64,
) -> SuperpixelWeights:
    """The signed weights behind ``lime``; arguments and errors as there."""
    refuse_no_count(segments=segments, samples=samples, batch_size=batch_size)
    refuse_not_positive(compactness=compactness, kernel_width=kernel_width, ridge=ridge)
    refuse_unknown("replace", replace, REPLACEMENTS)
    refuse_unknown("score", score, SCORES)
    if ids is not None and len(ids) != len(image):
        raise ValueError(f"{len(ids)} ids for {len(image)} images")

    with untouched(model), torch.inference_mode(False), torch.no_grad():
        image = ordinary(image)
        logits: Tensor = model(image)
        chosen = predicted_unless(target, logits)
        pixels = image.cpu()
        indices, designs, answers = [], [], []
        for number, one in enumerate(image):
            cells = superpixels(pixels[number], segments, compactness)
            named = pixels[number].numpy().tobytes() if ids is None else str(ids[number]).encode()
            design = balanced_design(int(cells.max()) + 1, samples, _generator(seed, named))
            index = torch.from_numpy(cells).to(one.device)
            hidden = (
                mean_colours(one, index) if replace == "mean" else one.new_tensor(COLOURS[replace])
            )
            shown = torch.from_numpy(design).to(one.device)
            answers.append(
                torch.cat(
                    [
                        score_of(model(changed), chosen[number], score)
                        for changed in perturbed(one, hidden, index, shown, batch_size)
                    ]
                )
            )
            indices.append(index)
            designs.append(design)
        weights = [
            torch.from_numpy(local_weights(design, answer, kernel_width, ridge)).to(image)
            for design, answer in zip(designs, _on_cpu(answers), strict=True)
        ]
    index = torch.stack(indices) if indices else image.new_zeros(0, *image.shape[-2:]).long()
    return SuperpixelWeights(logits, index, weights)


def local_weights(
    shown: NDArray[np.bool_], score: NDArray[np.float64], kernel_width: float, ridge: float
) -> NDArray[np.float64]:
    """Coefficients of a ridge regression with an intercept that near samples count more in.

    The whole image is not a sample: at the edge of the design it would weigh more than any other.

    Args:
        shown: ``[S, d]``.
        score: ``[S]``.
        kernel_width: of exp(−D² / 2 width²), D the cosine distance to a row of ones.
        ridge: penalty on the squared coefficients.

    Returns:
        ``[d]``.
    """
    rows = shown.astype(np.float64)
    distance = 1 - np.sqrt(rows.mean(1))
    weight = np.exp(-(distance**2) / (2 * kernel_width**2))
    share = weight / weight.sum()
    centred = rows - share @ rows
    below = (centred * weight[:, None]).T @ centred + ridge * np.eye(rows.shape[1])
    return np.linalg.solve(below, (centred * weight[:, None]).T @ (score - share @ score))


def _most_positive(weight: Tensor, top: int) -> Tensor:
    """1 for the largest ``top`` weights that are positive."""
    mask = torch.zeros_like(weight)
    largest = weight.topk(min(top, len(weight))).indices
    mask[largest] = (weight[largest] > 0).to(mask)
    return mask


def _generator(seed: int, named: bytes) -> np.random.Generator:
    digest = hashlib.blake2b(named, digest_size=16, salt=str(seed).encode()[:16]).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def _on_cpu(answers: list[Tensor]) -> NDArray[np.float64]:
    """``[N, S]``, by one transfer."""
    if not answers:
        return np.empty((0, 0))
    values: NDArray[np.float64] = torch.stack(answers).cpu().double().numpy()
    return values
