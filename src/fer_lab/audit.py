"""The auditing task: how biased datasets are, each alone and all merged, before any training."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from fer_lab.configuration import refuse_shared_root
from fer_lab.errors import ConfigError, user_mistake

if TYPE_CHECKING:
    from fer_lab.data.side_by_side import Side
    from fer_lab.record import RunRecord
    from fer_lab.report.audit.facts import Audit

log = logging.getLogger(__name__)

VARIANTS = ("equation", "published")


def audit(cfg: DictConfig, folder: Path) -> Audit:
    """Audit datasets as configured; everything is left in ``folder``.

    Args:
        cfg: the composed configuration of ``conf/audit.yaml``.
        folder: the run's folder, which exists.

    Raises:
        FerLabError: for a mistake in the configuration or the data; the record then says
            ``failed`` and why.
    """
    from rich.console import Console

    from fer_lab.record import RunRecord
    from fer_lab.report.audit.facts import write_audit
    from fer_lab.report.audit.figures import write_figures
    from fer_lab.report.audit.page import write_page
    from fer_lab.report.audit.summary import audit_summary

    record = RunRecord(folder, _identity(cfg))
    status, reason = "failed", None
    try:
        found = _audited(cfg, record)
        with record.timed("report"):
            write_audit(found, folder)
            figures = write_figures(found, folder / "figures")
            page = write_page(found, record.content, figures, folder)
        status = "finished"
    except KeyboardInterrupt:
        status, reason = "interrupted", "stopped by Ctrl-C"
        raise
    except BaseException as error:
        known = user_mistake(error) or error
        reason = f"{type(known).__name__}: {known}"
        raise
    finally:
        record.close(status, reason)
    console = Console()
    console.print(audit_summary(found))
    console.print(
        f"report: {page}\ntables, figures and audit.json: {folder}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
    return found


def _identity(cfg: DictConfig) -> dict[str, Any]:
    """What is known of the audit before it starts."""
    from fer_lab.record import command_line

    # Of a list of options Hydra keeps no choice.
    choices = {"dataset": [str(name) for name in cfg.dataset.sources], "split": cfg.split.name}
    return {
        "name": cfg.name,
        "task": "audit",
        "seed": cfg.seed,
        "tags": list(cfg.tags),
        "notes": cfg.notes,
        "choices": choices,
        "command": command_line(),
    }


def _audited(cfg: DictConfig, record: RunRecord) -> Audit:
    """Read the datasets and measure each of them."""
    from fer_lab.data.audit_rows import Wanted
    from fer_lab.data.manifest import fingerprint
    from fer_lab.data.pixels.packed import default_cache
    from fer_lab.data.side_by_side import read_sides
    from fer_lab.data.splitting.selection import plain
    from fer_lab.data.splitting.split_options import Split
    from fer_lab.report.audit.facts import audit_of

    _refuse(cfg)
    refuse_shared_root(cfg)
    place = cfg.data.cache_dir
    cache = default_cache() if place is None else Path(place).expanduser()
    split = Split.of(plain(cfg.split))
    attributes = list(dict.fromkeys(map(str, plain(cfg.attributes))))
    with record.timed("data"):
        sides = read_sides(
            {name: options or {} for name, options in plain(cfg.dataset.sources).items()},
            Wanted(
                rows=cfg.rows,
                split=split,
                classes=plain(cfg.classes),
                target=cfg.target,
                verified_in=cache if cfg.verify else None,
            ),
            attributes=attributes,
            cache_dir=cache,
            harmonise=plain(cfg.data.harmonise),
            annotations=plain(cfg.data.annotations),
        )
    for side in sides:
        log.info("%s: %s rows", side.name, f"{len(side.rows):,}")
        for note in side.notes:
            log.info("%s: %s", side.name, note)
    record.update(
        fingerprint=fingerprint(sides[-1].rows),
        data={
            "rows": {side.name: len(side.rows) for side in sides},
            "dropped": _total(sides),
        },
    )
    with record.timed("measures"):
        found = audit_of(
            sides,
            {
                "name": cfg.name,
                "rows": cfg.rows,
                "filter": str(split),
                "target": cfg.target,
                "attributes": attributes,
                "variant": cfg.variant,
                "resamples": cfg.resamples,
                "level": cfg.level,
                "seed": cfg.seed,
            },
        )
    headline = {
        f"bias/{name}": document["bias"]["value"] for name, document in found.documents.items()
    }
    record.update(summary={name: value for name, value in headline.items() if value is not None})
    return found


def _refuse(cfg: DictConfig) -> None:
    """Options that would end in a library's words, after minutes of reading."""
    from fer_lab.data.splitting.selection import plain
    from fer_lab.data.splitting.target import EXPRESSION
    from fer_lab.errors import near_miss

    if cfg.variant not in VARIANTS:
        near = near_miss(str(cfg.variant), VARIANTS)
        raise ConfigError(
            f"variant={cfg.variant} is no form of the measures"
            + (f"; did you mean {near!r}?" if near else ""),
            where="variant",
            hint=f"use {' or '.join(VARIANTS)}",
        )
    if type(cfg.resamples) is not int or cfg.resamples < 1:
        raise ConfigError(
            f"resamples={cfg.resamples} is no whole number from 1 on",
            where="resamples",
            hint="1000 is usual",
        )
    if type(cfg.seed) is not int or cfg.seed < 0:
        raise ConfigError(f"seed={cfg.seed} is no whole number from 0 on", where="seed")
    if not isinstance(cfg.level, float) or not 0 < cfg.level < 1:
        raise ConfigError(
            f"level={cfg.level} is no share between 0 and 1", where="level", hint="0.95 is usual"
        )
    if not isinstance(cfg.verify, bool):
        raise ConfigError(f"verify={cfg.verify} is neither true nor false", where="verify")
    attributes = plain(cfg.attributes)
    if not isinstance(attributes, list) or not attributes:
        raise ConfigError(
            f"attributes={attributes} names nothing to audit",
            where="attributes",
            hint="use a list such as [gender,age,race]",
        )
    if EXPRESSION in attributes and cfg.target != EXPRESSION:
        raise ConfigError(
            f"expressions are counted by {cfg.target}, not the other way round",
            where=f"target={cfg.target} attributes=[{','.join(map(str, attributes))}]",
            hint=f"use target={EXPRESSION} attributes=[{cfg.target}]",
        )


def _total(sides: list[Side]) -> dict[str, int]:
    """What was set aside in all datasets, by reason."""
    from collections import Counter

    total: Counter[str] = Counter()
    for side in sides:
        total.update({reason: count for reason, count in side.dropped.items() if count})
    return dict(total)
