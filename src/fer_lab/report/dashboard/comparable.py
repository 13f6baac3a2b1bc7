"""Which runs may stand on one axis, and which are draws of one experiment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from fer_lab.confidential import without_secrets
from fer_lab.report.dashboard.gather import DAMAGED, Entry, lacking
from fer_lab.report.run_tables.choices import Choices, differing
from fer_lab.report.wording import MISSING, count, name, printable, split_title

# What people look for first when runs differ in several things that say the same.
FIRST = ("model", "split", "mitigation", "population", "recipe", "augment", "task")
_OF_THE_GENDER = ("split", "split.name", "split.where.gender", "split.match")
_USUAL_POPULATION = "biased"
_MOST_SETTINGS = 4


def mark_comparable(entries: Sequence[Entry]) -> dict[str, list[Any]]:
    """Write into every run's ``shown`` what it may be compared with.

    Two runs are of one *set* when they were measured on the same faces (dataset, split, and as
    many faces of each class), tell the same classes apart, and their bias score is over the same
    attributes and of the same kind; folds of one cross-validation are of one set. Runs of a set
    that differ in seed or fold alone are one *experiment*; experiments that differ in the gender
    that was learnt from alone are one *variant*, the rows of a 3×3 table.

    Returns:
        ``sets`` (the largest first), ``experiments`` and ``variants``, whose positions the runs
        name as ``set``, ``experiment`` and ``variant``.
    """
    members: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.document is None:
            continue
        try:
            members.setdefault(_set_key(entry), []).append(entry)
        except DAMAGED as error:
            entry.shown["note"] = lacking("comparison", error)
    ordered = sorted(members.values(), key=len, reverse=True)
    words = _told_apart([_set_words(part[0]) for part in ordered])
    found: dict[str, list[Any]] = {"sets": [], "experiments": [], "variants": []}
    for position, part in enumerate(ordered):
        document = part[0].document
        assert document is not None
        found["sets"].append(
            {
                "letter": _letters(position),
                "words": words[position],
                "attributes": list(document["attributes"]),
            }
        )
        for entry in part:
            entry.shown["set"] = position
        known = [entry for entry in part if entry.choices is not None]
        keys = _telling(known, differing([[_choices(entry) for entry in known]]))
        _mark(known, keys, "experiment", found["experiments"])
        rows = [entry for entry in known if _learnt_from(_choices(entry)) is not None]
        for entry in rows:
            entry.shown["learnt"] = _learnt_from(_choices(entry))
        others = [key for key in keys if key not in _OF_THE_GENDER]
        _mark(rows, others, "variant", found["variants"])
    return found


def tell_apart(entries: Sequence[Entry]) -> None:
    """Write into the ``shown`` of runs of the same name what tells them apart, as ``told``."""
    named: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.choices is not None:
            named.setdefault(entry.shown["name"], []).append(entry)
    for part in named.values():
        if len(part) < 2:
            continue
        keys = differing([[_choices(entry) for entry in part]])
        keys = list(dict.fromkeys([*_telling(part, keys), *keys]))  # what suffices comes first
        seeds = len({entry.shown.get("seed") for entry in part}) > 1
        for entry in part:
            words = _said(_choices(entry).groups, keys, _values(entry, keys))
            words += [f"seed {entry.shown.get('seed')}"] * seeds
            if told := _joined(words):
                entry.shown["told"] = told


def _set_key(entry: Entry) -> str:
    shown, document = entry.shown, entry.document
    assert document is not None
    choices = entry.choices
    population = choices.groups.get("population") if choices is not None else None
    if choices is not None and choices.run is not entry.run:  # that of the test, not of training
        population = (entry.run.record.get("choices") or {}).get("population")
    folds = _folds(entry)
    faces = dict(zip(document["classes"], map(sum, document["confusion"]), strict=True))
    key = (
        shown.get("dataset"),
        population or _USUAL_POPULATION,
        shown.get("target") or "expression",
        shown["split_shown"],
        shown.get("test_split") or "mixed",
        folds,
        tuple(sorted(faces)) if folds else tuple(sorted(faces.items())),
        tuple(sorted(document["attributes"])),
        document.get("min_count"),
        document.get("variants"),
    )
    return json.dumps(key, sort_keys=True)  # whatever stands in a damaged document, it is hashable


def _set_words(entry: Entry) -> str:
    shown, document = entry.shown, entry.document
    assert document is not None
    split = split_title(shown["split_shown"]).lower()
    faces = f"{split} set of {count(document['samples'])} faces"
    if folds := _folds(entry):
        faces = f"{folds}-fold cross-validation"
    elif shown.get("test_split") not in (None, "mixed"):
        faces += f" ({name(shown['test_split'])} alone)"
    target = shown.get("target") or "expression"
    attributes = ", ".join(map(name, document["attributes"]))
    return " · ".join(
        [
            printable(shown.get("dataset") or "a file of predictions"),
            faces,
            f"{len(document['classes'])} classes of {name(target)}",
            f"bias over {attributes}" if attributes else "no attribute audited",
        ]
    )


def _folds(entry: Entry) -> str | None:
    """The number of folds of a cross-validation, where the run tested on one of them."""
    choices = entry.choices
    if choices is None or choices.run is not entry.run:
        return None
    folds = choices.settings.get("split.folds", MISSING)
    return None if folds == MISSING else folds


def _choices(entry: Entry) -> Choices:
    assert entry.choices is not None
    return entry.choices


def _learnt_from(choices: Choices) -> str | None:
    """``female``, ``male``, ``mixed`` or ``mixed_matched``; None where that is not known."""
    settings = choices.settings
    if "split.name" not in settings or choices.groups.get("task") == "ask":
        return None
    wanted = settings.get("split.where.gender", MISSING).strip("[]'\" ")
    if wanted == MISSING:
        return "mixed" if settings.get("split.match", MISSING) == MISSING else "mixed_matched"
    return wanted if wanted in ("female", "male") else None


def _telling(entries: Sequence[Entry], keys: Sequence[str]) -> list[str]:
    """The keys that tell runs apart which the keys before them do not."""
    first = [key for key in FIRST if key in keys]
    kept: list[str] = []
    parts = 1
    for key in [*first, *(key for key in keys if key not in first)]:
        refined = len({_values(entry, [*kept, key]) for entry in entries})
        if refined > parts:
            kept.append(key)
            parts = refined
    return kept


def _values(entry: Entry, keys: Sequence[str]) -> tuple[str, ...]:
    choices = _choices(entry)
    return tuple(str(choices.groups.get(k) or choices.settings.get(k) or MISSING) for k in keys)


def _mark(entries: Sequence[Entry], keys: Sequence[str], what: str, labels: list[Any]) -> None:
    """Number the runs by the values of ``keys``, and name each number."""
    parts: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        parts.setdefault(_values(entry, keys), []).append(entry)
    words = _told_apart([_label(part[0], keys, values) for values, part in parts.items()])
    for label, part in zip(words, parts.values(), strict=True):
        for entry in part:
            entry.shown[what] = len(labels)
        labels.append(label)


def _label(entry: Entry, keys: Sequence[str], values: Sequence[str]) -> str:
    """``resnet50 · female · lr=0.001``: options as they are, settings with their last names."""
    groups: Mapping[str, str] = _choices(entry).groups
    words = [] if "model" in keys else [groups.get("model") or ""]
    return _joined([*words, *_said(groups, keys, values)]) or entry.shown["name"]


def _said(groups: Mapping[str, str], keys: Sequence[str], values: Sequence[str]) -> list[str]:
    return [
        value if key in groups else f"{key.rpartition('.')[2]}={_brief(value)}"
        for key, value in zip(keys, values, strict=True)
        if value != MISSING
    ][:_MOST_SETTINGS]


def _joined(words: Sequence[str]) -> str:
    return printable(without_secrets(" · ".join(filter(None, words))))


def _brief(value: str) -> str:
    """A number that a search has drawn, in four digits; all else as it is.

    >>> _brief("0.00040241923"), _brief("[1, 2]"), _brief("0.001")
    ('0.0004024', '[1, 2]', '0.001')
    """
    try:
        return f"{float(value):.4g}" if "." in value else value
    except ValueError:
        return value


def _told_apart(words: Sequence[str]) -> list[str]:
    """The words, numbered where the same stand twice."""
    seen: dict[str, int] = {}
    found = []
    for each in words:
        seen[each] = seen.get(each, 0) + 1
        found.append(each if seen[each] == 1 else f"{each} ({seen[each]})")
    return found


def _letters(position: int) -> str:
    """A letter for each set, two after the 26th.

    >>> _letters(0), _letters(26)
    ('A', 'AA')
    """
    text = ""
    position += 1
    while position:
        position, place = divmod(position - 1, len(ascii_uppercase))
        text = ascii_uppercase[place] + text
    return text
