"""A LightningDataModule for each dataset, a few lines over the shared one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fer_lab.data.face_datamodule import FaceDataModule

__all__ = ["AffectNetDataModule", "FaceDataModule", "SyntheticDataModule"]


class SyntheticDataModule(FaceDataModule):
    """Procedurally drawn faces with exact ground truth: see ``fer_lab.data.sources.synthetic``.

    Args:
        train: number of training faces; ``val`` and ``test`` likewise.
        val: validation faces.
        test: test faces.
        data_seed: seed of the faces; ``seed`` is that of the training.
        population: ``biased``, ``fair``, or the fields to change.
        test_population: fields that are different in the test split.
        appearance: ranges of light, blur, noise, framing, pose and background to change.
        classes: 6, 7, 8 or names of expressions.
        image_size: height and width in pixels, from 48 to 512.
        **options: of :class:`FaceDataModule`.
    """

    def __init__(
        self,
        *,
        train: int = 6000,
        val: int = 1000,
        test: int = 2000,
        data_seed: int = 1,
        population: str | Mapping[str, Any] | None = None,
        test_population: Mapping[str, Any] | None = None,
        appearance: Mapping[str, Any] | None = None,
        classes: int | Sequence[str] = 7,
        image_size: int = 64,
        **options: Any,
    ) -> None:
        source = {
            "train": train,
            "val": val,
            "test": test,
            "seed": data_seed,
            "classes": classes,
            "population": population,
            "test_population": test_population,
            "appearance": appearance,
        }
        super().__init__({"synthetic": source}, classes=classes, image_size=image_size, **options)


class AffectNetDataModule(FaceDataModule):
    """AffectNet, both releases: see ``fer_lab.data.sources.affectnet``.

    Args:
        root: folder of the release.
        release: ``csv``, ``npy``, or ``auto`` to look at the folder.
        gender_labels: CSV files with one row an image and gender F, M or I; ``auto`` looks for
            them in ``root``, None leaves gender unknown.
        gender_columns: their columns ``path``, ``gender`` and ``duplicate``.
        **options: of :class:`FaceDataModule`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        release: Literal["auto", "csv", "npy"] = "auto",
        gender_labels: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = "auto",
        gender_columns: Mapping[str, str | None] | None = None,
        **options: Any,
    ) -> None:
        source = {
            "root": root,
            "release": release,
            "gender_labels": gender_labels,
            "gender_columns": gender_columns,
        }
        super().__init__({"affectnet": source}, **options)
