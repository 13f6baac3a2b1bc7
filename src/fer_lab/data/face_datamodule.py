"""The LightningDataModule that all datasets share."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from fer_lab.data.augment import Augment
from fer_lab.data.dataset import Batch, FaceDataset
from fer_lab.data.loaders import FaceLoader, Place, batches_done, face_loader, worker_count
from fer_lab.data.loading import Loaded, load
from fer_lab.data.pixels.images import Rows
from fer_lab.data.pixels.inspection import Cache
from fer_lab.data.pixels.packed import default_cache
from fer_lab.data.samplers import EpochSampler
from fer_lab.data.shards.stream import Stream
from fer_lab.data.splitting.selection import plain
from fer_lab.data.splitting.split_options import Split
from fer_lab.data.splitting.subsets import balanced_subset
from fer_lab.data.splitting.target import EXPRESSION
from fer_lab.data.vocabulary import expression_classes
from fer_lab.errors import ConfigError, DataError

_log = logging.getLogger(__name__)


class FaceDataModule(LightningDataModule):
    """Faces of one or several datasets, with whom to learn from and whom to audit.

    Batches are described at :class:`~fer_lab.data.dataset.Batch`. Every random choice depends on
    (seed, epoch, row) alone: neither workers nor batch size nor an interruption change it.
    Several devices need ``Trainer(use_distributed_sampler=False)``: samplers here share rows out
    themselves, with padding in training and without it in evaluation.

    Args:
        sources: options of each dataset by name, ``{"affectnet": {"root": …}}``.
        split: whom the model learns from: ``mixed``, ``female``, ``male``, or a mapping with
            ``where`` (wanted values by attribute), ``folds``, ``balance`` and the other fields
            of :class:`~fer_lab.data.splitting.split_options.Split`. Validation keeps every group.
        test_split: whom the model is tested on, in the same forms.
        classes: 6, 7, 8 or names of expressions; of another target the names of its groups, or
            any number for all of them.
        target: what is told apart: ``expression``, ``dataset``, or an attribute (``gender``,
            ``smiling`` …), whose groups are then the classes. Rows where it is unknown are set
            aside.
        attributes: whose groups are audited.
        image_size: height and width in pixels.
        batch_size: in training, per device.
        eval_batch_size: in validation and test; twice ``batch_size`` by default.
        num_workers: loading processes; ``auto`` takes none for faces in memory maps, else one a
            processor.
        augment: changes of training images, see :class:`~fer_lab.data.augment.Augment`.
        cache: ``packed`` decodes image files once, into memory maps at the training size; ``none``
            decodes them whenever they are asked for.
        cache_dir: folder of the caches; ``FER_LAB_CACHE`` or ``~/.cache/fer_lab`` by default.
        seed: of the order of rows and of the augmentation.
        verify: whether image files are looked at once before training; what cannot be read is
            then set aside and listed.
        harmonise: tables that bring the attributes of several datasets to common groups, see
            :func:`~fer_lab.data.merging.harmonised`.
        annotations: labels of others in files (``{"kind": "demographics", "file": …}``), see
            :func:`~fer_lab.data.sources.external.annotate`.
        annotated_training: whether training batches, too, carry regions and landmarks.

    Attributes:
        classes: names of the labels; of another target than expressions known after
            :meth:`setup`.
        manifest: the rows in use; ``index`` in batches is a row here.
        train_rows: rows to learn from.
        val_rows: rows to watch.
        test_rows: rows to test on.
        groups: the audited attributes and their groups.
        sources_of: where each audited attribute comes from.
        dropped: rows set aside, by reason.
        unreadable: ``id``, ``path`` and ``reason`` of files that cannot be read.
        warnings: what the figures will lack.
        fingerprint: hash of the manifest.
        has_regions: whether faces have region masks.
        has_landmarks: whether faces have landmarks.

    Raises:
        ConfigError: for an option that cannot work.
        DataError: from :meth:`setup`, for data that are not as promised, or a split left empty.
    """

    manifest: pd.DataFrame
    train_rows: Rows
    val_rows: Rows
    test_rows: Rows
    groups: dict[str, tuple[str, ...]]
    sources_of: dict[str, str]
    dropped: dict[str, int]
    unreadable: pd.DataFrame
    warnings: list[str]
    fingerprint: str
    has_regions: bool
    has_landmarks: bool

    def __init__(
        self,
        sources: Mapping[str, Mapping[str, Any] | None],
        *,
        split: str | Mapping[str, Any] = "mixed",
        test_split: str | Mapping[str, Any] = "mixed",
        classes: int | Sequence[str] = 7,
        target: str = EXPRESSION,
        attributes: Sequence[str] = ("gender", "age", "race"),
        image_size: int = 224,
        batch_size: int = 64,
        eval_batch_size: int | None = None,
        num_workers: int | Literal["auto"] = "auto",
        augment: Augment | Mapping[str, Any] | None = None,
        cache: Cache = "none",
        cache_dir: str | os.PathLike[str] | None = None,
        seed: int = 1,
        verify: bool = True,
        harmonise: Mapping[str, Any] | None = None,
        annotations: Sequence[Mapping[str, Any]] = (),
        annotated_training: bool = False,
    ) -> None:
        super().__init__()
        self.sources: dict[str, dict[str, Any]] = {
            name: options or {} for name, options in plain(sources).items()
        }
        if not self.sources:
            raise ConfigError("no dataset is named", where="sources", hint="dataset=synthetic")
        self.split = Split.of(plain(split))
        self.test_split = Split.of(plain(test_split), "test_split")
        self.target = target
        self._asked_classes: int | list[str] = plain(classes)
        self.classes = expression_classes(plain(classes)) if target == EXPRESSION else ()
        self.attributes = tuple(plain(attributes))
        self.image_size = image_size
        self.batch_size = batch_size
        self.eval_batch_size = 2 * batch_size if eval_batch_size is None else eval_batch_size
        for name in ("image_size", "batch_size", "eval_batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} is below 1", where=f"data.{name}")
        self.num_workers = num_workers
        self.augment = Augment.of(plain(augment))
        self.augment.expand.refuse_shifts_beyond(image_size)
        if cache not in ("none", "packed"):
            raise ConfigError(f"no cache {cache!r}", where="data.cache", hint="none or packed")
        self.cache = cache
        self.cache_dir = default_cache() if cache_dir is None else Path(cache_dir).expanduser()
        self.seed = seed
        self.verify = verify
        self.harmonise = plain(harmonise)
        self.annotations: list[dict[str, Any]] = plain(annotations)
        self.annotated_training = annotated_training
        self._loaded: Loaded | None = None
        self._audits: dict[object, DataLoader[Batch]] = {}

    def prepare_data(self) -> None:
        """Fill the caches: image files looked at, drawn faces packed."""
        self._load()

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 - one table for all stages
        """Open the caches (filling them where that was not done) and choose the rows."""
        if hasattr(self, "manifest"):
            return
        loaded = self._load()
        chosen = loaded.selection
        self.train_rows, self.val_rows, self.test_rows = chosen.train, chosen.val, chosen.test
        self.groups, self.sources_of = chosen.groups, chosen.sources_of
        self.dropped, self.unreadable = loaded.dropped, loaded.unreadable
        self.warnings = chosen.warnings
        self.classes, self.fingerprint = loaded.classes, loaded.fingerprint
        self.has_regions = loaded.images.has_regions
        self.has_landmarks = loaded.images.has_landmarks
        self.manifest = chosen.manifest
        self._stream = Stream(self.manifest)
        for note in chosen.notes:
            _log.info("%s", note)
        for warning in self.warnings:
            _log.warning("%s", warning)
        if self.augment.expand.active:
            variants = self.augment.expand.count
            _log.info(
                "each training image comes in %s variants: %s in an epoch",
                variants,
                f"{len(self.train_rows) * variants:,}",
            )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches of the rows to learn from, each in every variant of an expansion."""
        rows, expand = self._existing("train", self.train_rows), self.augment.expand
        visits = expand.visits(rows) if expand.active else rows
        place = Place.of(self.trainer)
        sampler = self._stream.sampler(rows, visits, self.seed, *place, shuffle=True)
        # Batch norm cannot train on one sample; another one is left out each epoch.
        single = len(sampler) > self.batch_size and len(sampler) % self.batch_size == 1
        variants = expand.count if expand.active else None
        dataset = self._dataset(annotated=self.annotated_training, variants=variants)
        loader = self._loader(dataset, sampler, self.batch_size, drop_last=single)
        loader.done = partial(batches_done, self.trainer)
        return loader

    def val_dataloader(self) -> DataLoader[Batch]:
        """This process's share of the validation rows, each once."""
        return self._evaluation_loader(self._existing("val", self.val_rows))

    def test_dataloader(self) -> DataLoader[Batch]:
        """This process's share of the test rows, each once."""
        return self._evaluation_loader(self._existing("test", self.test_rows))

    def predict_dataloader(self) -> DataLoader[Batch]:
        """The test rows."""
        return self.test_dataloader()

    def audit_dataloader(
        self,
        split: Literal["val", "test"],
        max_samples: int | None = None,
        by: Sequence[str] = ("label", "gender"),
    ) -> DataLoader[Batch]:
        """This process's share of a fixed, balanced subset, the same whatever the run's seed.

        Args:
            split: which rows to choose from.
            max_samples: how many at most; None takes all.
            by: attributes whose combinations are equally frequent, as far as there are rows.
        """
        known = (split, max_samples, tuple(by), Place.of(self.trainer)[1:])
        if known not in self._audits:
            rows = self._existing(split, self.val_rows if split == "val" else self.test_rows)
            places = balanced_subset(self.manifest.iloc[rows], max_samples, by, self.split.seed)
            self._audits[known] = self._evaluation_loader(rows[places])
        return self._audits[known]

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:  # noqa: ARG002
        """Images as float32 in [0, 1], augmented in training, on the device."""
        changed = batch.copy()
        if changed["image"].dtype == torch.uint8:
            changed["image"] = changed["image"].to(torch.float32).div_(255)
        if self.trainer is not None and self.trainer.training:
            changed = self.augment(changed, seed=self.seed, epoch=self.trainer.current_epoch)
        return changed

    def _load(self) -> Loaded:
        """What the sources hold; read once in a process, by the hook that asks first."""
        if self._loaded is None:
            self._loaded = load(
                self.sources,
                classes=self._asked_classes,
                target=self.target,
                attributes=self.attributes,
                split=self.split,
                test_split=self.test_split,
                image_size=self.image_size,
                cache_dir=self.cache_dir,
                cache=self.cache,
                verify=self.verify,
                harmonise=self.harmonise,
                annotations=self.annotations,
            )
        return self._loaded

    def _dataset(self, *, annotated: bool, variants: int | None = None) -> FaceDataset:
        loaded = self._load()
        return FaceDataset(
            self.manifest,
            loaded.images,
            classes=self.classes,
            attributes=tuple(self.groups),
            in_split=loaded.selection.monitored,
            annotated=annotated,
            variants=variants,
        )

    def _existing(self, name: str, rows: Rows) -> Rows:
        if len(rows) == 0:
            there = ", ".join(f"{k} {n}" for k, n in self.manifest["split"].value_counts().items())
            here = ",".join(self.sources)
            hints = {
                "train": "learn from another dataset as well (docs/splits.md: Several datasets),"
                f" `dataset=[NAME,{here}]`; or evaluate a trained model here:"
                f" `fer-lab evaluate checkpoint=RUN dataset={here}`",
                "val": "split.val_fraction=0.1 draws validation rows from training"
                if self.split.val_fraction == 0
                else "too few people or images can be used to draw a set of them: "
                "add data, or draw single images with split.by=image",
                "test": "choose another dataset, or add one that has such rows",
            }
            raise DataError(
                f"the data have no {name} rows",
                where=f"{', '.join(self.sources)}: {there}",
                hint=hints[name],
            )
        world = Place.of(self.trainer).world
        if len(rows) < world:  # a process without any would not take part in the pass
            raise DataError(
                f"{len(rows)} {name} rows are too few for {world} processes",
                where="trainer.devices",
            )
        return rows

    def _evaluation_loader(self, rows: Rows) -> DataLoader[Batch]:
        sampler = self._stream.sampler(rows, rows, self.seed, *Place.of(self.trainer))
        return self._loader(self._dataset(annotated=True), sampler, self.eval_batch_size)

    def _loader(
        self, dataset: FaceDataset, sampler: EpochSampler, batch_size: int, drop_last: bool = False
    ) -> FaceLoader:
        workers = self.num_workers
        if workers == "auto":
            devices = 1 if self.trainer is None else max(1, self.trainer.num_devices)
            workers = worker_count(devices, in_memory=self._load().in_memory)
        return face_loader(
            dataset, sampler, batch_size, seed=self.seed, workers=workers, drop_last=drop_last
        )
