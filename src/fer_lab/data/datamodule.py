"""A LightningDataModule for each dataset of expressions, a few lines over the shared one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fer_lab.data.face_datamodule import FaceDataModule

__all__ = [
    "AffectNetDataModule",
    "CKPlusDataModule",
    "ExpWDataModule",
    "FER2013DataModule",
    "FaceDataModule",
    "FolderDataModule",
    "JAFFEDataModule",
    "KDEFDataModule",
    "RAFDBDataModule",
    "ShardsDataModule",
    "SyntheticDataModule",
    "TableDataModule",
]


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


class JAFFEDataModule(FaceDataModule):
    """JAFFE: see ``fer_lab.data.sources.jaffe``.

    Args:
        root: folder of the images.
        **options: of :class:`FaceDataModule`.
    """

    def __init__(self, root: str | os.PathLike[str], **options: Any) -> None:
        super().__init__({"jaffe": {"root": root}}, **options)


class CKPlusDataModule(FaceDataModule):
    """CK+ in its three forms: see ``fer_lab.data.sources.ckplus``.

    Args:
        root: folder of the dataset.
        release: ``sequences``, ``folders``, ``csv``, or ``auto`` to look at the folder.
        peak_frames: how many images at the end of a sequence have its emotion.
        cache_dir: folder of the caches.
        **options: of :class:`FaceDataModule`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        release: Literal["auto", "sequences", "folders", "csv"] = "auto",
        peak_frames: int = 3,
        cache_dir: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        source = {
            "root": root,
            "release": release,
            "peak_frames": peak_frames,
            "cache_dir": cache_dir,
        }
        super().__init__({"ckplus": source}, cache_dir=cache_dir, **options)


class KDEFDataModule(FaceDataModule):
    """KDEF: see ``fer_lab.data.sources.kdef``.

    Args:
        root: folder of the images.
        angles: the camera's angles wanted; None takes all five.
        **options: of :class:`FaceDataModule`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        angles: Sequence[str] | str | None = None,
        **options: Any,
    ) -> None:
        super().__init__({"kdef": {"root": root, "angles": angles}}, **options)


class RAFDBDataModule(FaceDataModule):
    """RAF-DB, as a list or in folders: see ``fer_lab.data.sources.rafdb``.

    Args:
        root: folder of the dataset.
        images: ``aligned`` faces or ``original`` photographs.
        **options: of :class:`FaceDataModule`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        images: Literal["aligned", "original"] = "aligned",
        **options: Any,
    ) -> None:
        super().__init__({"rafdb": {"root": root, "images": images}}, **options)


class FER2013DataModule(FaceDataModule):
    """FER2013 with its own labels or those of FER+: see ``fer_lab.data.sources.fer2013``.

    Args:
        root: folder of the dataset.
        labels: ``fer2013`` or ``ferplus``.
        votes: FER+'s ``fer2013new.csv``, where it is not in ``root``.
        image_size: height and width in pixels.
        cache_dir: folder of the caches; ``FER_LAB_CACHE`` or ``~/.cache/fer_lab`` by default.
        **options: of :class:`FaceDataModule`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        labels: Literal["fer2013", "ferplus"] = "fer2013",
        votes: str | os.PathLike[str] | None = None,
        image_size: int = 48,
        cache_dir: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        source = {"root": root, "labels": labels, "votes": votes, "cache_dir": cache_dir}
        super().__init__({"fer2013": source}, image_size=image_size, cache_dir=cache_dir, **options)


class ExpWDataModule(FaceDataModule):
    """ExpW: see ``fer_lab.data.sources.expw``.

    Args:
        root: folder of the dataset.
        **options: of :class:`FaceDataModule`.
    """

    def __init__(self, root: str | os.PathLike[str], **options: Any) -> None:
        super().__init__({"expw": {"root": root}}, **options)


class TableDataModule(FaceDataModule):
    """Any CSV or parquet table of images: see ``fer_lab.data.sources.table``.

    Args:
        root: the folder that image paths are relative to.
        table: options of :func:`fer_lab.data.sources.table.read` (``file``, ``columns``,
            ``labels`` …).
        **options: of :class:`FaceDataModule`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        table: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__({"table": {"root": root, **(table or {})}}, **options)


class FolderDataModule(FaceDataModule):
    """Images in a folder per class: see ``fer_lab.data.sources.folder``.

    Args:
        root: the folder that holds the classes, or splits with classes in each.
        labels: the expression of each folder, where its name is none.
        **options: of :class:`FaceDataModule`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        labels: Mapping[str, str | None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__({"folder": {"root": root, "labels": labels}}, **options)


class ShardsDataModule(FaceDataModule):
    """Any dataset in shards: see ``fer_lab.data.sources.shards``.

    Args:
        root: folder or URL of the shards.
        window: how many shards a training reads from at a time.
        ahead: how many further shards are fetched before they are needed.
        cache_gb: the most that shards of a URL take on this machine's disk, in 10⁹ bytes.
        cache_dir: folder of the caches; ``FER_LAB_CACHE`` or ``~/.cache/fer_lab`` by default.
        **options: of :class:`FaceDataModule`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        window: int = 4,
        ahead: int = 2,
        cache_gb: float = 4.0,
        cache_dir: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        source = {
            "root": root,
            "window": window,
            "ahead": ahead,
            "cache_gb": cache_gb,
            "cache_dir": cache_dir,
        }
        super().__init__({"shards": source}, cache_dir=cache_dir, **options)
