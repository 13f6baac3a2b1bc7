"""A reader that draws flat colours: small, torch-free, importable by worker processes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fer_lab.data.manifest import Assets, Sample, validate

LABELS = ("happy", "sad")
GENDERS = ("female", "male")


@dataclass(frozen=True)
class FlatReader:
    """Row n is a square of colour n; regions carry n % 19, landmarks n."""

    seconds: float = 0.0
    fails_at: int = -1
    variant: str = "a"

    def key(self) -> str:
        return f"flat-{self.variant}"

    def read(self, path: str, size: int) -> Sample:
        number = int(path.partition("#")[2])
        if number == self.fails_at:
            raise ValueError(f"no colour for {number}")
        time.sleep(self.seconds)
        print("a reader may print")
        return Sample(
            image=np.full((size, size, 3), (number % 251, number // 251, 7), np.uint8),
            regions=np.full((size, size), number % 19, np.uint8),
            landmarks=np.full((68, 2), number, np.float32),
        )


@dataclass(frozen=True)
class BareReader:
    """Grey squares with nothing known about them; dies when told to.

    Its second pixel says whether torch was imported where it was drawn.
    """

    dies_at: int = -1

    def key(self) -> str:
        return "bare"

    def read(self, path: str, size: int) -> Sample:
        number = int(path.partition("#")[2])
        if number == self.dies_at:
            os._exit(9)
        image = np.full((size, size, 3), number % 256, np.uint8)
        image[0, 1] = "torch" in sys.modules
        return Sample(image=image)


def flat_manifest(
    count: int = 60,
    *,
    reader: FlatReader | BareReader | None = None,
    dataset: str = "flat",
    splits: Sequence[str] = ("train", "train", "train", "val", "test"),
) -> pd.DataFrame:
    """Rows whose split, label and gender cycle with different periods."""
    numbers = np.arange(count)
    frame = pd.DataFrame(
        {
            "id": [f"{dataset}/{n}" for n in numbers],
            "dataset": dataset,
            "path": [f"{dataset}#{n}" for n in numbers],
            "label": [LABELS[n // 5 % 2] for n in numbers],
            "split": [splits[n % len(splits)] for n in numbers],
            "gender": pd.Categorical([GENDERS[n // 10 % 2] for n in numbers], [*GENDERS]),
            "gender_source": "annotated",
            "intensity": (numbers / count).astype(np.float32),
        }
    )
    frame.attrs["assets"] = Assets(readers={dataset: reader or FlatReader()})
    return validate(frame)
