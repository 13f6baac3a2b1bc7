"""Tables of predictions as a user may bring them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from fer_lab.metrics import functional as F  # noqa: N812

CLASSES = ("neutral", "happy", "sad", "anger")


def prediction_frame(
    seed: int = 0,
    count: int = 1200,
    *,
    model: int = 0,
    bias: float = 0.25,
    probabilities: bool = True,
) -> pd.DataFrame:
    """Predictions worse for men; samples follow from the seed, predictions from the model too."""
    rng = np.random.default_rng(seed)
    names = np.array(CLASSES)
    label = rng.integers(0, 4, count)
    gender = rng.choice(["female", "male", "unknown"], count, p=[0.45, 0.45, 0.1])
    race = rng.choice(["white", "black", "asian"], count, p=[0.6, 0.38, 0.02])
    age = rng.choice(["16-32", "33-53"], count)
    noise = np.random.default_rng([seed, model])
    scores = noise.dirichlet(np.full(4, 0.7), count)
    right = noise.random(count) < 0.7 - bias * (gender == "male")
    scores[np.arange(count), label] += right
    scores /= scores.sum(1, keepdims=True)
    frame = pd.DataFrame(
        {
            "id": [f"set/{number}" for number in range(count)],
            "dataset": "set",
            "label": names[label],
            "prediction": names[scores.argmax(1)],
            "gender": gender,
            "race": race,
            "age": age,
        }
    )
    if probabilities:
        for place, name in enumerate(CLASSES):
            frame[f"prob_{name}"] = scores[:, place].astype(np.float32)
    return frame


def repeated(frame: pd.DataFrame, times: int) -> pd.DataFrame:
    """Each sample several times, as frames of one subject."""
    copies = [
        frame.assign(id=frame["id"] + f"#{number}", subject=frame["id"]) for number in range(times)
    ]
    return pd.concat(copies, ignore_index=True)


def codes(column: pd.Series, names: tuple[str, ...]) -> torch.Tensor:
    return torch.tensor([names.index(v) if v in names else -1 for v in column])


def confusion_of(frame: pd.DataFrame, group: pd.Series, names: tuple[str, ...]) -> torch.Tensor:
    prediction, label = (codes(frame[name], CLASSES) for name in ("prediction", "label"))
    return F.group_confusion(prediction, label, codes(group, names), len(CLASSES), len(names))
