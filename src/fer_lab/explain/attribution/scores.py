"""What methods that change the image look at and replace: a class' score, and colours."""

from __future__ import annotations

from torch import Tensor

SCORES = ("probability", "logit")
COLOURS = {"black": 0.0, "grey": 0.5}


def score_of(logits: Tensor, target: Tensor, score: str) -> Tensor:
    """Probability or logit of each row's class.

    Args:
        logits: ``[N, C]``.
        target: int64 ``[N]``, or ``[]`` for the same class in all rows.
        score: ``probability`` or ``logit``.

    Returns:
        ``[N]``.
    """
    values = logits.softmax(1) if score == "probability" else logits
    return values.gather(1, target.expand(len(logits)).unsqueeze(1)).squeeze(1)


def predicted_unless(target: Tensor | None, logits: Tensor) -> Tensor:
    """``target``, or the predicted class of each row where it is None; int64 ``[N]``."""
    return logits.argmax(1) if target is None else target
