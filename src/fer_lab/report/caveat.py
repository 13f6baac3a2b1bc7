"""What a trained model is known to be worth, and for whom: what predictions and exports carry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_lab.report.run import Facts, Run, load_run
from fer_lab.report.wording import (
    INCOMPLETE,
    class_words,
    count,
    inferred_note,
    interval,
    is_number,
    name,
    number,
    printable,
    split_title,
    why,
    worst_group,
)

BEST = "best.ckpt"
UNKNOWN_TRAINING = (
    "Nothing is known of whom the model was trained on or how it treats groups: the checkpoint "
    "does not lie in a run's folder."
)
DRAWN = "These faces are drawings: figures of them are no evidence about people."
ELSEWHERE = (
    "These figures are of the faces above. Who is in other photographs is not known, nor is how "
    "often the model is wrong there: more often, most likely, for groups that were few or absent."
)


def trained_run(checkpoint: Path) -> Run | None:
    """The run whose folder a checkpoint lies in, None where it lies in none.

    Raises:
        DataError: when that run's record is damaged.
    """
    folder = checkpoint.absolute().parent.parent
    return load_run(folder) if (folder / "run.json").is_file() else None


def training_facts(run: Run | None) -> Facts | None:
    """Which training a model comes from: run, data with their fingerprint, versions."""
    if run is None:
        return None
    record = run.record
    choices = record.get("choices") or {}
    return {
        "run": run.name,
        "path": str(run.path.absolute()),
        "ended": record.get("ended"),
        "dataset": _joined(choices.get("dataset")),
        "split": _joined(choices.get("split")),
        "faces": (record.get("data") or {}).get("train"),
        "target": record.get("target"),
        "fingerprint": record.get("fingerprint"),
        "versions": record.get("versions") or {},
        "git": record.get("git") or {},
    }


def group_caveat(run: Run | None, checkpoint: Path) -> Facts:
    """Which groups the training data had, and what its audit said about gaps between them.

    Args:
        run: the run that the model comes from.
        checkpoint: the model's file, since a run audits its best one.

    Returns:
        ``text`` (sentences for people), ``line`` (the shortest of it), ``groups`` (by attribute),
        and ``audit``: None, or the split, ``samples``, ``accuracy``, and by attribute the count
        and accuracy of each group, the worst one, and the bias with its interval and null.
    """
    if run is None:
        return {
            "text": [UNKNOWN_TRAINING],
            "line": "of whom the model was trained on, and of gaps between groups, nothing is "
            "known here",
            "groups": {},
            "audit": None,
        }
    groups = run.record.get("groups") or {}
    text = [_trained_on(run, groups)]
    try:
        audit, found = _audit(run)
    except INCOMPLETE as error:
        audit, found = None, [f"Its audit cannot be read: {why(error)}."]
    text += found
    if (
        audit is not None
        and checkpoint.name != BEST
        and (run.path / "checkpoints" / BEST).is_file()
    ):
        text.append(f"The audit is of the run's {BEST}, not of {printable(checkpoint.name)}.")
    return {
        "text": [*text, ELSEWHERE],
        "line": _line(audit),
        "groups": groups,
        "audit": audit,
    }


def _trained_on(run: Run, known: Mapping[str, Any]) -> str:
    facts = training_facts(run) or {}
    data = printable(facts["dataset"] or "data without a name")
    faces = f", {count(facts['faces'])} faces" if is_number(facts["faces"]) else ""
    split = f", split {printable(facts['split'])}" if facts["split"] else ""
    ended = "" if run.status == "finished" else f" The run has not finished: it is {run.status}."
    groups = "; ".join(
        f"{name(attribute)} ({', '.join(map(name, values))})" for attribute, values in known.items()
    )
    listed = f"Groups known in these data: {groups}." if groups else "No groups are known in them."
    what = class_words(run.record)
    return f"Trained to tell apart {what} on {data}{faces}{split}.{ended} {listed}"


def _audit(run: Run) -> tuple[Facts | None, list[str]]:
    split = run.headline_split
    if split is None:
        return None, ["It has not been audited: of gaps between groups nothing is known."]
    facts = run.metrics_of(split)
    attributes = {
        attribute: {
            "source": part.get("source"),
            "inferred": bool(part.get("inferred")),
            "groups": {
                group: {"count": line["count"], "accuracy": line["accuracy"]["value"]}
                for group, line in part["groups"].items()
            },
            "worst_group": part["worst_group"],
            "bias": part["bias"],
        }
        for attribute, part in facts["attributes"].items()
    }
    audit = {
        "split": split,
        "samples": facts["samples"],
        "min_count": facts["min_count"],
        "accuracy": facts["accuracy"],
        "worst_group": facts["worst_group"],
        "attributes": attributes,
    }
    text = [
        f"{split_title(split)} set, {count(facts['samples'])} faces: accuracy "
        f"{number(facts['accuracy']['value'])} ({interval(facts['accuracy'])})."
    ]
    text += [
        _gap(attribute, part, facts["min_count"]) for attribute, part in attributes.items()
    ] or ["No groups were compared."]
    note = inferred_note(attributes)
    drawn = any(part["source"] == "synthetic" for part in attributes.values())
    return audit, [*text, *([note] if note else []), *([DRAWN] if drawn else [])]


def _gap(attribute: str, part: Mapping[str, Any], floor: int) -> str:
    """How an attribute's groups differ, in a sentence."""
    enough = {
        group: line
        for group, line in part["groups"].items()
        if group != "unknown" and line["count"] >= max(floor, 1) and is_number(line["accuracy"])
    }
    few = [
        f"{name(group)} ({count(line['count'])})"
        for group, line in part["groups"].items()
        if group != "unknown" and group not in enough
    ]
    words = f"{name(attribute).capitalize()}: "
    if len(enough) > 1:
        ordered = sorted(enough, key=lambda group: float(enough[group]["accuracy"]))
        ends = [
            f"{number(enough[group]['accuracy'])} ({name(group)}, {count(enough[group]['count'])})"
            for group in (ordered[0], ordered[-1])
        ]
        words += f"accuracy from {ends[0]} to {ends[1]}"
        bias = part["bias"]
        if is_number(bias.get("value")):
            words += f"; bias {number(bias['value'])} ({interval(bias)})"
            if is_number(bias.get("null_p95")):
                words += f", by chance alone up to {number(bias['null_p95'])}"
    else:
        words += "too few faces to compare groups"
    return words + (f"; too few faces of {', '.join(few)}." if few else ".")


def _line(audit: Mapping[str, Any] | None) -> str:
    if audit is None:
        return "the model was not audited: of gaps between groups nothing is known"
    worst = audit["worst_group"]
    words = f"audited on {count(audit['samples'])} faces: accuracy "
    words += number(audit["accuracy"]["value"])
    if is_number(worst.get("accuracy")):
        words += f", lowest {number(worst['accuracy'])} ({worst_group(worst)})"
    return words


def _joined(choice: Any) -> str | None:
    """An option of the configuration, or several of them, as one name."""
    if choice is None:
        return None
    return "+".join(map(str, choice)) if isinstance(choice, list) else str(choice)
