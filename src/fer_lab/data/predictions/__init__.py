"""Tables of predictions, ours or any program's, in one form."""

from __future__ import annotations

from fer_lab.data.predictions.groups import is_inferred
from fer_lab.data.predictions.reading import Predictions, own_predictions, read_prediction_file

__all__ = ["Predictions", "is_inferred", "own_predictions", "read_prediction_file"]
