"""The comparison task: paired differences of two models on the samples that both have seen."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from fer_lab.configuration import refuse_what_is_no_number
from fer_lab.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from fer_lab.data.predictions import Predictions
    from fer_lab.report.run import Run

log = logging.getLogger(__name__)

_HINT = "fer-lab compare A B: two run folders, or files of predictions"
_OPTIONS = ("min_count", "resamples", "level", "seed", "combine", "reduction", "balance")


def compare(cfg: DictConfig, folder: Path) -> dict[str, Any]:
    """Compare as configured; the comparison is left in ``folder`` as JSON, CSV and pictures.

    Of two runs with explanations of the split, where they look is compared too.

    Args:
        cfg: the composed configuration of ``conf/compare.yaml``.
        folder: where the files go.

    Returns:
        The comparison.

    Raises:
        ConfigError: for an option that cannot work, or another number of things to compare.
        DataError: for a run or file that cannot be read, and samples or labels that are not
            the same.
    """
    from rich.console import Console

    from fer_lab.data.predictions import is_inferred
    from fer_lab.data.splitting.selection import plain
    from fer_lab.files import atomic_path, write_json
    from fer_lab.metrics.comparison import compare_predictions
    from fer_lab.report.comparison import comparison_figure, comparison_summary, difference_frame
    from fer_lab.report.region_comparison import compare_regions, region_summary

    refuse_what_is_no_number(cfg)
    given = [str(each) for each in cfg.runs]
    if len(given) != 2:
        raise ConfigError(f"two things can be compared, not {len(given)}", where="runs", hint=_HINT)
    paths = [_predictions_of(Path(each).expanduser(), cfg.split) for each in given]
    if paths[0].resolve() == paths[1].resolve():
        raise ConfigError("both are the same predictions", where=paths[0], hint=_HINT)
    first = _read(cfg, paths[0], plain(cfg.classes), plain(cfg.attributes))
    second = _read(cfg, paths[1], plain(cfg.classes) or list(first.classes), [])
    facts = compare_predictions(
        first.frame,
        second.frame,
        attributes=first.groups,
        classes=first.classes,
        **{name: plain(cfg[name]) for name in _OPTIONS},
    )
    for attribute, part in facts["attributes"].items():
        source = first.sources[attribute]
        part |= {"source": source, "inferred": is_inferred(source)}
    a, b = map(_run, given)
    names = {"a": _name(given[0], a), "b": _name(given[1], b)}
    regions = compare_regions(
        a,
        b,
        cfg.split,
        subjects=_subjects(first.frame),
        resamples=cfg.resamples,
        level=cfg.level,
        seed=cfg.seed,
    )
    facts = {"names": names, "split": cfg.split, **facts, "regions": regions}
    write_json(folder / "comparison.json", facts)
    with atomic_path(folder / "comparison.csv") as temporary:
        difference_frame(facts).to_csv(temporary, index=False)
    with atomic_path(folder / "comparison.png") as temporary:
        comparison_figure(facts).savefig(temporary)
    written = ["comparison.json", "comparison.csv", "comparison.png"]
    console = Console()
    console.print(comparison_summary(facts))
    if regions is not None:
        console.print("", region_summary(regions), sep="\n")
        written += _write_regions(regions, names, folder)
    console.print(
        f"written: {', '.join(written)}\n  in {folder}",
        soft_wrap=True,
        highlight=False,
    )
    return facts


def _predictions_of(path: Path, split: str) -> Path:
    """The table of a run's predictions, or the file itself.

    Raises:
        DataError: for a folder that is no run, or a run that has not been evaluated.
    """
    from fer_lab.errors import DataError
    from fer_lab.report.run import load_run

    if path.suffix.lower() in (".csv", ".parquet") and not path.is_dir():
        return path
    found = load_run(path).path / "predictions" / f"{split}.parquet"
    if not found.is_file():
        there = sorted(each.stem for each in found.parent.glob("[!.]*.parquet"))
        raise DataError(
            f"the run has no predictions on {split}",
            where=found,
            hint=f"choose split={there[0]}" if there else "let it finish, or evaluate it anew",
        )
    return found


def _read(
    cfg: DictConfig, path: Path, classes: int | list[str] | None, attributes: list[str] | None
) -> Predictions:
    from fer_lab.data.predictions import read_prediction_file
    from fer_lab.data.splitting.selection import plain

    predictions = read_prediction_file(
        path,
        columns=plain(cfg.columns),
        labels=plain(cfg.labels),
        classes=classes,
        attributes=attributes,
        demographics_source=cfg.demographics_source,
    )
    for warning in predictions.warnings:
        log.warning("%s: %s", path.name, warning)
    return predictions


def _run(given: str) -> Run | None:
    """The run of a folder; None for a file of predictions."""
    from fer_lab.report.run import load_run

    path = Path(given).expanduser()
    return load_run(path) if path.is_dir() else None


def _name(given: str, run: Run | None) -> str:
    """What a thing is called: a run by its name too."""
    return given if run is None else f"{run.name} ({given})"


def _subjects(frame: pd.DataFrame) -> pd.Series | None:
    """The person on each image, by the image's id; None where nobody is known."""
    return frame.set_index(frame["id"].astype(str))["subject"] if "subject" in frame else None


def _write_regions(regions: dict[str, Any], names: dict[str, str], folder: Path) -> list[str]:
    """Leave the regions' table and picture, if there are any; their names."""
    from fer_lab.files import atomic_path
    from fer_lab.report.region_comparison import region_figure, region_frame

    if "figures" not in regions:
        return []
    with atomic_path(folder / "regions.csv") as temporary:
        region_frame(regions).to_csv(temporary, index=False)
    with atomic_path(folder / "regions.png") as temporary:
        region_figure(regions, names).savefig(temporary)
    return ["regions.csv", "regions.png"]
