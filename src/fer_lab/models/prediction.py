"""A trained model's probabilities for photographs, without a trainer."""

from __future__ import annotations

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
    num_classes: int,
    image_size: int,
    batch_size: int,
    device: torch.device,
) -> tuple[NDArray[np.float32], NDArray[np.object_]]:
    """Decode photographs, and classify them.

    Args:
        model: gives logits ``[B, C]`` of images ``[B, 3, S, S]`` in [0, 1]; in evaluation mode.
        frame: the ``N`` rows of :class:`~fer_lab.data.photographs.Photographs`.
        num_classes: ``C``.
        image_size: ``S``, in pixels.
        batch_size: rows in a batch.
        device: where the model computes; it stays there.

    Returns:
        Probabilities ``[N, C]``, NaN where a file cannot be used, and why it cannot, ``[N]``,
        empty for the others.

    Raises:
        DataError: when the model's answers are no numbers.
    """
    found: list[NDArray[np.float32]] = []
    reasons: list[str] = []
    batches = track(
        read_batches(frame, image_size, batch_size),
        total=-(-len(frame) // batch_size),
        description=f"predicting, batches of {batch_size}",
    )
    model = model.to(device)
    with torch.inference_mode():
        for image, reason in batches:
            reasons += reason
            if not len(image):
                continue
            # Bytes go to the device: a quarter of what floats would be.
            pixels = torch.from_numpy(image).to(device).permute(0, 3, 1, 2).float().div_(255)
            logits = model(pixels).float()
            if not logits.isfinite().all():
                raise DataError(
                    "the model's answers are no numbers",
                    hint="its training diverged; choose another checkpoint",
                )
            found.append(logits.softmax(dim=1).cpu().numpy())
    why = np.array(reasons, dtype=object)
    shares = np.full((len(frame), num_classes), np.nan, dtype=np.float32)
    if found:
        shares[why == ""] = np.concatenate(found)
    return shares, why


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
