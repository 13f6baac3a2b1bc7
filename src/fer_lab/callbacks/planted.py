"""At the end of a run on a planted shortcut: what explanations say, and what is true."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from fer_lab.callbacks.stages import EvaluationCallback, audited_split, face_data
from fer_lab.data.manifest import assets
from fer_lab.data.synthetic.reader import SyntheticReader
from fer_lab.data.synthetic.render import render
from fer_lab.data.synthetic.shortcuts import ATTRIBUTES, carries, case_of, without
from fer_lab.data.vocabulary import REGIONS
from fer_lab.errors import ConfigError
from fer_lab.explain.attribution import attribute, check, method_for, options_of
from fer_lab.explain.attribution.layers import grid_of
from fer_lab.explain.planted import ATTRIBUTE_REGIONS, case_facts, mean_effects
from fer_lab.explain.regions import region_statistics
from fer_lab.files import atomic_path, write_json
from fer_lab.models.classifier import MIN_GRID


class PlantedShortcut(EvaluationCallback):
    """Explain the class that attributes were tied to, and take each attribute off the same faces.

    After the pass over the test set it leaves ``explanations/planted.parquet`` (a row a face,
    method, layer and region present: ``ior``, ``lift``, ``area``), ``planted_effects.parquet`` (a
    row a face and attribute that it has: the class's ``probability``, and ``without`` it on the
    face drawn again with the attribute taken off) and ``planted.json`` with the ranks of the
    planted attributes' regions and each method's agreement with those effects.

    The faces are balanced over target × planted attributes.

    Args:
        folder: the run's folder.
        case: name of the case, see :mod:`fer_lab.data.synthetic.shortcuts`.
        strength: share of the training faces in which target and attributes agree.
        methods: options of each attribution method by its name; None leaves one out.
        layers: paths of the layers that class-activation maps explain; by default those that the
            model names, as far as their grid is fine enough.
        max_samples: faces explained; None explains all.
        batch_size: faces explained at once.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        case: str,
        strength: float,
        methods: Mapping[str, Mapping[str, Any] | None],
        layers: Sequence[str] | None = None,
        max_samples: int | None = 160,
        batch_size: int = 64,
    ) -> None:
        self.folder = Path(folder)
        self.case = case_of(case)
        self.strength = float(strength)
        self.methods = {name: dict(own) for name, own in methods.items() if own is not None}
        self.layers = None if layers is None else list(layers)
        self.max_samples = max_samples
        self.batch_size = batch_size
        if not self.methods:
            raise ConfigError("no attribution method is left", where="planted.methods")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse data that cannot be drawn again, and what cannot be explained.

        Raises:
            ConfigError: for other data than synthetic faces with the case's two classes, a method
                or layer that does not suit the model, or several processes.
        """
        data = face_data(trainer)
        self._reader(trainer)
        if set(data.classes) != set(self.case.classes):
            raise ConfigError(
                f"{self.case.name} tells {' and '.join(self.case.classes)} apart, the model "
                f"{', '.join(data.classes)}",
                where="planted.case",
                hint=f"target={self.case.target} classes=[{','.join(self.case.classes)}]",
            )
        with _knowingly():
            for method in self.methods:
                method_for(pl_module, method)
            for method, options in self._ways(pl_module, data.image_size):
                check(pl_module, method, image_size=data.image_size, **options)

    def end(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        """Explain, draw again, write."""
        if audited_split(trainer) != "test":
            return
        data = face_data(trainer)
        label = data.classes.index(self.case.classes[0])
        balanced = [
            "expression" if name == "smiling" else name for name in ("label", *self.case.attributes)
        ]
        rows, effects, right = [], [], []
        for batch in data.audit_dataloader("test", self.max_samples, by=balanced):
            there = trainer.strategy.batch_to_device(batch, model.device)
            for part in _parts(there, self.batch_size):
                image = part["image"]
                ids = data.manifest["id"].iloc[part["index"].tolist()].tolist()
                paths = data.manifest["path"].iloc[part["index"].tolist()].tolist()
                probability = _probability(model, image, label)
                right.append(((probability > 0.5) == (part["label"] == label)).cpu().numpy())
                rows += list(self._explained(model, image, part["regions"], label, ids))
                effects.append(self._effects(trainer, model, label, ids, paths, probability))
        found, truth = pd.concat(rows, ignore_index=True), pd.concat(effects, ignore_index=True)
        folder = self.folder / "explanations"
        for name, frame in (("planted", found), ("planted_effects", truth)):
            with atomic_path(folder / f"{name}.parquet") as temporary:
                frame.to_parquet(temporary, index=False)
        facts = {
            **self._facts(found, truth),
            "accuracy": round(float(np.concatenate(right).mean()), 6),
            "grids": {
                layer: _side(model, layer, data.image_size)
                for layer in found["layer"].unique()
                if layer
            },
        }
        write_json(folder / "planted.json", facts)

    def _reader(self, trainer: Trainer) -> SyntheticReader:
        readers = list(assets(face_data(trainer).manifest).readers.values())
        if len(readers) != 1 or not isinstance(readers[0], SyntheticReader):
            raise ConfigError(
                "the truth about a shortcut is known where the same face can be drawn without it",
                where="callbacks.planted",
                hint="use dataset=synthetic",
            )
        if trainer.world_size > 1:
            raise ConfigError(
                "planted shortcuts are measured in one process",
                where="trainer.devices",
                hint="trainer=auto",
            )
        return readers[0]

    def _ways(self, model: Any, image_size: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each method with its options, once a layer where it has one."""
        layers = self.layers
        if layers is None:
            layers = [
                path for path, _ in model.stages if _side(model, path, image_size) >= MIN_GRID
            ]
        for method, options in self.methods.items():
            if "layer" in options_of(method):
                for layer in layers:
                    yield method, {**options, "layer": layer}
            else:
                yield method, options

    def _explained(
        self, model: LightningModule, image: Tensor, regions: Tensor, label: int, ids: list[str]
    ) -> Iterator[pd.DataFrame]:
        for method, options in self._ways(model, image.shape[-1]):
            given = {"ids": ids} if "ids" in options_of(method) else {}
            with _knowingly():
                maps = attribute(model, image, label, method=method, **options, **given)
            found = region_statistics(maps, regions, len(REGIONS))
            figures = torch.stack((found.ior, found.lift, found.area), dim=2).cpu().numpy()
            face, region = np.nonzero(~np.isnan(figures[..., 0]))
            frame = pd.DataFrame(figures[face, region], columns=["ior", "lift", "area"])
            frame.insert(0, "id", np.asarray(ids, dtype=object)[face])
            frame.insert(1, "method", method)
            frame.insert(2, "layer", str(options.get("layer", "")))
            frame.insert(3, "region", np.asarray(REGIONS, dtype=object)[region])
            yield frame

    def _effects(
        self,
        trainer: Trainer,
        model: LightningModule,
        label: int,
        ids: list[str],
        paths: list[str],
        probability: Tensor,
    ) -> pd.DataFrame:
        """The probability on each face without each attribute that it has."""
        reader = self._reader(trainer)
        size = face_data(trainer).image_size
        faces = [reader.face(path) for path in paths]
        pairs = [
            (place, name)
            for place, face in enumerate(faces)
            for name in ATTRIBUTES
            if carries(face, name)
        ]
        drawn = [
            render(without(faces[place], name), size, reader.appearance).image
            for place, name in pairs
        ]
        blank = np.empty((0, size, size, 3), dtype=np.uint8)
        pixels = torch.from_numpy(np.stack(drawn) if drawn else blank).permute(0, 3, 1, 2)
        changed = [
            _probability(model, some.to(model.device).float() / 255, label)
            for some in torch.split(pixels, self.batch_size)
        ]
        place = [first for first, _ in pairs]
        return pd.DataFrame(
            {
                "id": np.asarray(ids, dtype=object)[place],
                "attribute": [name for _, name in pairs],
                "probability": probability.cpu().numpy()[place],
                "without": torch.cat(changed).cpu().numpy(),
            }
        )

    def _facts(self, rows: pd.DataFrame, effects: pd.DataFrame) -> dict[str, Any]:
        counts = effects["attribute"].value_counts()
        areas = rows.drop_duplicates(["id", "region"]).groupby("region")["area"].mean()
        return {
            "case": self.case.name,
            "target": self.case.target,
            "explained": self.case.classes[0],
            "attributes": list(self.case.attributes),
            "strength": self.strength,
            "faces": int(rows["id"].nunique()),
            "options": self.methods,
            "effects": {
                str(name): {"effect": round(float(value), 6), "faces": int(counts[str(name)])}
                for name, value in mean_effects(effects).items()
            },
            "areas": {
                name: round(float(areas.reindex(list(ATTRIBUTE_REGIONS[name])).sum()), 6)
                for name in ATTRIBUTES
            },
            "ways": case_facts(rows, effects, self.case.attributes),
        }


def _side(model: Any, layer: str, image_size: int) -> int:
    """Cells along the shorter side of a layer's grid; 0 where it has none fine enough."""
    try:
        return min(grid_of(model, layer, image_size=image_size))
    except ConfigError:
        return 0


def _parts(batch: Any, size: int) -> Iterator[dict[str, Tensor]]:
    """A loader's batch in pieces of at most ``size`` faces."""
    names = ("image", "label", "index", "regions")
    for start in range(0, len(batch["index"]), size):
        yield {name: batch[name][start : start + size] for name in names}


def _probability(model: LightningModule, image: Tensor, label: int) -> Tensor:
    """Probability of one class, ``[N]``, in evaluation mode."""
    with torch.no_grad():
        logits: Tensor = model(image)
    return logits.float().softmax(dim=1)[:, label]


@contextmanager
def _knowingly() -> Iterator[None]:
    """Methods are compared where they do not suit the model as well, without a warning each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*averages gradients over space.*")
        yield
