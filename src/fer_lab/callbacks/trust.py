"""Whether the maps can be believed: tests of the maps themselves on a few images of a pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from fer_lab.callbacks.explained import Explained, Explainer, RegionFigures
from fer_lab.callbacks.stages import write_joined
from fer_lab.data.randomness import combine
from fer_lab.data.vocabulary import REGIONS
from fer_lab.explain.attribution import attribute
from fer_lab.explain.faithfulness import deletion_curve, insertion_curve, region_ablation
from fer_lab.explain.randomisation import drawn_anew, randomisation_check
from fer_lab.explain.summary import region_means
from fer_lab.explain.trust import trust_document

_BASELINE = "blur"
_STEPS = 20
_POINTS = 5  # modules after which the maps of a model drawn anew are looked at


class TrustChecks:
    """Deletion, insertion, ablation of the top region, weights drawn anew, a random model.

    Args:
        explainer: what explains the images.
        model: the model explained.
        seed: of random maps, places and weights.
    """

    def __init__(self, explainer: Explainer, model: LightningModule, seed: int = 0) -> None:
        self.explainer = explainer
        self.model = model
        self.seed = seed
        self._rows: list[pd.DataFrame] = []
        self._modules: list[str] = []
        self._random = RegionFigures()

    def update(self, batch: dict[str, Any]) -> None:
        """Test the maps of a batch."""
        explained = self.explainer(self.model, batch)
        image, target = explained.image, explained.prediction
        # Each image's own: its figures do not depend on the batch or the process it comes in.
        seeds = [combine(self.seed, row) for row in explained.index.tolist()]
        columns: dict[str, Any] = {
            "id": self.explainer.data.manifest["id"].iloc[explained.index.tolist()].to_numpy()
        }
        curves = {"deletion": deletion_curve, "insertion": insertion_curve}
        for name, measure in curves.items():
            curve = measure(
                self.model, image, explained.attribution, target, steps=_STEPS, seed=seeds
            )
            columns[name] = _lists(curve.probability)
            columns[f"{name}_random"] = _lists(curve.random_probability)
        columns |= self._ablation(explained, seeds)
        columns |= self._randomisation(explained, seeds)
        self._rows.append(pd.DataFrame(columns))
        if explained.regions is not None:
            with drawn_anew(self.model, self.seed):
                forgotten = self._maps(explained)
            self._random.update(replace(explained, attribution=forgotten))

    def write(self, trainer: Trainer, folder: Path) -> dict[str, Any]:
        """Write ``faithfulness.parquet`` and ``random_model_region_ior.parquet``.

        All processes must call it.

        Returns:
            ``faithfulness`` and ``random_model`` of ``summary.json``; empty on other processes than
            the first.
        """
        own = pd.concat(self._rows) if self._rows else pd.DataFrame({"id": []})
        table, random = (
            folder / f"{name}.parquet" for name in ("faithfulness", "random_model_region_ior")
        )
        write_joined(trainer, own, table, by=["id"])
        frame = self._random.table(self.explainer.data)
        write_joined(trainer, frame, random, by=["id", "region"])
        if not trainer.is_global_zero:
            return {}
        joined, forgotten = pd.read_parquet(table), pd.read_parquet(random)
        explained = forgotten[forgotten["lift"].notna()]
        return {
            "faithfulness": trust_document(
                joined, self._modules, baseline=_BASELINE, seed=self.seed
            ),
            "random_model": {
                "samples": int(explained["id"].nunique()),
                "regions": region_means(explained),
            }
            if len(explained)
            else None,
        }

    def _maps(self, explained: Explained) -> Tensor:
        options = self.explainer.options_for(self.model, explained.index)
        return attribute(
            self.model,
            explained.image,
            explained.prediction,
            method=self.explainer.method,
            **options,
        )

    def _ablation(self, explained: Explained, seeds: list[int]) -> dict[str, Any]:
        count = len(explained.index)
        if explained.regions is None:
            nothing = np.full(count, np.nan)
            return {"region": [None] * count, "drop": nothing, "random_drop": nothing}
        found = region_ablation(
            self.model,
            explained.image,
            explained.attribution,
            explained.prediction,
            explained.regions,
            num_regions=len(REGIONS),
            seed=seeds,
        )
        names = [REGIONS[code] if code >= 0 else None for code in found.region.tolist()]
        return {
            "region": names,
            "drop": found.drop.cpu().numpy(),
            "random_drop": found.random_drop.cpu().numpy(),
        }

    def _randomisation(self, explained: Explained, seeds: list[int]) -> dict[str, Any]:
        found = randomisation_check(
            self.model,
            lambda *_: self._maps(explained),
            explained.image,
            explained.prediction,
            points=_POINTS,
            seed=self.seed,
            map_seed=seeds,
        )
        self._modules = found.modules
        return {"cascade": _lists(found.correlation.T), "chance": found.chance.cpu().numpy()}


def _lists(values: Tensor) -> list[NDArray[np.float64]]:
    return list(values.double().cpu().numpy())
