"""``fer-lab TASK [overrides]``: starts a task, explains itself, and turns mistakes into messages.

Nothing heavy is imported here: help and mistakes answer before torch is touched.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fer_lab.confidential import refuse_secrets, without_secrets
from fer_lab.errors import ConfigError, FerLabError, near_miss, user_mistake
from fer_lab.places import storage_mistake
from fer_lab.processes import is_first, unwritten
from fer_lab.sweeping.words import names_a_sweep, quoted, run_again, sweep_again
from fer_lab.tasks import TASKS, Task
from fer_lab.trust import MULTIRUN

if TYPE_CHECKING:
    from fer_lab.sweeping.folder import Sweep

# Hydra's own words that take the next one with them.
_TAKE_A_WORD = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn"}
_TAKE_A_WORD |= {"--config-dir", "-cd", "--info", "-i"}

# Options of optimizers and schedules that no model's YAML needs to list; whoever makes them checks
# what stands in braces.
_OPEN = re.compile(
    r"model\.optimizer(=\{|\.(layer_decay|decay_norms|base|rho|momentum|nesterov|betas|eps)=)"
    r"|model\.scheduler(=\{|\.(warmup|initial|final|at|factor|patience|monitor|mode|min_lr)=)"
)

_USAGE = """\
fer-lab: fair and explainable facial-expression recognition

usage: fer-lab TASK [name=value ...]

tasks:
{tasks}

  fer-lab TASK --help    the options of a task
  fer-lab --version      the version
"""

_TASK_HELP = """\
fer-lab {task}: {summary}

usage: fer-lab {task}{things} [name=value ...] [--multirun]

{groups}set often:
{often}

more:
{more}\
  --cfg job [--resolve]           print the composed configuration and stop
  hydra.searchpath=[file://DIR]   options of your own, in a folder of yours
"""

_CHOOSE = """\
choose (several values, separated by commas, make a sweep with --multirun):
{groups}

"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what stands behind ``fer-lab``; by default the process's own.

    Returns:
        The exit code: 0, 1 after a mistake or failure, 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("--help", "-h", "help"):
        tasks = "\n".join(f"  {name:<10}{known.summary}" for name, known in TASKS.items())
        print(_USAGE.format(tasks=tasks), end="")
        return 0
    if words[0] == "--version":
        from fer_lab import __version__

        print(f"fer-lab {__version__}")
        return 0
    task, overrides = words[0], words[1:]
    try:
        if task not in TASKS:
            raise _unknown_task(task)
        if "--help" in overrides or "-h" in overrides:
            print(_task_help(task), end="")
            return 0
        return _run(task, _as_overrides(TASKS[task], overrides))
    except KeyboardInterrupt:
        return 130
    except FerLabError as error:
        # A configuration that cannot work is the same in all processes of a job.
        if is_first() or not isinstance(error, ConfigError):
            print(f"\nerror: {without_secrets(str(error))}", file=sys.stderr)
        return 1


def _as_overrides(task: Task, words: Sequence[str]) -> list[str]:
    """Words of the command line as Hydra's: flags by their meaning, plain things gathered."""
    overrides: list[str] = []
    things: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        plain = "=" not in word and not word.startswith(("-", "~"))
        if task.things and plain and before not in _TAKE_A_WORD:
            things.append(word)
        else:
            word = task.flags.get(word, word)
            overrides.append(f"++{word}" if _OPEN.match(word) else word)
    if things:
        overrides.append(f"{task.things}=[{','.join(map(quoted, things))}]")
    # Hydra's parser takes overrides in one piece alone, not on both sides of a flag.
    return sorted(overrides, key=lambda word: word not in MULTIRUN)


def _unknown_task(task: str) -> ConfigError:
    near = near_miss(task, list(TASKS))
    return ConfigError(
        f"there is no task {task!r}",
        hint=f"did you mean {near!r}?" if near else f"choose one of: {', '.join(TASKS)}",
    )


def _task_help(task: str) -> str:
    lines = [
        textwrap.fill(
            " | ".join(options),
            width=80,
            initial_indent=f"  {group + '=':<13}",
            subsequent_indent=" " * 15,
        )
        for group, options in _task_groups(task).items()
    ]
    things = TASKS[task].things
    return _TASK_HELP.format(
        task=task,
        things=f" {things.upper()}" if things else "",
        summary=TASKS[task].summary,
        groups=_CHOOSE.format(groups="\n".join(lines)) if lines else "",
        often=TASKS[task].often,
        more=TASKS[task].more,
    )


def _task_groups(task: str) -> dict[str, list[str]]:
    """The options of the groups that a task is composed of."""
    from omegaconf import OmegaConf

    from fer_lab.configuration import config_directory, group_options

    defaults = OmegaConf.to_container(OmegaConf.load(config_directory() / f"{task}.yaml").defaults)
    assert isinstance(defaults, list)
    composed = {str(name) for entry in defaults if isinstance(entry, dict) for name in entry}
    return {name: options for name, options in group_options().items() if name in composed}


def _run(task: str, overrides: list[str]) -> int:
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from fer_lab.configuration import config_directory, register_resolvers, unresolved

    refuse_secrets(overrides)
    if {*MULTIRUN} & {*overrides} and {"--cfg", "-c"} & {*overrides}:
        raise ConfigError("--cfg prints the configuration of one run", hint="leave --multirun out")
    register_resolvers()
    directory = config_directory()
    continued = False
    # Processes of one job are started with what Hydra was shown, resumed already.
    if any(word.startswith("resume=") for word in overrides) and "--config-path" not in overrides:
        continued = names_a_sweep(overrides)
        overrides = sweep_again(task, overrides) if continued else run_again(overrides)
    try:
        with _hydra_arguments(task, [*overrides, *unwritten()]) as arguments:
            return _compose_and_run(task, directory, arguments, continued=continued)
    except HydraException as error:
        raise user_mistake(error) or _explained(error, task) from error
    except OmegaConfBaseException as error:
        raise storage_mistake(error) or unresolved(error) from error
    except OSError as error:
        known = user_mistake(error) or storage_mistake(error)
        if known is None:
            raise
        raise known from error


def _compose_and_run(
    task: str, directory: Path, arguments: Sequence[str], *, continued: bool
) -> int:
    """Have Hydra compose ``TASK.yaml`` and call the task's function, once a job.

    Args:
        task: name of the task and of its function.
        directory: the folder of ``TASK.yaml``.
        arguments: what further processes of the same job are started with.
        continued: whether the jobs are those of an earlier sweep.

    Returns:
        The exit code.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from fer_lab.sweeping.folder import Refused, Sweep, watched
    from fer_lab.sweeping.job import Job

    sweep = Sweep(task, list(arguments[2:]), continued)
    module = f"fer_lab.{TASKS[task].module or task}"
    job = Job(module, task, list(arguments), os.environ["FER_LAB_COMMAND"], sweep)
    with watched(sweep):
        try:
            hydra.main(version_base="1.3", config_path=str(directory), config_name=task)(job)()
        except Refused as refused:
            raise refused.mistake from refused
        except (FerLabError, HydraException, OmegaConfBaseException, OSError):
            raise
        except Exception as error:
            if sweep.folder is None:
                raise
            # A process of a launcher died: its own words are all there is to know.
            first = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
            raise FerLabError(f"the sweep broke off: {first}", where=sweep.folder) from error
        finally:
            code = _end_of(sweep)
    if job.mistake is not None:
        raise job.mistake
    return code


def _end_of(sweep: Sweep) -> int:
    """How a sweep ended, said; the exit code. Of a single run there is nothing to add."""
    if sweep.folder is None:
        return 0
    from fer_lab.sweeping.summary import end_sweep

    return end_sweep(sweep)


@contextlib.contextmanager
def _hydra_arguments(task: str, overrides: Sequence[str]) -> Iterator[list[str]]:
    """Show Hydra the overrides alone, and let its errors through for us to word.

    Yields:
        The command line of this process with its task, which further processes of the job are
        started with.
    """
    before, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [before[0], *overrides]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    os.environ.setdefault("FER_LAB_COMMAND", " ".join([Path(before[0]).name, *before[1:]]))
    try:
        yield [before[0], task, *overrides]
    finally:
        sys.argv = before
        if full_error is None:
            del os.environ["HYDRA_FULL_ERROR"]


def _explained(error: Exception, task: str) -> ConfigError:
    """Hydra's own words, with the option or key that was probably meant."""
    from fer_lab.sweeping.plugins import missing_extra

    text = str(error).strip()
    if error.__cause__ is not None and str(error.__cause__).strip() not in text:
        text += f"\n{str(error.__cause__).strip().splitlines()[0]}"
    if (missing := missing_extra(text)) is not None:
        return ConfigError(text.splitlines()[0], hint=missing)
    return ConfigError(text, hint=_meant(text, task))


def _meant(message: str, task: str) -> str:
    listing = f"`fer-lab {task} --help` lists what can be set"
    groups = _task_groups(task)
    option = re.search(r"Could not find '([\w/@-]+)/([^'/]+)'", message)
    if option and option[1] in groups:
        near = near_miss(option[2], groups[option[1]])
        return f"did you mean {option[1]}={near}?" if near else listing
    key = re.search(r"Could not override '([\w./@-]+)'", message)
    if key:
        known = [*groups, *_known_keys(task)]
        if key[1] in known:
            return f"{key[1]} belongs to another option of {key[1].split('.')[0]}; {listing}"
        near = near_miss(key[1], known)
        return f"did you mean {near}?" if near else listing
    return listing


def _known_keys(task: str) -> list[str]:
    """Every key of the default configuration, dotted."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import DictConfig

    from fer_lab.configuration import config_directory

    def dotted(node: DictConfig, prefix: str) -> Iterator[str]:
        for key in map(str, node):
            yield f"{prefix}{key}"
            value = node._get_node(key)
            if isinstance(value, DictConfig) and not value._is_none():
                yield from dotted(value, f"{prefix}{key}.")

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return list(dotted(compose(task), ""))


if __name__ == "__main__":
    sys.exit(main())
