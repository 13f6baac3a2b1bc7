"""Runs whose heatmaps are compared: found, read, named apart, and held against each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from fer_lab.errors import ConfigError, DataError
from fer_lab.explain.heatmap_comparison import images_of
from fer_lab.explain.merged import Merged
from fer_lab.explain.merged_files import read_merged, read_merged_facts
from fer_lab.report.run import Facts, Run, load_run, runs
from fer_lab.report.run_tables.choices import Choices, differing
from fer_lab.report.wording import INCOMPLETE, count, method_title, printable

# The study's codes; what has none is called as it is.
CODES = {"female": "FE", "male": "MA", "mixed": "MI"}

_SHORT = {"seed": "s{}", "split.fold": "fold{}"}


@dataclass(frozen=True)
class Training:
    """One run's merged heatmaps.

    Attributes:
        code: of the split that the model was trained on, ``FE``, ``MA``, ``MI`` or its name.
        suffix: what tells it from other runs of this code, such as `` s2``; empty for a single one.
        split: the training split's name.
        run: the run that the heatmaps are of.
        origin: the run that trained the model; ``run`` itself unless a checkpoint was explained.
        merged: the heatmaps.
        facts: what they were made of.
    """

    code: str
    suffix: str
    split: str
    run: Run
    origin: Run
    merged: Merged
    facts: Facts

    @property
    def name(self) -> str:
        """Code and suffix, ``MI s2``."""
        return self.code + self.suffix


def code_of(name: str) -> str:
    """A split's or a group's code in the study, else its name.

    >>> code_of("female"), code_of("mixed_matched")
    ('FE', 'mixed_matched')
    """
    return CODES.get(name, name)


def read_trainings(
    paths: Sequence[Path], split: str
) -> tuple[list[Training], list[dict[str, str]]]:
    """Read the heatmaps of runs, and of the finished runs below folders.

    Args:
        paths: run folders, or folders with runs anywhere below.
        split: whose images the heatmaps are of.

    Returns:
        The runs, female before male before mixed before others; and what was left out, ``what`` and
        ``why``.

    Raises:
        ConfigError: for runs that cannot be told apart.
        DataError: for a folder without heatmaps, a named run without them, a damaged file, or
            heatmaps of other attributes, sizes or blocks.
    """
    folders, left_out = _found(paths, split)
    if not folders:
        reasons = "; ".join(dict.fromkeys(each["why"] for each in left_out))
        raise DataError(
            "there are no runs with merged heatmaps" + (f" ({reasons})" if reasons else ""),
            where=", ".join(map(str, paths)),
            hint="train with an explain option other than none on a dataset with landmarks, then "
            "name the runs or the sweep's folder",
        )
    found = [_training(folder, split) for folder in folders]
    _refuse_what_cannot_be_compared(found)
    codes = list(dict.fromkeys([*CODES.values(), *(each.code for each in found)]))
    found.sort(key=lambda each: codes.index(each.code))
    return _told_apart(found), left_out


def doubts(trainings: Sequence[Training], split: str) -> list[str]:
    """In what else than their training the runs differ, as sentences."""
    return list(_doubts(trainings, split))


def _found(paths: Sequence[Path], split: str) -> tuple[list[Path], list[dict[str, str]]]:
    folders: dict[Path, Path] = {}
    left_out = []
    for path in paths:
        if (path / "run.json").is_file():
            folders[path.resolve()] = path
            continue
        for _, row in runs(path).iterrows():
            folder = Path(str(row["path"]))
            if row["status"] != "finished":
                why = f"the run is {row['status']}"
            elif not _file(folder, split).is_file():
                why = f"the run has no merged heatmaps of the {split} set"
            else:
                folders[folder.resolve()] = folder
                continue
            left_out.append({"what": str(folder), "why": why})
    return list(folders.values()), left_out


def _file(folder: Path, split: str) -> Path:
    return folder / "explanations" / f"merged_{split}.npz"


def _training(folder: Path, split: str) -> Training:
    run = load_run(folder)
    path = _file(folder, split)
    merged, facts = read_merged(path), read_merged_facts(path)
    origin = _origin(run)
    choices = Choices.of(origin)
    trained_on = choices.value("split.name") or choices.value("split")
    if origin is run and run.record.get("checkpoint"):  # its own split trained nothing
        trained_on = None
    name = str(trained_on or run.name)
    return Training(code_of(name), "", name, run, origin, merged, facts)


def _origin(run: Run) -> Run:
    """The run that trained a checkpoint, where it is still there; else the run itself."""
    checkpoint = run.record.get("checkpoint")
    if not checkpoint:
        return run
    folder = Path(str(checkpoint)).parent.parent
    try:
        return load_run(folder)
    except DataError:
        return run


def _refuse_what_cannot_be_compared(trainings: Sequence[Training]) -> None:
    told: dict[str, list[Any]] = {
        "attributes": [each.facts.get("attribute") for each in trainings],
        "sizes": [each.merged.total.shape[2:] for each in trainings],
        "numbers of blocks": [each.merged.total.shape[1] for each in trainings],
    }
    for what, values in told.items():
        other = next((n for n, value in enumerate(values) if value != values[0]), None)
        if other is not None:
            raise DataError(
                f"heatmaps of different {what} cannot be compared: {values[0]} and {values[other]}",
                where=trainings[other].run.path,
                hint=f"leave it out, or explain it as {trainings[0].run.path}",
            )


def _told_apart(trainings: Sequence[Training]) -> list[Training]:
    """The runs with suffixes by which those of one code differ."""
    named = list(trainings)
    for code in dict.fromkeys(each.code for each in trainings):
        places = [n for n, each in enumerate(trainings) if each.code == code]
        if len(places) > 1:
            suffixes = _suffixes([trainings[n] for n in places])
            for place, suffix in zip(places, suffixes, strict=True):
                named[place] = replace(trainings[place], suffix=suffix)
    seen: dict[str, Training] = {}
    for each in named:
        if each.name in seen:
            raise ConfigError(
                f"two runs are {each.name}: they differ in nothing that would tell them apart",
                where=f"{seen[each.name].run.path} and {each.run.path}",
                hint="leave one of them out",
            )
        seen[each.name] = each
    return named


def _suffixes(trainings: Sequence[Training]) -> list[str]:
    entries = [Choices.of(each.origin) for each in trainings]
    keys = [key for key in _SHORT if len({entry.value(key) for entry in entries}) > 1]
    keys += differing([entries])
    suffixes = []
    for entry in entries:
        words = [_word(entry, key) for key in keys]
        suffixes.append("".join(f" {word}" for word in words))
    if len(set(suffixes)) == len(suffixes):
        return suffixes
    # One model explained twice, on two datasets: the runs themselves are called differently.
    return [f"{suffix} {each.run.name}" for suffix, each in zip(suffixes, trainings, strict=True)]


def _word(entry: Choices, key: str) -> str:
    value = printable(entry.value(key))
    if key in _SHORT:
        return _SHORT[key].format(value)
    return value if key in entry.groups else f"{key}={value}"


def _doubts(trainings: Sequence[Training], split: str) -> Iterator[str]:
    for what in ("method", "layer", "options"):
        values = [each.facts.get(what) for each in trainings]
        if any(value != values[0] for value in values):
            told = ", ".join(
                f"{each.name}: {method_title(str(v)) if what == 'method' else printable(v)}"
                for each, v in zip(trainings, values, strict=True)
            )
            yield f"The runs were explained with different {what}s ({told}): distances mix this in."
    collapsed = [each.name for each in trainings if _collapsed(each.run, split)]
    if collapsed:
        yield (
            f"Predicts two classes or fewer: {', '.join(map(printable, collapsed))}. Such a model "
            "has learnt nothing that its heatmaps could show."
        )
    first = trainings[0]
    ids = _test_ids(first.run, split)
    images = _images(first)
    for each in trainings[1:]:
        others = _test_ids(each.run, split)
        if ids is not None and others is not None and ids != others:
            yield (
                f"{each.name} was tested on other images than {first.name}: "
                f"{count(len(ids & others))} of {count(len(ids | others))} are shared. What is "
                "called the same test set is not."
            )
        elif (mine := _images(each)) != images:
            cell = next(cell for cell in {**images, **mine} if images.get(cell) != mine.get(cell))
            yield (
                f"{each.name} was explained on other images than {first.name}: "
                f"{count(mine.get(cell, 0))} and {count(images.get(cell, 0))} of "
                f"{printable(' '.join(cell))}."
            )
    seeds = {each.code: 0 for each in trainings}
    for each in trainings:
        seeds[each.code] += 1
    if len(seeds) > 1 and max(seeds.values()) == 1:
        yield (
            "There is one run of each training set: a distance between two of them may be the luck "
            "of training. Several seeds (seed=1,2,3) give it a floor."
        )


def _images(training: Training) -> dict[tuple[str, ...], int]:
    counts = images_of(training.merged).tolist()
    return dict(zip(training.merged.cells, counts, strict=True))


def _collapsed(run: Run, split: str) -> bool:
    try:
        return bool(run.metrics_of(split).get("collapsed"))
    except INCOMPLETE:
        return False


def _test_ids(run: Run, split: str) -> frozenset[str] | None:
    """The images that the run was tested on, where it says."""
    try:
        path = run.path / "predictions" / f"{split}.parquet"
        return frozenset(pd.read_parquet(path, columns=["id"])["id"].astype("str"))
    except (*INCOMPLETE, OSError):
        return None


def described(training: Training) -> dict[str, Any]:
    """What is known of a run, for the document and the page."""
    facts = training.facts
    return {
        "name": training.name,
        "code": training.code,
        "split": training.split,
        "seed": training.origin.record.get("seed"),
        "run": training.run.name,
        "path": str(training.run.path),
        **{key: facts.get(key) for key in ("method", "layer", "options")},
        **{key: facts.get(key) for key in ("faces", "unusable", "folded")},
    }
