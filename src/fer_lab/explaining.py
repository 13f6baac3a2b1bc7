"""The explanation task: every summary of a trained model, on any dataset."""

from __future__ import annotations

import logging
from pathlib import Path

from omegaconf import DictConfig

from fer_lab.configuration import (
    refuse_audit_without_predictions,
    refuse_shared_root,
    refuse_unsafe_sweep,
    refuse_what_is_no_number,
)
from fer_lab.errors import ConfigError
from fer_lab.evaluate import checkpoint_name, evaluate_checkpoint
from fer_lab.running import Session, run_session

log = logging.getLogger(__name__)


def explain(cfg: DictConfig, folder: Path) -> None:
    """Explain as configured; what the last pass of a training leaves behind is left in ``folder``.

    Args:
        cfg: the composed configuration of ``conf/explain.yaml``.
        folder: the run's folder, which exists.

    Raises:
        FerLabError: for a mistake in the configuration, the checkpoint, the maps or the data; the
            record then says ``failed`` and why.
    """
    cfg.name = cfg.name or checkpoint_name(cfg)
    with run_session(cfg, folder, "explain") as session:
        refuse_what_is_no_number(cfg)
        if cfg.checkpoint is None:
            raise ConfigError(
                "name the model to explain",
                where="checkpoint=null",
                hint="fer-lab explain checkpoint=FILE dataset=NAME; a run's folder, or last",
            )
        if cfg.explain.method is None:
            raise ConfigError(
                "there is nothing to do without explanations",
                where="explain=none",
                hint="leave it out, or choose a method: explain=lrp",
            )
        refuse_shared_root(cfg)
        refuse_unsafe_sweep(cfg)
        refuse_audit_without_predictions(cfg)
        if cfg.maps is not None and not Path(str(cfg.maps)).expanduser().is_dir():
            raise ConfigError(
                "there is no such folder of maps", where=cfg.maps, hint="see docs/face_space.md"
            )
        evaluate_checkpoint(cfg, session)
        if cfg.maps is not None and session.primary:
            _compare_maps(cfg, session)


def _compare_maps(cfg: DictConfig, session: Session) -> None:
    """Hold the model's merged heatmaps beside maps that somebody supplied."""
    from fer_lab.explain.merged_files import read_merged
    from fer_lab.explain.supplied import compare_supplied, supplied_frame
    from fer_lab.explain.supplied_files import read_supplied
    from fer_lab.files import atomic_path, write_json

    folder = session.folder / "explanations"
    merged = read_merged(folder / "merged_test.npz")
    supplied = read_supplied(Path(str(cfg.maps)).expanduser(), merged.cells)
    facts = compare_supplied(supplied, merged, seed=cfg.seed)
    write_json(folder / "supplied.json", {"maps_folder": str(cfg.maps), **facts})
    with atomic_path(folder / "supplied.csv") as temporary:
        supplied_frame(facts).to_csv(temporary, index=False)
    for name, reason in facts["left_out"].items():
        log.warning("%s is left out: %s", name, reason)
