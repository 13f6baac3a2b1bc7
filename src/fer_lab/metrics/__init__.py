"""Fairness and accuracy of a model: pure functions, and the torchmetrics classes over them."""

from __future__ import annotations

from fer_lab.metrics.confusion import GroupConfusion
from fer_lab.metrics.report import FairnessReport

__all__ = ["FairnessReport", "GroupConfusion"]
