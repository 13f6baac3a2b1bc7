"""Changes of a training batch, made at once on the batch's device.

Draws depend on (seed, epoch, sample) alone, so an image changes in the same way whatever batch,
worker, rank or resumed run it comes in; only the second face of a mixed one depends on the batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from fer_lab.data.erasing import erased
from fer_lab.data.expansion import Expansion
from fer_lab.data.mixing import mixed
from fer_lab.data.motions import mirror, warp
from fer_lab.data.randomness import uniform
from fer_lab.errors import ConfigError, near_miss

if TYPE_CHECKING:
    from fer_lab.data.dataset import Batch

_DRAWS: Final = 8

# Largest value of each strength; 1 where it is not named.
_LARGEST: Final = {
    "rotation": 180.0,
    "zoom": 0.99,
    "shift": 0.99,
    "gamma": math.inf,
    "mixup": math.inf,
    "cutmix": math.inf,
}


@dataclass(frozen=True, kw_only=True)
class Augment:
    """What is done to training images, in this order, each by its strength.

    Every variant of an expansion, then flip, rotation, zoom and shift, then gamma, contrast and
    brightness, then erasing, then mixing.

    Attributes:
        flip: probability of mirroring, in [0, 1]; regions and landmarks of the left and the right
            change places.
        rotation: largest angle, in degrees.
        zoom: largest change of scale, in [0, 1).
        shift: largest shift along each axis, as a share of the image's size, in [0, 1).
        brightness: largest value added, in [0, 1].
        contrast: largest change of the distances to the image's mean, in [0, 1].
        gamma: exponents reach from ``1 / (1 + gamma)`` to ``1 + gamma``.
        erasing: probability of a box of noise, in [0, 1], see
            :func:`~fer_lab.data.erasing.erased`. Regions and landmarks stay: they say where the
            parts of the face are, seen or not.
        mixup: a of Beta(a, a), from which the share of a second, blended face is drawn; 0 blends
            none. See :func:`~fer_lab.data.mixing.mixed`.
        cutmix: the same for a box cut out of a second face.
        mix_probability: of an image to get a second face, where there are mixup or cutmix.
        cutmix_probability: of a box, where there are both.
        expand: variants of an image, all of which an epoch goes over.

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
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_probability: float = 1.0
    cutmix_probability: float = 0.5
    expand: Expansion = field(default_factory=Expansion)

    def __post_init__(self) -> None:
        for name, value in self._strengths().items():
            largest = _LARGEST.get(name, 1.0)
            if not 0 <= value <= largest or math.isinf(value):
                raise ConfigError(
                    f"augment.{name}={value} is outside 0 to {largest}",
                    where="augment",
                    hint="0 turns a change off; augment=none turns all of them off",
                )

    @classmethod
    def of(cls, options: Augment | Mapping[str, Any] | None) -> Augment:
        """An augmentation from itself, its options, or None for none.

        Raises:
            ConfigError: when an option has an unknown name or a value outside its range.
        """
        if isinstance(options, Augment):
            return options
        known = [each.name for each in fields(cls)]
        found: dict[str, Any] = {}
        for name, value in (options or {}).items():
            if name not in known:
                near = near_miss(name, known)
                raise ConfigError(
                    f"unknown augmentation: {name}" + (f"; did you mean {near}?" if near else ""),
                    where="augment",
                    hint=f"choose from {', '.join(known)}",
                )
            if name == "expand":
                found[name] = Expansion.of(value)
            elif value is not None:
                found[name] = _number(name, value)
        return cls(**found)

    def _strengths(self) -> dict[str, float]:
        names = [each.name for each in fields(self) if each.name != "expand"]
        return {name: getattr(self, name) for name in names}

    @property
    def mixing(self) -> bool:
        """Whether images get a second face."""
        return bool((self.mixup or self.cutmix) and self.mix_probability)

    @property
    def active(self) -> bool:
        """Whether anything is changed at all."""
        probabilities = ("mix_probability", "cutmix_probability")
        changes = [value for name, value in self._strengths().items() if name not in probabilities]
        return any(changes) or self.expand.active

    def __call__(self, batch: Batch, *, seed: int, epoch: int) -> Batch:
        """A batch with changed ``image`` and, where it has them, ``regions`` and ``landmarks``.

        Args:
            batch: ``image`` float32 ``[B, 3, H, W]`` in [0, 1] with H = W, ``index`` ``[B]``;
                ``variant`` ``[B]`` where the training set is expanded.
            seed: the run's seed.
            epoch: number of the epoch.

        Returns:
            A new batch over the same other tensors, with a second label where images are mixed;
            the given one where nothing is active.
        """
        if not self.active:
            return batch
        key = self.expand.keys(batch)
        changed = self.expand(batch).copy()
        self._change(changed, key, seed, epoch)
        if self.erasing:
            changed["image"] = erased(
                changed["image"], key, probability=self.erasing, seed=seed, epoch=epoch
            )
        if self.mixing:
            changed = mixed(
                changed,
                key,
                mixup=self.mixup,
                cutmix=self.cutmix,
                probability=self.mix_probability,
                cutmix_probability=self.cutmix_probability,
                seed=seed,
                epoch=epoch,
            )
        return changed

    def _change(self, changed: Batch, key: Tensor, seed: int, epoch: int) -> None:
        """Geometry and colours of each image, in place of those of the batch."""
        draws = uniform(seed, epoch, key, _DRAWS)
        flipped = draws[:, 0] < self.flip
        signed = (draws[:, 1:] * 2 - 1).unbind(1)
        if self.rotation or self.zoom or self.shift:
            warp(
                changed,
                flipped,
                signed,
                rotation=self.rotation,
                zoom=self.zoom,
                shift=self.shift,
            )
        elif self.flip:
            mirror(changed, flipped)
        changed["image"] = self._colour(changed["image"], signed)

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


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(
            f"augment.{name}={value} is no number", where="augment", hint=f"augment.{name}=0"
        )
    return float(value)
