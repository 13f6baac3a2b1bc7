"""Which estimate of intensity follows the truth on synthetic faces, where the truth is known.

A small CNN is trained on seven expressions; of intensity it is told nothing. Every candidate is
calibrated to terciles of its own values on validation faces, by predicted expression, and compared
with the terciles of the true intensity on the faces that the study would rank: correctly predicted,
not neutral. The candidate is chosen on validation faces and reported on test faces, with 95 %
intervals over faces. ``--runs`` takes trainings there are, one line each.

Target: the chosen one beats the published ranking, intervals apart.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from torch import Tensor

import fer_lab
from fer_lab.data import SyntheticDataModule
from fer_lab.explain.attribution.lrp import COMPOSITES, relevance_of
from fer_lab.explain.intensity import histogram, rank, rankable, validate
from fer_lab.explain.intensity_scores import Terciles, log_odds, neutral_margin, rank_correlations

Numbers = NDArray[np.float64]
Names = NDArray[np.object_]


class Judgement(NamedTuple):
    """Accuracy over terciles, the mean over expressions of Spearman's rho, their intervals."""

    accuracy: float
    around: Numbers
    rho: float
    around_rho: Numbers
    shares: list[float]


CODES = {"minimal": 0.0, "average": 1.0, "strong": 2.0, None: np.nan}


class Faces(NamedTuple):
    """A split: who is predicted what, what is true, and every estimate by name."""

    prediction: Names
    ranked: NDArray[np.bool_]
    intensity: Numbers
    scores: dict[str, Numbers]
    published: dict[str, list[str | None]]
    features: Numbers


def features_of(model: torch.nn.Module, image: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and what the head sees."""
    seen: list[Tensor] = []
    handle = model.backbone.head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        logits = model(image)
    handle.remove()
    return logits, seen[0]


def estimates(model: torch.nn.Module, image: Tensor) -> dict[str, Tensor]:
    """Everything that is said of a batch: a number an image, or ten counts."""
    logits, features = features_of(model, image)
    mirrored = (logits + features_of(model, image.flip(-1))[0]) / 2
    target = logits.argmax(1)
    own = logits.gather(1, target[:, None])[:, 0]
    found = {
        "logits": logits,
        "features": features,
        "logit": own,
        "log-odds, or probability": log_odds(logits),
        "margin over the next class": own - logits.topk(2).values[:, 1],
        "margin over neutral": neutral_margin(logits, 0),
        "margin over neutral, with mirror image": neutral_margin(mirrored, 0, target),
    }
    for composite in COMPOSITES:
        _, relevance = relevance_of(model, image, target, composite=composite)
        found[f"positive relevance ({composite})"] = relevance.clamp_min(0).sum((1, 2, 3))
        for scaling in ("signed", "positive"):
            found[f"published, {scaling} ({composite})"] = histogram(relevance, scaling=scaling)
        if composite == "epsilon_plus_flat":
            neutral = relevance_of(model, image, torch.zeros_like(target), composite=composite)[1]
            beyond = (relevance - neutral).clamp_min(0).sum((1, 2, 3))
            found[f"relevance beyond neutral's ({composite})"] = beyond
    return found


def explained(model: torch.nn.Module, data: SyntheticDataModule, split: str) -> Faces:
    """All estimates of one split's faces."""
    loader = data.val_dataloader() if split == "val" else data.test_dataloader()
    batches, rows = [], []
    for batch in loader:
        rows.append(batch["index"])
        batches.append(estimates(model, batch["image"].float() / 255))
    found = {name: torch.cat([each[name] for each in batches]) for name in batches[0]}
    people = data.manifest.iloc[torch.cat(rows).numpy()]
    classes = np.array(data.classes, dtype=object)
    prediction = classes[found.pop("logits").argmax(1).numpy()]
    features = found.pop("features").double().numpy()
    counts = {name: found.pop(name) for name in list(found) if name.startswith("published")}
    published = {name: rank(each) for name, each in counts.items()}
    signed = "published, signed (epsilon_gamma_box)"
    published[f"{signed}, mean scores"] = rank(counts[signed], rule="mean_scores")
    return Faces(
        prediction,
        rankable(people["label"].tolist(), prediction.tolist()),
        people["intensity"].to_numpy(dtype=float),
        {name: score.double().numpy() for name, score in found.items()},
        published,
        features,
    )


def with_features(faces: Faces, reference: Faces) -> Faces:
    """Beside the scores: distances to the validation faces that are predicted neutral."""
    neutral = reference.features[reference.prediction == "neutral"]
    centre = neutral.mean(0)
    spread = np.cov(neutral.T)
    spread += 0.1 * np.trace(spread) / len(spread) * np.eye(len(spread))
    away = faces.features - centre
    scaled = (away @ np.linalg.inv(spread) * away).sum(1)
    more = {
        "features' distance to neutral": np.linalg.norm(away, axis=1),
        "features' Mahalanobis distance to neutral": np.sqrt(scaled),
    }
    return faces._replace(scores={**faces.scores, **more})


def taught(faces: Faces, reference: Faces) -> Numbers:
    """No candidate: a ridge regression of the features on validation faces' true intensity."""
    found = np.full(len(faces.prediction), np.nan)
    for name in set(reference.prediction[reference.ranked]):
        known = reference.ranked & (reference.prediction == name)
        here = faces.prediction == name
        ridge = RidgeCV(np.logspace(-2, 5, 15))
        ridge.fit(reference.features[known], reference.intensity[known])
        found[here] = ridge.predict(faces.features[here])
    return found


def judged(faces: Faces, values: Numbers, ranks: list[str | None], draws: int) -> Judgement:
    """Against terciles of the truth, for the faces that are ranked."""
    expressions = faces.prediction[faces.ranked]
    intensity = faces.intensity[faces.ranked]
    truth = Terciles.fit(intensity, expressions).rank(intensity, expressions)
    own = np.array(ranks, dtype=object)[faces.ranked]
    figures = validate(own.tolist(), truth, expressions.tolist())
    right = own == np.array(truth, dtype=object)
    values = values[faces.ranked]

    def mean_rho(rows: NDArray[np.int64]) -> float:
        found = rank_correlations(values[rows], intensity[rows], expressions[rows])
        # A score that does not vary follows nothing.
        return float(np.mean(np.nan_to_num(list(found.values()))))

    rng = np.random.default_rng(0)
    drawn = [rng.choice(len(right), len(right)) for _ in range(draws)]
    accuracies = [right[rows].mean() for rows in drawn] or [np.nan]
    rhos = [mean_rho(rows) for rows in drawn] or [np.nan]
    return Judgement(
        figures["accuracy"],
        np.quantile(accuracies, (0.025, 0.975)),
        mean_rho(np.arange(len(right))),
        np.quantile(rhos, (0.025, 0.975)),
        list(figures["distribution"].values()),
    )


def show(name: str, found: Judgement) -> Judgement:
    """One line."""
    print(
        f"  {name:<58} accuracy {found.accuracy:.3f} ({found.around[0]:.3f} to "
        f"{found.around[1]:.3f})   rho {found.rho:+.3f} ({found.around_rho[0]:+.3f} to "
        f"{found.around_rho[1]:+.3f})   ranks {' '.join(f'{each:.0%}' for each in found.shares)}",
        flush=True,
    )
    return found


def compare(run: fer_lab.Run, draws: int) -> None:
    """All candidates on one trained model."""
    model = run.model()
    data = SyntheticDataModule(image_size=model.image_size, batch_size=100, num_workers=0)
    data.prepare_data()
    data.setup()
    val, test = (explained(model, data, split) for split in ("val", "test"))
    val, test = with_features(val, val), with_features(test, val)
    print(
        f"\n{run.name}, seed {run.record['seed']}: {val.ranked.sum()} validation and "
        f"{test.ranked.sum()} test faces, test accuracy {run.metrics['accuracy']['value']:.3f}"
    )

    def calibrated(values: Numbers, faces: Faces, reference: Numbers) -> list[str | None]:
        return Terciles.fit(reference, val.prediction).rank(values, faces.prediction)

    print("to choose from, on validation faces:")
    found = {
        name: judged(val, score, calibrated(score, val, score), 0)
        for name, score in val.scores.items()
    }
    order = sorted(found, key=lambda name: -found[name].rho)
    for name in order:
        print(f"  {name:<58} accuracy {found[name].accuracy:.3f}   rho {found[name].rho:+.3f}")
    print("published, on test faces:")
    published = [
        show(name, judged(test, np.array([CODES[each] for each in ranks]), ranks, draws))
        for name, ranks in test.published.items()
    ]
    print(f"on test faces (chosen: {order[0]}):")
    own = {
        name: show(name, judged(test, score, calibrated(score, test, val.scores[name]), draws))
        for name, score in ((name, test.scores[name]) for name in order)
    }
    values, reference = taught(test, val), taught(val, val)
    show(
        "(told the truth of validation faces)",
        judged(test, values, calibrated(values, test, reference), draws),
    )
    lead = own[order[0]].around[0] - max(each.around[1] for each in published)
    print(f"between the intervals {lead:+.3f}   target above 0: {'ok' if lead > 0 else 'BELOW'}")


@contextmanager
def trained() -> Iterator[Path]:
    """The folder of a plain training of the baseline CNN, which goes away afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "fer_lab.cli", "train", "logger=none", "explain=none"]
        subprocess.run(
            [*command, f"hydra.run.dir={folder}/run"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        yield Path(folder, "run")


def main() -> None:
    arguments = argparse.ArgumentParser(description="estimates of intensity against the truth")
    arguments.add_argument("--runs", type=Path, nargs="+", help="folders of trainings there are")
    arguments.add_argument("--draws", type=int, default=500, help="of the bootstrap")
    given = arguments.parse_args()
    if given.runs:
        for folder in given.runs:
            compare(fer_lab.load_run(folder), given.draws)
        return
    with trained() as folder:
        compare(fer_lab.load_run(folder), given.draws)


if __name__ == "__main__":
    main()
