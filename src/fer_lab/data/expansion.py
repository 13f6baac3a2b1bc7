"""A training set expanded: an epoch goes over every image in every variant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fer_lab.data.pixels.images import Rows
from fer_lab.errors import ConfigError, near_miss

if TYPE_CHECKING:
    from fer_lab.data.dataset import Batch


@dataclass(frozen=True, kw_only=True)
class Expansion:
    """The variants of an image: every exponent with every pair of shifts.

    Variants are numbered, shifts along x fastest, then shifts along y, then exponents. A *visit*
    is one image in one variant: ``row · count + variant``.

    Attributes:
        gamma: exponents of the pixels' values, positive.
        shift: whole pixels of the network's input, whatever its size; an image moves by one of
            them to the right and by one downwards. Its edge is repeated where it has left.

    Raises:
        ConfigError: for values that cannot work.

    Source: gender study, augmentation: y = x^γ with four exponents, translations in both axes.
    """

    gamma: tuple[float, ...] = (1.0,)
    shift: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if not all(0 < value < math.inf for value in self.gamma):
            raise ConfigError(
                f"{list(self.gamma)}: an exponent is a positive number",
                where="augment.expand.gamma",
                hint="1 leaves the pixels as they are",
            )
        for name, values, neutral in (("gamma", self.gamma, 1), ("shift", self.shift, 0)):
            if not values or len(set(values)) < len(values):
                raise ConfigError(
                    f"{list(values)} has {'the same value twice' if values else 'no value'}",
                    where=f"augment.expand.{name}",
                    hint=f"[{neutral}] leaves the images as they are",
                )

    @classmethod
    def of(cls, options: Expansion | Mapping[str, Any] | None) -> Expansion:
        """An expansion from itself, its options, or None for none.

        Raises:
            ConfigError: when an option has an unknown name or values that cannot work.
        """
        if isinstance(options, Expansion):
            return options
        if options is not None and not isinstance(options, Mapping):
            raise ConfigError(
                f"{options!r} says nothing of exponents and shifts",
                where="augment.expand",
                hint="augment.expand.gamma=[0.5,1,2] augment.expand.shift=[-4,0,4]",
            )
        given = options or {}
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                near = near_miss(name, known)
                raise ConfigError(
                    f"no expansion by {name}" + (f"; did you mean {near}?" if near else ""),
                    where="augment.expand",
                    hint=f"choose from {', '.join(known)}",
                )
        found: dict[str, Any] = {}
        if given.get("gamma") is not None:
            found["gamma"] = tuple(map(float, _numbers("gamma", given["gamma"])))
        if given.get("shift") is not None:
            found["shift"] = tuple(map(int, _numbers("shift", given["shift"], whole=True)))
        return cls(**found)

    @property
    def count(self) -> int:
        """How many variants an image has."""
        return len(self.gamma) * len(self.shift) ** 2

    @property
    def active(self) -> bool:
        """Whether there is any variant but the image itself."""
        return self.gamma != (1.0,) or self.shift != (0,)

    def refuse_shifts_beyond(self, size: int) -> None:
        """Check the shifts once the images' size is known.

        Args:
            size: height and width in pixels.

        Raises:
            ConfigError: when an image would leave its frame.
        """
        if max(map(abs, self.shift)) >= size:
            raise ConfigError(
                f"shifts of {list(self.shift)} px leave nothing of images of {size} px",
                where="augment.expand.shift",
                hint="shifts are pixels of the network's input (recipe.image_size)",
            )

    def visits(self, rows: Rows) -> Rows:
        """Every row in every variant, int64 ``[N · count]``, for rows ``[N]``."""
        visits: Rows = (rows[:, None] * self.count + np.arange(self.count)).ravel()
        return visits

    def keys(self, batch: Batch) -> Tensor:
        """Numbers of a batch's visits, int64 ``[B]``; those of its rows without an expansion."""
        if not self.active:
            return batch["index"]
        return batch["index"] * self.count + batch["variant"]

    def __call__(self, batch: Batch) -> Batch:
        """A batch of the variants that it names; the given one where there is nothing to change.

        Args:
            batch: ``image`` float32 ``[B, 3, H, W]`` in [0, 1] with H = W, ``variant`` ``[B]``;
                ``regions`` and ``landmarks``, where there are, move along.
        """
        if not self.active:
            return batch
        device = batch["image"].device
        exponent, across, down = _variants(self, device)[:, batch["variant"]]
        changed = batch.copy()
        if self.shift != (0,):
            size = batch["image"].shape[-1]
            along = torch.arange(size, device=device)
            columns = (along - across.long()[:, None]).clamp(0, size - 1)[:, None, :]
            rows = (along - down.long()[:, None]).clamp(0, size - 1)[:, :, None]
            sample = torch.arange(len(across), device=device)[:, None, None]
            pixels = batch["image"].permute(0, 2, 3, 1)
            changed["image"] = pixels[sample, rows, columns].permute(0, 3, 1, 2)
            if "regions" in batch:
                changed["regions"] = batch["regions"][sample, rows, columns]
            if "landmarks" in batch:
                motion = torch.stack([across, down], dim=1)[:, None]
                changed["landmarks"] = batch["landmarks"] + motion
        if self.gamma != (1.0,):
            changed["image"] = changed["image"].pow(exponent[:, None, None, None])
        return changed


def _numbers(name: str, values: Any, *, whole: bool = False) -> Sequence[float]:
    """The numbers of an option; one alone is a list of one."""
    listed = values if isinstance(values, Sequence) and not isinstance(values, str) else [values]
    for value in listed:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or (whole and value != int(value)):
            raise ConfigError(
                f"{value!r} is no {'whole ' if whole else ''}number",
                where=f"augment.expand.{name}",
                hint="augment.expand.gamma=[0.5,1,2] augment.expand.shift=[-4,0,4]",
            )
    return listed


@cache
def _variants(expansion: Expansion, device: torch.device) -> Tensor:
    """Exponent, shift along x and along y of every variant, ``[3, count]``, copied once."""
    listed = product(expansion.gamma, expansion.shift, expansion.shift)
    table = [(gamma, across, down) for gamma, down, across in listed]
    return torch.tensor(table, dtype=torch.float32, device=device).T
