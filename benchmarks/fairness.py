"""Fairness figures from one group confusion against fairlearn's MetricFrame, and resampling.

fairlearn is timed on fewer rows and one expression, and its time scaled to all rows and
expressions in proportion, since it walks through the samples again for each.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from pandas import DataFrame, Series
from torch import Tensor

from fer_lab.data.vocabulary import AGE_GROUPS, GENDERS, RACES, expression_classes
from fer_lab.metrics import functional as F  # noqa: N812
from fer_lab.metrics.comparison import compare_predictions
from fer_lab.metrics.predictions import audit_predictions, prediction_scalars

METRICS = (F.equalized_odds, F.equal_opportunity, F.demographic_parity, F.treatment_equality)


def predictions(rows: int, groups: int, classes: int, seed: int = 0) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, classes, (rows,), generator=generator)
    group = torch.randint(0, groups, (rows,), generator=generator)
    prediction = label.clone()
    wrong = torch.rand(rows, generator=generator) < 0.2
    prediction[wrong] = torch.randint(0, classes, (int(wrong.sum()),), generator=generator)
    return prediction, label, group


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
    import fairlearn.metrics  # not at the top: the process measured alone does without

    ours, memory = measured_alone(rows, groups, classes)
    prediction, label, group = (
        part.numpy() for part in predictions(fairlearn_rows, groups, classes)
    )

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
    table = F.group_confusion(*map(torch.from_numpy, (prediction, label, group)), classes, groups)
    same = {
        "hits": F.equal_opportunity(table),
        "alarms": F.equalized_odds(table, combine="fpr"),
        "selected": F.demographic_parity(table),
        "balance": F.treatment_equality(table),
    }
    for name, values in same.items():
        np.testing.assert_allclose(values[0].item(), theirs[name], atol=1e-9)
    scaled = timed * classes * rows / fairlearn_rows
    print(f"{rows:,} predictions, {groups} groups, {classes} expressions, all four metrics:")
    print(f"  fer_lab    {ours:8.3f} s, peak memory of the process {memory:.0f} MB (target 1,000)")
    print(
        f"  fairlearn  {scaled:8.3f} s"
        f" (scaled from {timed:.3f} s on {fairlearn_rows:,} rows, 1 expression)"
    )
    print(f"  fairlearn / fer_lab: {scaled / ours:.0f} (target 20), the same figures to 1e-9")


def measured_alone(rows: int, groups: int, classes: int) -> tuple[float, float]:
    """Seconds and peak megabytes of a process that does nothing else."""
    sizes = [str(size) for size in (rows, groups, classes)]
    command = [sys.executable, "-m", "benchmarks.fairness", "--alone", *sizes]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    taken, memory = printed.split()
    return float(taken), float(memory)


def alone(rows: int, groups: int, classes: int) -> None:
    data = predictions(rows, groups, classes)
    taken = seconds(lambda: largest(F.group_confusion(*data, classes, groups)))
    print(taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def resampling(rows: int, groups: int, classes: int, resamples: int) -> None:
    table = F.group_confusion(*predictions(rows, groups, classes), classes, groups)
    bootstrap = seconds(lambda: F.bootstrap(table, largest, resamples))
    permutation = seconds(lambda: F.permutation_null(table, largest, True, resamples))
    print(f"{resamples:,} draws of a table of {groups} groups, {rows:,} samples:")
    print(
        f"  bootstrap {bootstrap:.3f} s, permutation {permutation:.3f} s,"
        f" together {bootstrap + permutation:.3f} s (target 2)"
    )


def table_of(rows: int, classes: Sequence[str], model: int = 0, subjects: int = 0) -> DataFrame:
    """Predictions by gender, age and race, some unknown, with probabilities."""
    rng = np.random.default_rng(0)
    names, label = np.array(classes), rng.integers(0, len(classes), rows)
    people = subjects or rows
    person = rng.integers(0, subjects, rows) if subjects else np.arange(rows)
    frame = DataFrame({"id": np.arange(rows), "label": names[label]})
    for attribute, groups in {"gender": GENDERS, "age": AGE_GROUPS, "race": RACES}.items():
        frame[attribute] = rng.choice([*groups, "unknown"], people)[person]
    if subjects:
        frame["subject"] = person.astype(str)
    scores = np.random.default_rng(model + 1).dirichlet(np.full(len(classes), 0.5), rows)
    scores[np.arange(rows), label] += 0.7
    frame["prediction"] = names[scores.argmax(1)]
    for place, name in enumerate(classes):
        frame[f"prob_{name}"] = (scores[:, place] / 1.7).astype(np.float32)
    return frame


def from_tables(rows: int, resamples: int, subjects: int) -> None:
    classes = expression_classes(7)
    first, second = (table_of(rows, classes, model, subjects) for model in (0, 1))
    audit = seconds(lambda: audit_predictions(first, resamples=resamples), 1)
    compared = seconds(lambda: compare_predictions(first, second, resamples=resamples), 1)
    headline = seconds(lambda: prediction_scalars(first))
    by = f"{subjects:,} subjects" if subjects else "samples"
    print(f"table of {rows:,} predictions, {resamples:,} draws of {by}, with intersections:")
    print(f"  audit {audit:.2f} s, comparison {compared:.2f} s, scalars alone {headline:.3f} s")


def whole_report(rows: int) -> None:
    from fer_lab.metrics import FairnessReport  # torchmetrics, likewise

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
    print(f"an epoch's scalars from the summed counts: {seconds(report.compute, 9) * 1000:.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--fairlearn-rows", type=int, default=1_000_000)
    parser.add_argument("--groups", type=int, default=48)
    parser.add_argument("--classes", type=int, default=7)
    parser.add_argument("--report-rows", type=int, default=20_000)
    parser.add_argument("--table-rows", type=int, default=430_000)
    parser.add_argument("--subjects", type=int, default=3000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--alone", type=int, nargs=3, help=argparse.SUPPRESS)
    sizes = parser.parse_args()
    if sizes.alone:
        alone(*sizes.alone)
        return
    against_fairlearn(sizes.rows, sizes.fairlearn_rows, sizes.groups, sizes.classes)
    resampling(sizes.report_rows, sizes.groups, sizes.classes, sizes.resamples)
    whole_report(sizes.report_rows)
    from_tables(sizes.report_rows, sizes.resamples, 0)
    from_tables(sizes.report_rows, sizes.resamples, sizes.subjects)
    from_tables(sizes.table_rows, sizes.resamples, 0)


if __name__ == "__main__":
    main()
