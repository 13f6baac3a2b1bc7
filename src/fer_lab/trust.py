"""What files from elsewhere may name: a run's folder, a checkpoint or a sweep may be anybody's.

Their configuration says which classes are made, and Hydra would make and call anything. Classes of
this package and of PyTorch Lightning's kinds are made; others only where ``FER_LAB_TRUST`` lists
their package, or the folder that the file lies in.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from fer_lab.confidential import is_secret_variable, leaves
from fer_lab.errors import ConfigError, DataError

TRUST: Final = "FER_LAB_TRUST"
_TARGET: Final = "_target_"

# Where stored configurations may name classes in: our own, and what trainings are put together of.
_MODULES: Final = ("fer_lab", "pytorch_lightning", "lightning_fabric", "torch.nn", "torch.optim")
# What such a class is made of; torch's modules and optimizers besides.
_KINDS: Final = {
    "pytorch_lightning": ("LightningModule", "LightningDataModule", "Callback", "Trainer"),
    "pytorch_lightning.strategies": ("Strategy",),
    "pytorch_lightning.plugins": ("Precision",),
    "pytorch_lightning.profilers": ("Profiler",),
    "torch.nn": ("Module",),
    "torch.optim": ("Optimizer",),
}
# Functions that configurations of this package call; `oc.env` is looked at by its variable.
_RESOLVERS: Final = {
    *("hydra", "now", "oc.select", "oc.dict.keys", "oc.dict.values", "oc.decode"),
    *("run_name", "planted", "directions", "join", "sweep_over"),
}
# What a stored sweep may set of Hydra's own settings: nothing that names code or a shell's words.
_OF_HYDRA: Final = {
    *("sweep.dir", "sweep.subdir", "run.dir", "verbose", "job.name", "output_subdir", "mode"),
    *(f"sweeper.{name}" for name in ("n_trials", "n_jobs", "study_name", "direction")),
    *("sweeper.max_batch_size", "sweeper.max_failure_rate", "sweeper.sampler.seed"),
    *(f"launcher.{name}" for name in ("n_jobs", "batch_size", "pre_dispatch", "verbose", "name")),
    *(f"launcher.{name}" for name in ("timeout_min", "nodes", "tasks_per_node", "cpus_per_task")),
    *(f"launcher.{name}" for name in ("gpus_per_node", "gpus_per_task", "mem_gb", "mem_per_cpu")),
    *(f"launcher.{name}" for name in ("partition", "qos", "account", "constraint", "comment")),
    *(f"launcher.{name}" for name in ("array_parallelism", "max_num_timeout", "signal_delay_s")),
    *("launcher.submitit_folder", "launcher.ray.init.num_cpus", "launcher.ray.init.num_gpus"),
}
_VARIED: Final = "sweeper.params."
_KEY_SENT: Final = "server.key_variable"
_SERVER: Final = "server.base_url="
# Hydra's flag that makes a sweep.
MULTIRUN: Final = ("--multirun", "-m")


def trusted_class(target: str, where: object, hint: str = "") -> Any:
    """What a dotted name in a file stands for, if its package is trusted; else nothing is imported.

    Args:
        target: the name, such as ``fer_lab.models.ResNet50``.
        where: the file, for the message.
        hint: what more to say of a name that nothing has.

    Raises:
        DataError: when the package is neither this one, nor in use already, nor trusted, or there
            is nothing of that name in it.
    """
    module, _, name = target.rpartition(".")
    package = module.partition(".")[0]
    known = package in ("fer_lab", "pytorch_lightning") or module in sys.modules
    # One that is not there is told as such; looking for it runs nothing.
    there = bool(package) and find_spec(package) is not None
    if there and not (known or _is_trusted(package, where)):
        raise DataError(
            f"{target} is of another package, whose code would be run",
            where=where,
            hint=f"if you trust it: {TRUST}={package} in the environment (docs/security.md)",
        )
    try:
        return getattr(import_module(module), name)
    except Exception as error:  # of a name or of the module
        raise DataError(
            f"{target} cannot be imported: {error}",
            where=where,
            hint=f"start where it can be imported{f'; {hint}' if hint else ''}",
        ) from error


def refuse_foreign_settings(path: Path, words: Sequence[str] = ()) -> None:
    """Look at a stored configuration before a run goes on with it.

    Args:
        path: of the YAML file.
        words: overrides that stand beside it.

    Raises:
        DataError: when it is damaged.
        ConfigError: when it would have anything made or called that is not of this package, of the
            kinds that trainings are put together of, or trusted; or send a key to a server that
            nobody has named here.
    """
    content = _read(path)
    if _is_trusted(None, path):
        return
    for key in ("hydra", "defaults"):
        if key in content:
            raise _foreign(path, f"it sets {key}, which no run's configuration has")
    named = any(word.lstrip("+").startswith(_SERVER) for word in words)
    for name, value in leaves(content):
        if name.rpartition(".")[2] == _TARGET:
            _refuse_target(value, path)
        if isinstance(value, str) and (called := next(foreign_calls(value), None)):
            raise _foreign(path, f"{name} would call {called}")
        if name == _KEY_SENT and value is not None and not named:
            raise ConfigError(
                f"the stored configuration would send the key in {value} to a server of its choice",
                where=path,
                hint=f"say which server that is: resume=… {_SERVER}URL (docs/security.md)",
            )


def refuse_foreign_words(words: Sequence[str], path: Path) -> None:
    """Look at the overrides that a sweep was begun with before it goes on with them.

    Args:
        words: as they are stored.
        path: of the file that they are from.

    Raises:
        ConfigError: when one sets what could run other code: a folder of options, a class, the
            commands of a scheduler; or sends a key to a server.
    """
    if _is_trusted(None, path):
        return
    for word in words:
        key, assigned, value = str(word).lstrip("+~").partition("=")
        foreign = next(foreign_calls(value), None)
        if (
            (not (assigned or str(word).startswith("~")) and word not in MULTIRUN)
            or (str(word).startswith("-") and word not in MULTIRUN)
            or (key.startswith("hydra.") and not _harmless(key.removeprefix("hydra.")))
            or (key == _KEY_SENT and value != "null")
            or _TARGET in str(word)
            or foreign
        ):
            raise _foreign(path, f"its word {word}")


def defused(content: Any) -> Any:
    """Plain containers of a stored configuration in which nothing foreign is called.

    Interpolations of values stay; what would call anything that this package's configurations do
    not call, or read a key in the environment, becomes plain text.
    """
    if isinstance(content, str):
        return content.replace("${", "\\${") if any(foreign_calls(content)) else content
    if isinstance(content, Mapping):
        return {name: defused(value) for name, value in content.items()}
    if isinstance(content, list):
        return [defused(value) for value in content]
    return content


def foreign_calls(text: str) -> Iterator[str]:
    """What a text would have OmegaConf call that configurations of this package do not.

    >>> list(foreign_calls("${dataset.root}/${now:%H} and ${oc.env:HOME}"))
    []
    >>> list(foreign_calls("${oc.env:WANDB_API_KEY}"))
    ['oc.env:WANDB_API_KEY']
    """
    if "${" not in text:
        return
    from omegaconf.errors import GrammarParseError
    from omegaconf.grammar_parser import parse

    try:
        waiting: list[Any] = [parse(text)]
    except GrammarParseError:
        yield text
        return
    while waiting:
        node = waiting.pop()
        waiting += node.getChildren() if hasattr(node, "getChildren") else []
        if type(node).__name__ != "InterpolationResolverContext":
            continue
        name = node.resolverName().getText()
        given = node.sequence().getText() if node.sequence() else ""
        variable = given.partition(",")[0].strip("'\" ")
        plain = name == "oc.env" and "${" not in variable and not is_secret_variable(variable)
        if name not in _RESOLVERS and not plain:
            yield f"{name}:{given}"


def _refuse_target(target: object, path: Path) -> None:
    """A class that a stored configuration names, unless it is one that trainings are made of."""
    module = str(target).rpartition(".")[0]
    if _is_trusted(module.partition(".")[0], path):
        return
    if not any(module == known or module.startswith(f"{known}.") for known in _MODULES):
        package = module.partition(".")[0] or "PACKAGE"
        raise _foreign(path, f"it names {target}, whose code would be run", package)
    found = trusted_class(str(target), path)
    kinds = [getattr(import_module(home), kind) for home, ks in _KINDS.items() for kind in ks]
    home = getattr(found, "__module__", "")
    own = any(home == known or home.startswith(f"{known}.") for known in _MODULES)
    if not (isinstance(found, type) and own and issubclass(found, tuple(kinds))):
        raise _foreign(path, f"{target} is nothing that a training is put together of")


def _is_trusted(package: str | None, where: object) -> bool:
    """Whether the user has said so, of a package or of a folder that a file lies in."""
    entries = [entry.strip() for entry in os.environ.get(TRUST, "").split(",") if entry.strip()]
    folders = [Path(entry).expanduser().resolve() for entry in entries if os.sep in entry]
    if isinstance(where, Path) and {*folders} & {*where.resolve().parents}:
        return True
    return package is not None and package in entries


def _harmless(key: str) -> bool:
    """Whether one of Hydra's own settings names neither code nor commands."""
    if key.startswith(_VARIED):
        return not key.removeprefix(_VARIED).lstrip("+").startswith("hydra")
    return key in _OF_HYDRA


def _foreign(path: Path, why: str, package: str | None = None) -> ConfigError:
    """The error for what a file of unknown origin would do."""
    named = f"{TRUST}={package}, or " if package else ""
    folder = path.parent.parent if path.parent.name == ".hydra" else path.parent
    return ConfigError(
        f"the stored configuration does more than set values: {why}",
        where=path,
        hint=f"if it is yours, or you trust whom it is from: {named}{TRUST}={folder} in the "
        "environment (docs/security.md)",
    )


def _read(path: Path) -> dict[Any, Any]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(
            f"the stored configuration cannot be read: {str(error).splitlines()[0]}", where=path
        ) from error
    if not isinstance(content, dict):
        raise DataError("the stored configuration is no mapping", where=path)
    if any("@package" in line for line in text.splitlines() if line.strip().startswith("#")):
        raise _foreign(path, "it says which part of Hydra it is")
    return content
