"""Where the configuration lives, what it needs before it is composed, what it must not say."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer_lab.errors import ConfigError
from fer_lab.processes import agreed, place

# What OmegaConf puts before the words of a resolver's error.
_RAISED = re.compile(r"^\w+ raised while resolving interpolation: ")

_NUMBERS: dict[str, tuple[str, int]] = {
    "seed": ("whole number", 0),
    "recipe.image_size": ("whole number", 1),
    "recipe.batch_size": ("whole number", 1),
    "trainer.max_epochs": ("whole number", -1),
    "trainer.accumulate_grad_batches": ("whole number", 1),
    "trainer.gradient_clip_val": ("number", 0),
    "explain.max_samples": ("whole number", 0),
    "explain.max_test_samples": ("whole number", 1),
    "explain.every_n_epochs": ("whole number", 1),
    "callbacks.fairness.resamples": ("whole number", 1),
    "callbacks.fairness.min_count": ("whole number", 0),
    "callbacks.early_stopping.epochs": ("whole number", 1),
    "explain.pictures_every_n_epochs": ("whole number", 0),
    "explain.check_samples": ("whole number", 0),
    "min_count": ("whole number", 0),
    "min_images": ("whole number", 1),
    "resamples": ("whole number", 1),
    "level": ("number", 0),
    "batch_size": ("whole number", 1),
    "top_k": ("whole number", 1),
    "model.optimizer.lr": ("number", 0),
}

# Options of groups that a run's name leaves out.
_USUAL: dict[str, str | None] = {"population": "biased", "recipe": None, "mitigation": "none"}


@lru_cache(maxsize=1)
def config_directory() -> Path:
    """The folder of Hydra groups: inside the installed package, or the checkout's own."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def group_options() -> dict[str, list[str]]:
    """The options of every group found on disk, ``{"split": ["female", ...], ...}``."""
    root = config_directory()
    groups: dict[str, list[str]] = {}
    for file in sorted(root.glob("*/**/*.yaml")):
        group = file.parent.relative_to(root).as_posix()
        groups.setdefault(group, []).append(file.stem)
    return groups


@cache
def fresh_folder(path: str) -> str:
    """Claim ``path``, or ``path-2`` and so on, for this job alone: all its processes get the same.

    Raises:
        ConfigError: when the first of several processes cannot be asked.
    """
    return agreed("run folder", lambda: _claimed(path))


def _claimed(path: str) -> str:
    candidate, number = Path(path), 1
    while True:
        try:
            candidate.mkdir(parents=True)
        except FileExistsError:
            if candidate.is_file():
                return str(candidate)
            number += 1
            candidate = Path(f"{path}-{number}")
        else:
            return str(candidate)


def run_name(choices: DictConfig, *, _root_: DictConfig) -> str:
    """The default name of a run: ``affectnet-female-resnet50-s1``.

    Before the seed stands what else the runs of one sweep differ in, where it is not the usual:
    population, recipe, mitigation, target, test split, dataset left out and fold, as in
    ``affectnet-female-resnet50-gender-fold2-s1``. A model that is asked has its name at the server.

    Args:
        choices: the option of every group, ``${hydra:runtime.choices}``.
    """
    split = _root_.split
    chosen = {group: choices.get(group) for group in _USUAL}
    asked = _root_.server.model if _root_.model.get("asked") else None
    model = choices.model if asked is None else str(asked).rsplit("/", 1)[-1]
    parts = [_root_.dataset.name, split.name, model]
    parts += [
        str(option) for group, option in chosen.items() if option not in (_USUAL[group], None)
    ]
    if _root_.target != "expression":
        parts.append(_root_.target)
    if _root_.test_split.name != "mixed":
        parts.append(f"on-{_root_.test_split.name}")
    if split.leave_out is not None:
        parts.append(f"without-{split.leave_out}")
    if split.folds is not None:
        parts.append(f"fold{split.fold}")
    return "-".join([*map(str, parts), f"s{_root_.seed}"])


def planted(what: str, case: str = "", strength: float = 0.5) -> Any:
    """``${planted:…}``: the names of all planted ``cases``, or what a case asks of the data.

    Args:
        what: ``cases``, or of a case its ``target``, ``classes`` or ``rules``.
        case: its name.
        strength: of the rules.

    Raises:
        ConfigError: for a case that there is not.
    """
    from fer_lab.data.synthetic.shortcuts import CASES, case_of

    if what == "cases":
        return ListConfig(list(CASES))
    chosen = case_of(case)
    if what == "rules":
        return ListConfig(chosen.rules(strength))
    return chosen.target if what == "target" else ListConfig(list(chosen.classes))


def unresolved(error: OmegaConfBaseException) -> ConfigError:
    """What is wrong with a value that OmegaConf could not give, in the words of who found it."""
    words = _RAISED.sub("", str(error)).splitlines()
    own = [line for line in words[1:] if line.startswith(("  where:", "  to do:"))]
    where = None if own else getattr(error, "full_key", None)
    return ConfigError("\n".join([words[0], *own]), where=where)


def directions(objectives: DictConfig) -> ListConfig:
    """``${directions:…}``: which way each objective of a search goes, ``maximize`` ones first.

    Raises:
        ConfigError: for an objective on other than validation faces: a model chosen on the test
            set has no test set left.
    """
    chosen = [(way, str(f)) for way in ("maximize", "minimize") for f in objectives[way]]
    for way, figure in chosen:
        if not figure.startswith("val/"):
            raise ConfigError(
                f"{figure} is no figure of the validation faces, which alone may choose",
                where=f"objectives.{way}",
                hint=f"objectives.{way}=[val/{figure.split('/', 1)[-1]}]",
            )
    ways = [way for way, _ in chosen]
    if not ways:
        raise ConfigError("a search has no objective", where="objectives")
    return ListConfig(ways)


def register_resolvers() -> None:
    """Make ``${fresh_folder:…}``, ``${run_name:…}`` and the other resolvers known to OmegaConf.

    Two runs started within one second must not share a folder: the folder is claimed by making it.
    """
    OmegaConf.register_new_resolver("fresh_folder", fresh_folder, replace=True)
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)
    OmegaConf.register_new_resolver("planted", planted, replace=True)
    OmegaConf.register_new_resolver("directions", directions, replace=True)
    OmegaConf.register_new_resolver("join", lambda names: "+".join(names), replace=True)
    OmegaConf.register_new_resolver(
        "sweep_over", lambda names: ",".join(f"'{name}'" for name in names), replace=True
    )


def refuse_what_is_no_number(cfg: DictConfig) -> None:
    """Words where numbers belong would end in a library's traceback, minutes later."""
    for key, (kind, lowest) in _NUMBERS.items():
        value = OmegaConf.select(cfg, key)
        allowed = (int,) if kind == "whole number" else (int, float)
        wrong = isinstance(value, bool) or not isinstance(value, allowed)
        if value is not None and (wrong or value < lowest):
            raise ConfigError(
                f"{key}={value} is no {kind} from {lowest} on", where=key, hint=f"set {key}=…"
            )


def refuse_audit_without_predictions(cfg: DictConfig) -> None:
    """What the audit writes is computed from the predictions: they are not left out alone."""
    if cfg.callbacks.get("fairness") is not None and cfg.callbacks.get("predictions") is None:
        raise ConfigError(
            "the fairness audit is computed from the predictions, which nobody would write",
            where="callbacks.predictions=null",
            hint="set callbacks.fairness=null as well, or keep the predictions",
        )


def refuse_shared_root(cfg: DictConfig) -> None:
    """``dataset.root`` is the folder of one dataset: several would all look into the last one's."""
    sources = OmegaConf.to_container(cfg.dataset.sources, resolve=False)
    assert isinstance(sources, dict)
    shared = [
        str(name)
        for name, options in sources.items()
        if isinstance(options, dict) and options.get("root") == "${dataset.root}"
        if (options.get("source") or name) != "synthetic"
    ]
    if len(sources) > 1 and shared:
        raise ConfigError(
            f"several datasets need a folder each: {', '.join(shared)} "
            f"{'have' if len(shared) > 1 else 'has'} none",
            where=f"dataset=[{','.join(map(str, sources))}]",
            hint=" ".join(f"dataset.sources.{name}.root=FOLDER" for name in shared),
        )


def fit_processes(cfg: DictConfig) -> None:
    """Let the trainer count the processes that a launcher has started; each would be a job else.

    Args:
        cfg: the composed configuration; ``trainer.devices=auto`` becomes the number of processes
            on a node, and ``trainer.num_nodes`` that of the nodes where it was left at 1.

    Raises:
        ConfigError: when other processes were started than the trainer asks for.
    """
    own = place()
    if own.started == 1 or "trainer" not in cfg:
        return
    trainer = cfg.trainer
    if trainer.devices in ("auto", -1, "-1"):
        trainer.devices = own.here
        if trainer.num_nodes == 1:
            trainer.num_nodes = own.started // own.here
    devices = trainer.devices
    asked = len(devices) if isinstance(devices, ListConfig) else int(devices)
    if asked * trainer.num_nodes != own.started or trainer.strategy == "auto":
        raise ConfigError(
            f"{own.launcher} has started {own.started} processes, each of which would do the whole"
            " of the job, or wait for others",
            where=f"trainer.strategy={trainer.strategy} trainer.devices={devices} "
            f"trainer.num_nodes={trainer.num_nodes}",
            hint="choose trainer=ddp, whose devices are those that were started; or start one",
        )


def refuse_with_sharded_weights(cfg: DictConfig) -> None:
    """What computes with whole weights between steps has only shards of them under FSDP."""
    if not str(OmegaConf.select(cfg, "trainer.strategy._target_")).endswith("Sharded"):
        return
    precision = str(cfg.trainer.precision)
    for key, unfit in (
        ("model.optimizer.name", OmegaConf.select(cfg, "model.optimizer.name") == "sam"),
        (
            "callbacks.averaging.decay",
            OmegaConf.select(cfg, "callbacks.averaging.decay") is not None,
        ),
        ("compile", bool(cfg.get("compile"))),
        ("trainer.precision", precision not in ("32-true", "32")),
    ):
        if unfit:
            raise ConfigError(
                "sharded weights do without this option",
                where=f"trainer=fsdp {key}={OmegaConf.select(cfg, key)}",
                hint="trainer=ddp has it, or leave it out (docs/distributed.md)",
            )


def refuse_unsafe_sweep(cfg: DictConfig) -> None:
    """Several processes inside a sweep rerun the sweep or train on a part of the data."""
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        strategy, devices = str(cfg.trainer.strategy), cfg.trainer.devices
        single = str(devices) == "1" or (isinstance(devices, ListConfig) and len(devices) == 1)
        if "spawn" not in strategy and not (single and strategy == "auto"):
            raise ConfigError(
                "several processes inside a multirun train wrongly without saying so",
                where=f"trainer.strategy={strategy} trainer.devices={devices}",
                hint="use trainer=auto in a sweep, or start each DDP job as a run of its own",
            )
        launcher = HydraConfig.get().launcher
        several = [key for key in ("tasks_per_node", "nodes") if launcher.get(key, 1) > 1]
        if several:
            raise ConfigError(
                "each of a scheduler's tasks would train the whole of a job, in the same folder",
                where=" ".join(f"hydra.launcher.{key}={launcher[key]}" for key in several),
                hint="leave them at 1: a sweep's jobs are what is spread over nodes",
            )
