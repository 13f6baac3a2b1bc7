"""Fairness figures from one group confusion against fairlearn's MetricFrame, and resampling.

fairlearn is timed on fewer rows and one expression, and its time scaled to all rows and
expressions in proportion, since it walks through the samples again for each.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import fairlearn.metrics
import numpy as np
import torch
from pandas import Series
from torch import Tensor

from fer_lab.data.vocabulary import AGE_GROUPS, GENDERS, RACES, expression_classes
from fer_lab.metrics import FairnessReport
from fer_lab.metrics import functional as F  # noqa: N812

METRICS = (F.equalized_odds, F.equal_opportunity, F.demographic_parity, F.treatment_equality)


def predictions(rows: int, groups: int, classes: int, seed: int = 0) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    label, other = torch.randint(0, classes, (2, rows), generator=generator)
    right = torch.rand(rows, generator=generator) < 0.8
    group = torch.randint(0, groups, (rows,), generator=generator)
    return torch.where(right, label, other), label, group


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """The median of several runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def largest(confusion: Tensor) -> Tensor:
    return torch.stack([metric(confusion) for metric in METRICS], -2).nan_to_num(0).amax((-2, -1))


def share_of_misses(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    wrong = y_true != y_pred
    return float((wrong & (y_true == 1)).sum() / max(wrong.sum(), 1))


def against_fairlearn(rows: int, fairlearn_rows: int, groups: int, classes: int) -> None:
    data = predictions(rows, groups, classes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ours = seconds(lambda: largest(F.group_confusion(*data, classes, groups)))
    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024

    prediction, label, group = (part[:fairlearn_rows].numpy() for part in data)

    def one_expression() -> Series:
        frame = fairlearn.metrics.MetricFrame(
            metrics={
                "hits": fairlearn.metrics.true_positive_rate,
                "alarms": fairlearn.metrics.false_positive_rate,
                "selected": fairlearn.metrics.selection_rate,
                "balance": share_of_misses,
            },
            y_true=(label == 0).astype(int),
            y_pred=(prediction == 0).astype(int),
            sensitive_features=group,
        )
        return frame.difference(method="between_groups")

    start = time.perf_counter()
    theirs = one_expression()
    timed = time.perf_counter() - start
    table = F.group_confusion(*(part[:fairlearn_rows] for part in data), classes, groups)
    same = {
        "hits": F.equal_opportunity(table),
        "alarms": F.equalized_odds(table, combine="fpr"),
        "selected": F.demographic_parity(table),
        "balance": F.treatment_equality(table),
    }
    for name, values in same.items():
        np.testing.assert_allclose(values[0].item(), theirs[name], atol=1e-9)
    scaled = timed * classes * rows / len(label)
    print(f"{rows:,} predictions, {groups} groups, {classes} expressions, all four metrics:")
    print(f"  fer_lab    {ours:8.3f} s, {added:.0f} MB beside the inputs")
    print(
        f"  fairlearn  {scaled:8.3f} s (scaled: {timed:.3f} s on {len(label):,} rows, 1 expression)"
    )
    print(f"  fairlearn / fer_lab: {scaled / ours:.0f}")


def resampling(rows: int, groups: int, classes: int, resamples: int) -> None:
    table = F.group_confusion(*predictions(rows, groups, classes), classes, groups)
    bootstrap = seconds(lambda: F.bootstrap(table, largest, resamples))
    within, overall = (
        seconds(lambda kind=kind: F.permutation_null(table, largest, kind, resamples))
        for kind in (True, False)
    )
    print(f"{resamples:,} draws of a table of {groups} groups, {rows:,} samples:")
    print(f"  bootstrap {bootstrap:.3f} s, permutation {within:.3f} s within labels,", end=" ")
    print(f"{overall:.3f} s over all")


def whole_report(rows: int, resamples: int) -> None:
    classes = expression_classes(7)
    groups = {"gender": GENDERS, "age": AGE_GROUPS, "race": RACES}
    report = FairnessReport(classes, groups, compute_with_cache=False)
    prediction, label, _ = predictions(rows, 1, len(classes))
    rng = np.random.default_rng(0)
    report.update(
        prediction,
        label,
        {
            name: torch.from_numpy(rng.integers(-1, len(names), rows))
            for name, names in groups.items()
        },
    )
    document = seconds(lambda: report.report(samples=resamples))
    scalars = seconds(report.compute, 9)
    print(f"report by gender, age, race and intersections, {rows:,} samples:")
    print(f"  {document:.3f} s with {resamples:,} bootstrap and {resamples:,} permutation draws,")
    print(f"  {scalars * 1000:.1f} ms for an epoch's scalars")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--fairlearn-rows", type=int, default=1_000_000)
    parser.add_argument("--groups", type=int, default=48)
    parser.add_argument("--classes", type=int, default=7)
    parser.add_argument("--report-rows", type=int, default=20_000)
    parser.add_argument("--resamples", type=int, default=1000)
    sizes = parser.parse_args()
    against_fairlearn(sizes.rows, sizes.fairlearn_rows, sizes.groups, sizes.classes)
    resampling(sizes.report_rows, sizes.groups, sizes.classes, sizes.resamples)
    whole_report(sizes.report_rows, sizes.resamples)


if __name__ == "__main__":
    main()
