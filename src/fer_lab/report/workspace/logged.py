"""What the runs of one W&B project have in common, as far as panels need it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fer_lab.errors import ConfigError
from fer_lab.report.dashboard.comparable import FIRST
from fer_lab.report.dashboard.gather import DAMAGED, Entry
from fer_lab.report.frames import attribute_name
from fer_lab.report.logged import logged_names
from fer_lab.report.run_tables.choices import Choices, differing
from fer_lab.report.wording import MISSING

_PROJECT = re.compile(r"(?:([\w.-]+)/)?([\w.-]+)")
_USUAL_PROJECT = "fer_lab"


@dataclass
class Logged:
    """What panels are made of.

    Attributes:
        names: of everything that some run has sent.
        split: the split whose figures stand for the runs.
        attributes: the groups of each audited attribute, both as they are called in W&B.
        by: the key of W&B's configuration in which runs differ first; None where they are alike.
        learnt: the options of ``split``, which say whom models learnt from.
    """

    names: set[str]
    split: str = "test"
    attributes: dict[str, list[str]] = field(default_factory=dict)
    by: str | None = None
    learnt: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Logged:
        """What some runs have logged; one with damaged files costs its own names."""
        names: set[str] = set()
        attributes: dict[str, dict[str, None]] = {}
        for entry in entries:
            try:
                names |= logged_names(entry.run)
            except DAMAGED:
                continue
            for attribute, part in (entry.document or {}).get("attributes", {}).items():
                groups = attributes.setdefault(attribute_name(attribute, part), {})
                groups |= dict.fromkeys(map(str, part["groups"]))
        choices = [e.choices for e in entries if e.document is not None and e.choices is not None]
        keys = [key for key in differing([choices]) if key != "task"]
        first = next((key for key in (*FIRST, *keys) if key in keys), None)
        is_option = any(first in each.groups for each in choices)
        return cls(
            names,
            "test" if "test/accuracy" in names else "val",
            {attribute: list(groups) for attribute, groups in attributes.items()},
            f"choices.{first}" if is_option else first,
            {each.groups["split"] for each in choices if "split" in each.groups},
        )

    def known(self, names: Iterable[str]) -> list[str]:
        """Those names under which there is something."""
        return [each for each in names if each in self.names]


def tracked_runs(entries: Sequence[Entry], wanted: str | None) -> tuple[str, str, list[Entry]]:
    """The W&B entity (empty: the user's own), the project, and the runs that were logged to it.

    Args:
        entries: all runs.
        wanted: ``project`` or ``entity/project``; None: the one that the runs name.

    Raises:
        ConfigError: for no project, or several, or if no run was logged.
    """
    tracked = [
        (entry, *_place(entry))
        for entry in entries
        if entry.shown["status"] != "unreadable" and entry.run.record.get("wandb")
    ]
    if not tracked:
        raise ConfigError(
            f"of {len(entries)} runs none was logged to W&B",
            where="workspace",
            hint="runs with logger=wandb are, which is the default: offline, without an account",
        )
    if wanted is None:
        places = {(entity, project) for _, entity, project in tracked}
        if len(places) > 1:
            named = ", ".join(sorted("/".join(filter(None, place)) for place in places))
            raise ConfigError(
                f"the runs were logged to {len(places)} W&B projects: {named}",
                where="project",
                hint="a workspace belongs to one of them: project=NAME, or ENTITY/NAME",
            )
        ((entity, project),) = places
        return entity, project, [entry for entry, *_ in tracked]
    match = _PROJECT.fullmatch(wanted)
    if match is None:
        raise ConfigError(
            f"project={wanted} is no W&B project",
            where="project",
            hint="project=NAME or project=ENTITY/NAME, as in the address of its page",
        )
    # Offline runs can be sent to a project of another name: then all of them are meant.
    inside = [each for each in tracked if each[2] == match[2]] or tracked
    entities = Counter(entity for _, entity, _ in inside if entity)
    usual = entities.most_common(1)[0][0] if entities else ""
    return match[1] or usual, match[2], [entry for entry, *_ in inside]


def _place(entry: Entry) -> tuple[str, str]:
    """The W&B entity and project that a run was configured with."""
    try:
        trained_here = entry.choices is not None and entry.choices.run is entry.run
        choices = entry.choices if trained_here else Choices.of(entry.run)
        assert choices is not None
        entity, project = (choices.value(f"logger.{key}") for key in ("entity", "project"))
    except DAMAGED:
        return "", _USUAL_PROJECT
    known = {None: "", MISSING: ""}
    return known.get(entity, str(entity)), known.get(project, str(project)) or _USUAL_PROJECT
