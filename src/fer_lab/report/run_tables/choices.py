"""What tells runs apart: the options they were composed of and every setting, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from fer_lab.errors import ConfigError, DataError, near_miss
from fer_lab.report.run import Run
from fer_lab.report.wording import MISSING

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_OF_THE_RECORD = ("name", "seed", "tags", "notes", "fingerprint")

# Another seed or fold is another draw of the same experiment; the rest changes no figure.
_DRAWS = ("seed", "split.fold")
_WITHOUT_EFFECT = (
    *("name", "notes", "tags", "resume", "data_root", "trainer.accelerator"),
    *("data.num_workers", "data.cache", "data.cache_dir", "callbacks.progress"),
)
_GROUPS_WITHOUT_EFFECT = ("logger", "trainer")


@dataclass(frozen=True)
class Choices:
    """The options and settings of one run.

    Attributes:
        run: the run.
        groups: the task and the option of each group, ``{"model": "resnet50", …}``; several
            options are joined by +.
        settings: every leaf of the composed configuration by its dotted name, as text with its
            interpolations: one that follows the seed is no difference of its own.
    """

    run: Run
    groups: Mapping[str, str]
    settings: Mapping[str, str]

    @classmethod
    def of(cls, run: Run) -> Choices:
        """What a run's record and configuration say.

        Raises:
            DataError: when the record or the configuration is damaged.
        """
        groups = {"task": str(run.record.get("task"))} | {
            str(group): "+".join(map(str, option)) if isinstance(option, list) else str(option)
            for group, option in (run.record.get("choices") or {}).items()
        }
        # Read without building a configuration object, which takes ten times as long.
        path = run.path / ".hydra" / "config.yaml"
        content: Any = {}
        if path.is_file():
            try:
                content = yaml.load(path.read_bytes(), Loader=_LOADER)
            except yaml.YAMLError as error:
                raise DataError(".hydra/config.yaml is no YAML", where=path) from error
        return cls(run, groups, dict(_leaves(content if isinstance(content, dict) else {})))

    def value(self, key: str) -> str | None:
        """The value of a key: a group's option, an entry of the record, or a setting.

        A group of settings as a whole (``split.where``) is None, as is what the run does not have.
        """
        if key in self.groups:
            return self.groups[key]
        if key in _OF_THE_RECORD and self.run.record.get(key) is not None:
            found = self.run.record[key]
            return ", ".join(map(str, found)) if isinstance(found, list) else str(found)
        text = self.settings.get(key)
        return self._resolved(key, text) if text is not None and "${" in text else text

    def _resolved(self, key: str, text: str) -> str:
        """The value behind an interpolation, or its text where it needs a running Hydra."""
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        try:
            found = OmegaConf.select(self.run.config, key)
        except OmegaConfBaseException:
            return text
        return MISSING if found is None else str(found)

    @property
    def draw(self) -> tuple[str | None, ...]:
        """The seed and the fold."""
        return tuple(self.value(key) for key in _DRAWS)

    @property
    def keys(self) -> set[str]:
        """Every key that has a value."""
        return {*self.groups, *self.settings, *(k for k in _OF_THE_RECORD if self.value(k))}


def named(key: str, choices: Sequence[Choices]) -> str:
    """``key``, if any run has it.

    Raises:
        ConfigError: if none has, naming what is spelt alike.
    """
    known = sorted({each for entry in choices for each in entry.keys})
    if key in known:
        return key
    near = near_miss(key, known)
    raise ConfigError(
        f"no run has a choice or setting {key!r}" + (f"; did you mean {near!r}?" if near else ""),
        where=f"{len(choices)} runs",
        hint="choices such as model, dataset and split, or any dotted key of the configuration",
    )


def differing(parts: Iterable[Sequence[Choices]]) -> list[str]:
    """The keys in which runs of one part differ, apart from seed, fold and what has no effect.

    Options explain the settings that they bring: settings are compared between runs of the same
    options only.
    """
    keys: dict[str, None] = {}
    for part in parts:
        groups = sorted({group for entry in part for group in entry.groups})
        options = [
            group
            for group in groups
            if group not in _GROUPS_WITHOUT_EFFECT
            if len({entry.groups.get(group) for entry in part}) > 1
        ]
        keys |= dict.fromkeys(options)
        alike: dict[tuple[str | None, ...], list[Choices]] = {}
        for entry in part:
            alike.setdefault(tuple(map(entry.groups.get, options)), []).append(entry)
        for entries in alike.values():
            if len(entries) > 1:
                keys |= dict.fromkeys(_unequal_settings(entries))
    return list(keys)


def _unequal_settings(entries: Sequence[Choices]) -> Iterator[str]:
    for key in sorted({key for entry in entries for key in entry.settings}):
        ignored = key in (*_DRAWS, *_WITHOUT_EFFECT) or key.startswith("logger.")
        if not ignored and len({entry.settings.get(key) for entry in entries}) > 1:
            yield key


def _leaves(node: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", "[" + ", ".join(map(str, value)) + "]"
        else:
            yield f"{prefix}{key}", MISSING if value is None else str(value)
