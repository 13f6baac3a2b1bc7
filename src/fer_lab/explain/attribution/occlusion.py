"""Occlusion (Zeiler & Fergus 2014): how much the class loses when a square is covered."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fer_lab.errors import ConfigError
from fer_lab.explain.attribution import Explanation
from fer_lab.explain.attribution.maps import scaled
from fer_lab.explain.attribution.model_state import ordinary, untouched
from fer_lab.explain.attribution.options import refuse_no_count, refuse_unknown
from fer_lab.explain.attribution.scores import (
    COLOURS,
    SCORES,
    predicted_unless,
    score_of,
)


def occlusion(
    model: nn.Module,
    image: Tensor,
    target: Tensor | None = None,
    *,
    window: int | None = None,
    stride: int | None = None,
    replace: str = "grey",
    score: str = "probability",
    batch_size: int = 64,
) -> Explanation:
    """Places by how much covering them lowers the class' score; what raises it counts as 0.

    Args:
        model: image -> logits.
        image: float ``[N, 3, H, W]`` in [0, 1].
        target: class to explain, int64 ``[N]``; the predicted one when None.
        window: side of the square in pixels; an eighth of the image's shorter side by default.
        stride: pixels from one square to the next; half of the window by default.
        replace: the square's colour, ``grey`` or ``black``.
        score: the class' ``probability`` (as the authors') or ``logit``.
        batch_size: covered images at once.

    Raises:
        ConfigError: for an option that cannot work.
    """
    logits, drop = drops(
        model,
        image,
        target,
        window=window,
        stride=stride,
        replace=replace,
        score=score,
        batch_size=batch_size,
    )
    size = image.shape[-2:]
    return Explanation(logits, scaled(drop.relu(), size), (size[0], size[1]))


def drops(
    model: nn.Module,
    image: Tensor,
    target: Tensor | None = None,
    *,
    window: int | None = None,
    stride: int | None = None,
    replace: str = "grey",
    score: str = "probability",
    batch_size: int = 64,
) -> tuple[Tensor, Tensor]:
    """Logits ``[N, C]``, and at each pixel the mean loss over the squares on it, ``[N, H, W]``.

    Arguments and errors: see ``occlusion``.
    """
    refuse_no_count(batch_size=batch_size)
    refuse_unknown("replace", replace, tuple(COLOURS))
    refuse_unknown("score", score, SCORES)
    height, width = image.shape[-2:]
    window, stride = _window_and_stride(window, stride, height, width)
    with untouched(model), torch.inference_mode(False), torch.no_grad():
        image = ordinary(image)
        logits: Tensor = model(image)
        chosen = predicted_unless(target, logits)
        whole = score_of(logits, chosen, score)
        squares = _squares(height, width, window, stride, image.device)
        colour = image.new_tensor(COLOURS[replace])
        lost = []
        for some in torch.split(squares, max(1, batch_size // max(1, len(image)))):
            covered = torch.where(some[:, None, None], colour, image).flatten(0, 1)
            left = score_of(model(covered), chosen.repeat(len(some)), score)
            lost.append(whole - left.view(len(some), len(image)))
        amount = torch.cat(lost)
        times = squares.sum(0)
        drop = torch.einsum("sn,shw->nhw", amount, squares.to(amount)) / times
    return logits, drop


def _window_and_stride(
    window: int | None, stride: int | None, height: int, width: int
) -> tuple[int, int]:
    window = max(1, min(height, width) // 8) if window is None else window
    refuse_no_count(window=window)
    stride = max(1, window // 2) if stride is None else stride
    refuse_no_count(stride=stride)
    if window > min(height, width) or stride > window:
        raise ConfigError(
            f"squares of {window} px every {stride} px do not cover {height}×{width} px",
            where="explain.options.window, explain.options.stride",
            hint="a window is no larger than the image, a stride no larger than the window",
        )
    return window, stride


def _squares(height: int, width: int, window: int, stride: int, device: torch.device) -> Tensor:
    """Where each square is, bool ``[S, H, W]``; the last ones end at the image's edge."""

    def bands(side: int) -> Tensor:
        first = torch.arange(0, side - window + stride, stride, device=device)
        first = first.clamp_max(side - window).unsqueeze(1)
        place = torch.arange(side, device=device)
        return (place >= first) & (place < first + window)

    rows, columns = bands(height), bands(width)
    return (rows[:, None, :, None] & columns[None, :, None, :]).flatten(0, 1)
