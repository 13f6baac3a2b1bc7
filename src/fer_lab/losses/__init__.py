"""What training minimises: functions of logits and labels."""

from __future__ import annotations

from fer_lab.losses.classification import (
    cross_entropy,
    mixed_cross_entropy,
    sample_cross_entropy,
    weighted_mean,
)

__all__ = ["cross_entropy", "mixed_cross_entropy", "sample_cross_entropy", "weighted_mean"]
