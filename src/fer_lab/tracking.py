"""Weights & Biases: one run for each of ours, offline unless it is asked for otherwise."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import WandbLogger

from fer_lab.report.frames import confusion_frame, gap_frame, group_frame

if TYPE_CHECKING:
    from fer_lab.record import RunRecord
    from fer_lab.report.run import Run


class Tracker(WandbLogger):
    """W&B's logger; what is about groups that nobody annotated says so in its name.

    Attributes:
        inferred: the attributes that a model inferred.
    """

    inferred: Collection[str] = ()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log figures under names that say what is inferred."""
        named = {said_inferred(name, self.inferred): value for name, value in metrics.items()}
        super().log_metrics(named, step)


def said_inferred(figure: str, inferred: Collection[str]) -> str:
    """A figure's name with what is inferred said in it.

    >>> said_inferred("val/fairness/gender/bias", ["gender"])
    'val/fairness/gender (inferred)/bias'
    """
    parts = figure.split("/")
    return "/".join(f"{part} (inferred)" if part in inferred else part for part in parts)


def start_wandb(cfg: DictConfig, folder: Path, record: RunRecord) -> Tracker | None:
    """The W&B logger of this run, or None without one; a resumed run goes on under its id.

    Args:
        cfg: the composed configuration; ``cfg.logger`` says how.
        folder: the run's folder, which W&B writes into.
        record: of the run; it learns the W&B id.
    """
    if cfg.logger.kind == "none":
        return None
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_CONSOLE", "off")
    import wandb

    from fer_lab.data.splitting.selection import plain

    sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    group = cfg.logger.group or (Path(HydraConfig.get().sweep.dir).as_posix() if sweep else None)
    known: Mapping[str, Any] = record.content.get("wandb") or {}
    identity = known.get("id") or secrets.token_hex(4)
    run = wandb.init(
        dir=str(folder),
        name=cfg.name,
        id=identity,
        project=cfg.logger.project,
        entity=cfg.logger.entity,
        mode=cfg.logger.mode,
        group=group,
        tags=list(cfg.tags) or None,
        notes=cfg.notes,
        resume="allow" if known and cfg.logger.mode == "online" else None,
        config=plain(OmegaConf.to_container(cfg, resolve=True)),
    )
    record.update(wandb={"id": identity, "mode": cfg.logger.mode, "path": run.settings.sync_dir})
    return Tracker(experiment=run)


def send_report(logger: WandbLogger, run: Run, figures: Sequence[Path]) -> None:
    """Send a run's pictures, its tables by group, and its figures that have intervals, to W&B."""
    import wandb

    sent: dict[str, Any] = {f"figures/{path.stem}": wandb.Image(str(path)) for path in figures}
    if run.headline_split is not None:
        facts = run.metrics_of(run.headline_split)
        frames = {"groups": group_frame, "gaps": gap_frame, "group_confusion": confusion_frame}
        sent |= {
            f"tables/{name}": wandb.Table(dataframe=frame)
            for name, build in frames.items()
            if len(frame := build(facts))
        }
    if sent:
        logger.experiment.log(sent)
    logger.experiment.summary.update(intervals(run))


def intervals(run: Run) -> dict[str, float]:
    """Every figure that has an interval or a null, flat: what W&B's summary shows of the facts."""
    flat: dict[str, float] = {}

    def walk(name: str, node: object) -> None:
        if not isinstance(node, Mapping):
            return
        if "low" in node and "value" in node:
            flat.update(
                {
                    f"{name}/{part}": number
                    for part, number in node.items()
                    if isinstance(number, float) and part != "value"
                }
            )
        else:
            for part, below in node.items():
                walk(f"{name}/{part}", below)

    split = run.headline_split
    if split is not None:
        facts = run.metrics_of(split)
        walk(split, facts)
        inferred = facts.get("inferred") or ()
        flat = {said_inferred(name, inferred): value for name, value in flat.items()}
        for region, figures in _explained_regions(run).items():
            flat |= {f"{split}/{name}/{region}": figures[name] for name in ("ior", "lift")}
    return flat


def _explained_regions(run: Run) -> Mapping[str, Mapping[str, float]]:
    if not (run.path / "explanations" / "summary.json").is_file():
        return {}
    regions: Mapping[str, Mapping[str, float]] = run.explanation["regions"]
    return regions
