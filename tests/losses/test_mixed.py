from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from fer_lab.losses import cross_entropy, mixed_cross_entropy

GENERATOR = torch.Generator().manual_seed(4)
LOGITS = torch.randn(6, 7, generator=GENERATOR)
FIRST, SECOND = torch.randint(0, 7, (2, 6), generator=GENERATOR)
SHARE = torch.tensor([0.0, 0.1, 0.25, 0.4, 0.5, 0.5])
WEIGHTS = torch.tensor([[0.0, 1.0, 2.0, 3.0, 0.5, 0.0], [1.0, 0.0, 2.0, 1.0, 4.0, 0.0]])


def test_the_loss_of_two_labels_equals_a_loop() -> None:
    smoothing, total, mass = 0.1, 0.0, 0.0
    for row in range(6):
        log_probability = LOGITS[row].log_softmax(0)
        for label, share, weight in (
            (FIRST[row], 1 - SHARE[row], WEIGHTS[0, row]),
            (SECOND[row], SHARE[row], WEIGHTS[1, row]),
        ):
            target = torch.full((7,), smoothing / 7)
            target[label] += 1 - smoothing
            total -= share * weight * (target * log_probability).sum()
            mass += share * weight
    found = mixed_cross_entropy(
        LOGITS, FIRST, SECOND, SHARE, (WEIGHTS[0], WEIGHTS[1]), label_smoothing=smoothing
    )
    torch.testing.assert_close(found, total / mass)


def test_without_weights_it_is_the_cross_entropy_with_soft_labels() -> None:
    soft = (1 - SHARE)[:, None] * F.one_hot(FIRST, 7) + SHARE[:, None] * F.one_hot(SECOND, 7)
    found = mixed_cross_entropy(LOGITS, FIRST, SECOND, SHARE, label_smoothing=0.2)
    torch.testing.assert_close(found, F.cross_entropy(LOGITS, soft, label_smoothing=0.2))
    equal = torch.full((6,), 3.0)
    weighted = mixed_cross_entropy(
        LOGITS, FIRST, SECOND, SHARE, (equal, equal), label_smoothing=0.2
    )
    torch.testing.assert_close(weighted, found)


def test_a_second_face_of_no_share_does_not_count() -> None:
    none = torch.zeros(6)
    found = mixed_cross_entropy(LOGITS, FIRST, SECOND, none, (WEIGHTS[0], WEIGHTS[1]))
    torch.testing.assert_close(found, cross_entropy(LOGITS, FIRST, WEIGHTS[0]))


def test_weights_that_are_all_zero_give_zero() -> None:
    none = torch.zeros(6)
    assert mixed_cross_entropy(LOGITS, FIRST, SECOND, SHARE, (none, none)) == 0
