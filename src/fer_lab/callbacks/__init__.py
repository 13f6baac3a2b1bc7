"""Where metrics and explanations meet Lightning: each callback turns batches into facts."""

from __future__ import annotations

from fer_lab.callbacks.averaging import WeightAverage
from fer_lab.callbacks.choice import BestCheckpoint, Patience
from fer_lab.callbacks.compilation import Compilation
from fer_lab.callbacks.explanations import Explanations
from fer_lab.callbacks.fairness import FairnessAudit
from fer_lab.callbacks.history import History
from fer_lab.callbacks.intensity import IntensityRanks
from fer_lab.callbacks.predictions import PredictionWriter
from fer_lab.callbacks.progress import Progress
from fer_lab.callbacks.repeatability import EpochSeed
from fer_lab.callbacks.resumption import LastCheckpoint
from fer_lab.callbacks.throughput import Throughput

__all__ = [
    "BestCheckpoint",
    "Compilation",
    "EpochSeed",
    "Explanations",
    "FairnessAudit",
    "History",
    "IntensityRanks",
    "LastCheckpoint",
    "Patience",
    "PredictionWriter",
    "Progress",
    "Throughput",
    "WeightAverage",
]
