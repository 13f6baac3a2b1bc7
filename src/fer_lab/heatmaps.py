"""The task that holds merged heatmaps of several runs against each other."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from fer_lab.configuration import refuse_what_is_no_number
from fer_lab.errors import ConfigError

if TYPE_CHECKING:
    from fer_lab.report.heatmaps.study import Study

log = logging.getLogger(__name__)

_HINT = "fer-lab heatmaps RUN RUN …: run folders, or folders with runs, such as a sweep's"


def heatmaps(cfg: DictConfig, folder: Path) -> Study:
    """Compare merged heatmaps as configured; everything is left in ``folder``.

    Args:
        cfg: the composed configuration of ``conf/heatmaps.yaml``.
        folder: where the files go.

    Raises:
        ConfigError: for an option that cannot work, or runs that cannot be told apart.
        DataError: for runs without heatmaps, or heatmaps that cannot be compared.
    """
    from dataclasses import replace

    from rich.console import Console

    from fer_lab.record import command_line
    from fer_lab.report.heatmaps.cells import common_cells
    from fer_lab.report.heatmaps.figures import write_figures
    from fer_lab.report.heatmaps.files import write_study
    from fer_lab.report.heatmaps.page import write_page
    from fer_lab.report.heatmaps.study import study_of
    from fer_lab.report.heatmaps.summary import heatmaps_summary
    from fer_lab.report.heatmaps.trainings import doubts, read_trainings

    refuse_what_is_no_number(cfg)
    runs = [Path(name).expanduser() for name in _names(cfg, "runs")]
    if not runs:
        raise ConfigError("there are no runs to compare", where="runs", hint=_HINT)
    groups = _names(cfg, "groups")
    expressions = None if cfg.expressions is None else _names(cfg, "expressions")
    trainings, left_out = read_trainings(runs, str(cfg.split))
    for each in trainings:
        log.info("%s: %s", each.name, each.run.path)
    cells, without = common_cells(trainings, groups, expressions, cfg.min_images)
    study = study_of(trainings, cells, resamples=cfg.resamples, seed=cfg.seed)
    about: dict[str, Any] = {
        "split": str(cfg.split),
        "notes": cfg.notes,
        "command": command_line(),
        "min_images": cfg.min_images,
    }
    found = {"left_out": [*left_out, *without], "warnings": doubts(trainings, str(cfg.split))}
    study = replace(study, facts=about | study.facts | found)
    paths = write_study(study, folder)
    figures = write_figures(study, folder)
    page = write_page(study.facts, figures, folder)
    console = Console()
    console.print(heatmaps_summary(study.facts))
    written = ", ".join(path.name for path in [*paths, *figures.values()])
    console.print(
        f"report: {page}\nwritten beside it: {written}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
    return study


def _names(cfg: DictConfig, option: str) -> list[str]:
    """An option that is a list of words, or a single one."""
    from fer_lab.data.splitting.selection import plain

    value = plain(cfg[option])
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ConfigError(f"{option}={value} names nothing", where=option, hint=f"{option}=[…]")
    return list(dict.fromkeys(words))
