"""A trained model's probabilities for photographs, without a trainer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningModule

from fer_lab.data.photographs import read_batches
from fer_lab.data.progress import track
from fer_lab.errors import ConfigError, DataError


def class_probabilities(
    model: LightningModule,
    frame: pd.DataFrame,
    *,
    image_size: int,
    batch_size: int,
    device: torch.device,
) -> Iterator[tuple[NDArray[np.float32], list[str]]]:
    """Decode photographs, and classify them.

    Args:
        model: gives logits ``[B, C]`` of images ``[B, 3, S, S]`` in [0, 1]; in evaluation mode.
        frame: the rows of :class:`~fer_lab.data.photographs.Photographs`.
        image_size: ``S``, in pixels.
        batch_size: rows in a batch.
        device: where the model computes; it stays there.

    Yields:
        Of the next ``B`` rows the probabilities ``[G, C]`` of those that can be used, and why each
        of them cannot, ``[B]``, empty for the ``G`` others.

    Raises:
        DataError: when the model's answers are no numbers.
    """
    batches = track(
        read_batches(frame, image_size, batch_size),
        total=-(-len(frame) // batch_size),
        description=f"predicting, batches of {batch_size}",
    )
    model = model.to(device)
    for image, reason in batches:
        empty = np.empty((0, 0), dtype=np.float32)
        yield _shares(model, image, device) if len(image) else empty, reason


def _shares(
    model: LightningModule, image: NDArray[np.uint8], device: torch.device
) -> NDArray[np.float32]:
    with torch.inference_mode():
        # Bytes go to the device: a quarter of what floats would be.
        pixels = torch.from_numpy(image).to(device).permute(0, 3, 1, 2).float().div_(255)
        logits = model(pixels).float()
        if not logits.isfinite().all():
            raise DataError(
                "the model's answers are no numbers",
                hint="its training diverged; choose another checkpoint",
            )
        shares: NDArray[np.float32] = logits.softmax(dim=1).cpu().numpy()
        return shares


def torch_device(name: str) -> torch.device:
    """Where to compute; ``auto`` is a GPU where there is one, else the CPU.

    Raises:
        ConfigError: for a device that is none, or is not there.
    """
    there = ["cpu"]
    if torch.cuda.is_available():
        there[:0] = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        there.insert(0, "mps")
    if name == "auto":
        return torch.device(there[0])
    if name not in (*there, *(each.partition(":")[0] for each in there)):
        raise ConfigError(
            f"there is no device {name!r}",
            where="device",
            hint=f"choose auto, {', '.join(there)}",
        )
    return torch.device(name)
