"""What each section of a run's page shows: plain values for the templates, made from the facts."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fer_lab.confidential import without_secrets
from fer_lab.errors import DataError
from fer_lab.report.asked import asked_section, is_asked
from fer_lab.report.explained import explanation_section, intensity_section
from fer_lab.report.run import Facts, Run
from fer_lab.report.tables import METRIC_TITLES, SIGNIFICANT, chance, gap_rows
from fer_lab.report.wording import (
    class_words,
    inferred_label,
    inferred_note,
    is_number,
    moment,
    name,
    split_title,
    without_metrics,
)


def _facts(run: Run) -> Facts:
    split = run.headline_split
    if split is None:
        raise DataError(without_metrics(run.status), where=run.path)
    return run.metrics_of(split)


def _headline(run: Run) -> Mapping[str, Any]:
    facts = _facts(run)
    return {
        "split": split_title(facts["split"]),
        "samples": facts["samples"],
        "collapsed": facts["collapsed"],
        "scores": [
            (title, facts[key])
            for title, key in (
                ("Accuracy", "accuracy"),
                ("Mean class accuracy", "mean_class_accuracy"),
                ("F1, macro", "f1_macro"),
                ("F1, weighted", "f1_weighted"),
            )
        ],
        "chance": chance(facts["confusion"]),
        "notes": [
            note
            for note in (inferred_note(facts["attributes"]), *(facts.get("messages") or ()))
            if note
        ],
        "worst": facts["worst_group"] or {},
        "bias": facts["bias"],
        "per_class": facts["per_class"],
        "level": f"{facts['level']:.0%}",
        "resamples": facts["resamples"],
        "min_count": facts["min_count"],
    }


def _data(run: Run) -> Mapping[str, Any]:
    data = run.record["data"]
    return {
        "splits": [(split, data[split]) for split in ("train", "val", "test") if split in data],
        "dropped": {reason: rows for reason, rows in (data.get("dropped") or {}).items() if rows},
        "choices": run.record.get("choices") or {},
        "fingerprint": run.record.get("fingerprint"),
    }


def _curves(run: Run) -> Mapping[str, Any]:
    return {"epochs": len(run.history)}


def _confusion(run: Run) -> Mapping[str, Any]:
    facts = _facts(run)
    classes = [name(c) for c in facts["classes"]]
    return {
        "split": split_title(facts["split"]).lower(),
        "classes": classes,
        "matrix": _matrix(facts["confusion"]),
        "attributes": [
            {
                "title": name(attribute),
                "inferred": inferred_label(part),
                "groups": [
                    (name(group), measured["count"], _matrix(measured["confusion"]))
                    for group, measured in part["groups"].items()
                ],
            }
            for attribute, part in facts["attributes"].items()
        ],
    }


def _matrix(confusion: Sequence[Sequence[int]]) -> Mapping[str, Any]:
    """Counts and shares of each true class, and which class is predicted too often."""
    total = sum(map(sum, confusion))
    return {
        "rows": [
            [{"count": cell, "share": cell / sum(row) if sum(row) else None} for cell in row]
            for row in confusion
        ],
        "true": [sum(row) for row in confusion],
        "predicted": [sum(column) for column in zip(*confusion, strict=True)],
        "total": total,
    }


def _fairness(run: Run) -> Mapping[str, Any]:
    facts = _facts(run)
    attributes = []
    for attribute, part in facts["attributes"].items():
        rows = gap_rows(part, facts["min_count"])
        left_out = [
            (METRIC_TITLES.get(metric, name(metric)), gap["left_out"])
            for metric, gap in part["metrics"].items()
            if gap["left_out"]
        ]
        attributes.append(
            {
                "title": name(attribute),
                "inferred": inferred_label(part),
                "rows": rows,
                "reasons": list(dict.fromkeys(row.reason for row in rows if row.reason)),
                "per_expression": {
                    expression: [
                        gap["per_expression"].get(expression) for gap in part["metrics"].values()
                    ]
                    for expression in facts["classes"]
                },
                "metrics": [METRIC_TITLES.get(metric, name(metric)) for metric in part["metrics"]],
                "largest": [gap["value"] for gap in part["metrics"].values()],
                "left_out": left_out,
                "classes": class_words(run.record),
                "dpd": part["dpd"]["value"],
                "eod": part["eod"]["value"],
            }
        )
    if not attributes:
        raise DataError("no attribute is audited", where=run.path)
    tests = sum(is_number(row.facts["p"]) for part in attributes for row in part["rows"])
    return {
        "attributes": attributes,
        "level": f"{facts['level']:.0%}",
        "tests": tests,
        "by_chance": SIGNIFICANT * tests,
    }


def _groups(run: Run) -> Mapping[str, Any]:
    facts = _facts(run)
    return {
        "attributes": [
            (name(attribute), inferred_label(part), part["groups"])
            for attribute, part in facts["attributes"].items()
        ],
        "intersections": [
            (
                name(attributes),
                sorted(
                    part["groups"].items(),
                    key=lambda item: (not is_number(item[1]["accuracy"]), item[1]["accuracy"] or 0),
                ),
            )
            for attributes, part in facts["intersections"].items()
        ],
        "min_count": facts["min_count"],
    }


def _configuration(run: Run) -> Mapping[str, Any]:
    path = run.path / ".hydra" / "config.yaml"
    if not path.is_file():
        raise DataError("this run has no .hydra/config.yaml", where=path)
    return {"yaml": without_secrets(path.read_text(encoding="utf-8", errors="replace"))}


def _environment(run: Run) -> Mapping[str, Any]:
    record = run.record
    command = record.get("command") or ""
    commit = (record.get("git") or {}).get("commit")
    task = str(record.get("task") or "train")
    rows = {
        "command": without_secrets(shlex.join(command) if isinstance(command, list) else command),
        "folder": str(run.path),
        "seed": record.get("seed"),
        "git commit": f"{commit}{' with changes' if record['git'].get('dirty') else ''}"
        if commit
        else None,
        "data fingerprint": record.get("fingerprint"),
        "host": record.get("host"),
        "resumed": record.get("resumed"),
        "started": moment(record.get("started")),
        "ended": moment(record.get("ended")),
    }
    return {
        "rows": {key: value for key, value in rows.items() if value not in (None, "")},
        "durations": record.get("durations") or {},
        "images_per_second": record.get("images_per_second"),
        "versions": record.get("versions") or {},
        "wandb": {k: v for k, v in (record.get("wandb") or {}).items() if v},
        "resume": f"fer-lab train {shlex.join([f'resume={run.path}'])}" if task == "train" else "",
        "load": f"fer_lab.load_run({str(run.path)!r})",
    }


SECTIONS: dict[str, Callable[[Run], Mapping[str, Any]]] = {
    "headline": _headline,
    "asked": asked_section,
    "data": _data,
    "curves": _curves,
    "confusion": _confusion,
    "fairness": _fairness,
    "groups": _groups,
    "explanation": explanation_section,
    "intensity": intensity_section,
    "configuration": _configuration,
    "environment": _environment,
}


def sections_of(run: Run) -> dict[str, Callable[[Run], Mapping[str, Any]]]:
    """The sections that a run of its kind can have something for."""
    left_out = set()
    task = run.record.get("task", "train")
    if task != "train" or is_asked(run):
        left_out.add("curves")
    if run.record.get("predictions") or is_asked(run):  # there is no model here to explain
        left_out.add("explanation")
    if not is_asked(run):
        left_out.add("asked")
    if not (run.path / "explanations" / "intensity.json").is_file():
        left_out.add("intensity")
    return {title: build for title, build in SECTIONS.items() if title not in left_out}
