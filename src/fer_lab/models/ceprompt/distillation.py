"""What the visual classifier learns from the prompted one beside the labels."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F  # noqa: N812
from torch import Tensor


class Lesson(NamedTuple):
    """What teacher and pupil said about a batch; the teacher's parts carry no gradient.

    Attributes:
        logits: of the pupil, ``[B, C]``.
        embedding: of the pupil's class token, ``[B, D]``.
        scores: of the teacher, in [−1, 1], ``[B, C]``.
        taught: embedding of the teacher's class token, ``[B, D]``.
    """

    logits: Tensor
    embedding: Tensor
    scores: Tensor
    taught: Tensor


def distillation(lesson: Lesson, temperature: float) -> Tensor:
    """How far the pupil is from its teacher, per sample: ``[B]``, not negative.

    ``KL(softmax(scores / T) ‖ softmax(logits)) + mean |unit(embedding) − unit(taught)|``. The mean
    over the embedding's numbers is the authors' distillation, which in their code compares a
    pupil of unit length with a teacher that is not; it is 0 while the image tower does not learn.
    The divergence is ours.

    Args:
        lesson: of the batch.
        temperature: T, positive: the scores are at most about 1 apart.
    """
    target = F.log_softmax(lesson.scores / temperature, dim=1)
    found = F.log_softmax(lesson.logits, dim=1)
    answers = F.kl_div(found, target, reduction="none", log_target=True).sum(1)
    embedding, taught = F.normalize(lesson.embedding, dim=1), F.normalize(lesson.taught, dim=1)
    return answers + (embedding - taught).abs().mean(1)
