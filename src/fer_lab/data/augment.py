"""Random changes of a training batch, made at once on the batch's device.

Draws depend on (seed, epoch, sample) alone, so an image changes in the same way whatever batch,
worker, rank or resumed run it comes in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F  # noqa: N812 (the field's name for it)
from torch import Tensor

from fer_lab.data.randomness import uniform
from fer_lab.data.vocabulary import LANDMARK_FLIP, REGION_FLIP
from fer_lab.errors import ConfigError

if TYPE_CHECKING:
    from fer_lab.data.dataset import Batch

_DRAWS: Final = 8


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Flip, rotation, zoom, shift, brightness, contrast and gamma, each by its strength.

    Attributes:
        flip: probability of mirroring, in [0, 1]; regions and landmarks of the left and the right
            change places.
        rotation: largest angle, in degrees.
        zoom: largest change of scale, in [0, 1).
        shift: largest shift along each axis, as a share of the image's size, in [0, 1).
        brightness: largest value added, in [0, 1].
        contrast: largest change of the distances to the image's mean, in [0, 1].
        gamma: exponents reach from ``1 / (1 + gamma)`` to ``1 + gamma``.

    Raises:
        ConfigError: when a strength is outside its range.

    Source: the strengths in ``conf/augment/standard.yaml`` follow Olate 2025 (transfer recipe).
    """

    flip: float = 0.0
    rotation: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    gamma: float = 0.0

    def __post_init__(self) -> None:
        largest = {"rotation": 180.0, "zoom": 0.99, "shift": 0.99, "gamma": math.inf}
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value <= largest.get(field.name, 1.0):
                raise ConfigError(
                    f"augment.{field.name}={value} is outside 0 to {largest.get(field.name, 1.0)}",
                    where="augment",
                    hint="0 turns a change off; augment=none turns all of them off",
                )

    @classmethod
    def of(cls, options: Augment | Mapping[str, float] | None) -> Augment:
        """An augmentation from itself, its options, or None for none.

        Raises:
            ConfigError: when an option has an unknown name or a value outside its range.
        """
        if isinstance(options, Augment):
            return options
        known = [field.name for field in fields(cls)]
        unknown = [name for name in options or {} if name not in known]
        if unknown:
            raise ConfigError(
                f"unknown augmentation: {', '.join(unknown)}",
                where="augment",
                hint=f"choose from {', '.join(known)}",
            )
        return cls(**{name: float(value or 0) for name, value in (options or {}).items()})

    @property
    def active(self) -> bool:
        """Whether anything is changed at all."""
        return any(getattr(self, field.name) for field in fields(self))

    def __call__(self, batch: Batch, *, seed: int, epoch: int) -> Batch:
        """A batch with changed ``image`` and, where it has them, ``regions`` and ``landmarks``.

        Args:
            batch: ``image`` float32 ``[B, 3, H, W]`` in [0, 1] with H = W, ``index`` ``[B]``.
            seed: the run's seed.
            epoch: number of the epoch.

        Returns:
            A new batch over the same other tensors; the given one where nothing is active.
        """
        if not self.active:
            return batch
        draws = uniform(seed, epoch, batch["index"], _DRAWS)
        flipped = draws[:, 0] < self.flip
        signed = (draws[:, 1:] * 2 - 1).unbind(1)
        changed = batch.copy()
        if self.rotation or self.zoom or self.shift:
            self._warp(changed, flipped, signed)
        elif self.flip:
            _mirror(changed, flipped)
        changed["image"] = self._colour(changed["image"], signed)
        return changed

    def _warp(self, batch: Batch, flipped: Tensor, signed: tuple[Tensor, ...]) -> None:
        """Mirror, rotate, zoom and shift by one sampling of the images."""
        angle = signed[0] * math.radians(self.rotation)
        scale = 1 + signed[1] * self.zoom
        cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
        shift = torch.stack(signed[2:4], dim=1) * (2 * self.shift)
        mirror = 1 - 2 * flipped.to(cosine)
        # Where an output place is found in the input, both in [-1, 1]: of the place's x, its y.
        of_x = torch.stack([mirror * cosine, sine], dim=1)
        of_y = torch.stack([-mirror * sine, cosine], dim=1)
        offset = torch.stack([mirror, torch.ones_like(mirror)], dim=1) * shift
        image = batch["image"]
        grid = _grid(of_x, of_y, offset, image.shape[-1])
        batch["image"] = F.grid_sample(
            image.contiguous(), grid, padding_mode="border", align_corners=False
        )
        if "regions" in batch:
            regions = F.grid_sample(
                batch["regions"][:, None].to(image.dtype),
                grid,
                mode="nearest",
                padding_mode="border",
                align_corners=False,
            )
            batch["regions"] = _swap_regions(regions[:, 0].to(torch.uint8), flipped)
        if "landmarks" in batch:
            half = image.shape[-1] / 2
            centred = (batch["landmarks"] + 0.5) / half - 1 - offset[:, None]
            # The inverse of a scaled rotation (and mirror) is its transpose over scale².
            of_both = torch.stack([of_x, of_y], dim=2) / (scale**2)[:, None, None]
            points = (torch.bmm(centred, of_both) + 1) * half - 0.5
            batch["landmarks"] = _swap_landmarks(points, flipped)

    def _colour(self, image: Tensor, signed: tuple[Tensor, ...]) -> Tensor:
        """Gamma, then contrast about each image's mean and brightness; channels last in memory.

        Convolutions on a CPU take about two thirds of the time with channels last.
        """
        image = image.contiguous(memory_format=torch.channels_last)
        if self.gamma:
            exponent = torch.exp(signed[6] * math.log1p(self.gamma))
            image = image.pow(exponent[:, None, None, None])
        if self.brightness or self.contrast:
            factor = 1 + signed[5] * self.contrast
            mean = image.mean(dim=(1, 2, 3))
            added = mean * (1 - factor) + signed[4] * self.brightness
            image = image * factor[:, None, None, None]
            image = image.add_(added[:, None, None, None]).clamp_(0, 1)
        return image


def _grid(of_x: Tensor, of_y: Tensor, offset: Tensor, size: int) -> Tensor:
    """Sampling places ``[B, size, size, 2]``, as ``affine_grid`` at half its cost."""
    centres = (torch.arange(size, device=of_x.device, dtype=of_x.dtype) + 0.5) * (2 / size) - 1
    along = centres[None, :, None] * of_x[:, None, :]
    down = centres[None, :, None] * of_y[:, None, :] + offset[:, None, :]
    return along[:, None, :, :] + down[:, :, None, :]


def _mirror(batch: Batch, flipped: Tensor) -> None:
    """Mirror without interpolation."""
    image = batch["image"]
    batch["image"] = torch.where(flipped[:, None, None, None], image.flip(-1), image)
    if "regions" in batch:
        regions = batch["regions"]
        mirrored = torch.where(flipped[:, None, None], regions.flip(-1), regions)
        batch["regions"] = _swap_regions(mirrored, flipped)
    if "landmarks" in batch:
        across, down = batch["landmarks"].unbind(-1)
        across = torch.where(flipped[:, None], image.shape[-1] - 1 - across, across)
        batch["landmarks"] = _swap_landmarks(torch.stack([across, down], dim=-1), flipped)


def _swap_regions(regions: Tensor, flipped: Tensor) -> Tensor:
    """Left regions become right ones where an image was mirrored."""
    swap, _ = _orders(regions.device)
    swapped = swap.index_select(0, regions.flatten().int()).view_as(regions)
    return torch.where(flipped[:, None, None], swapped, regions)


def _swap_landmarks(points: Tensor, flipped: Tensor) -> Tensor:
    """Bring mirrored points back into the common order."""
    _, order = _orders(points.device)
    return torch.where(flipped[:, None, None], points[:, order], points)


@cache
def _orders(device: torch.device) -> tuple[Tensor, Tensor]:
    """The mirrored regions and landmarks, copied to a device once: a copy a batch would wait."""
    return (
        # Beyond the regions stand values of no region, which stay what they are.
        torch.tensor(
            [*REGION_FLIP, *range(len(REGION_FLIP), 256)], dtype=torch.uint8, device=device
        ),
        torch.tensor(LANDMARK_FLIP, device=device),
    )
