"""The models task: what ``model=…`` can be, a user's own included."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from fer_lab.errors import ConfigError, near_miss

if TYPE_CHECKING:
    from fer_lab.models.catalogue import ModelFacts

# Of an option that no class stands behind.
_ASKED = "asked in words, at a chat server: fer-lab ask"

FORMATS = ("table", "markdown", "csv", "json")


def models(cfg: DictConfig, folder: Path) -> list[ModelFacts]:  # noqa: ARG001 - leaves nothing
    """List models: all of them, or those that are named, with their options.

    Args:
        cfg: the composed configuration of ``conf/models.yaml``.
        folder: not used.

    Returns:
        What is printed.

    Raises:
        ConfigError: for a name or a format that there is not.
    """
    from rich.console import Console

    from fer_lab.report.model_table import as_csv, as_json, as_markdown, one_model, overview

    _refuse_unknown("format", str(cfg.format), FORMATS)
    options = model_options()
    names = _names(cfg.name)
    for name in names:
        _refuse_unknown("model", name, options)
    found = [facts(name) for name in names or options]
    if cfg.format == "table":
        console = Console()
        if not names:
            console.print(overview(found))
        for each in found if names else ():
            console.print(one_model(each))
            print(option_text(each.name) or "")
    else:
        write = {"markdown": as_markdown, "csv": as_csv, "json": as_json}[str(cfg.format)]
        print(write(found), end="")
    return found


def model_options() -> list[str]:
    """The options of the group ``model``, shipped ones and those of ``hydra.searchpath``."""
    from hydra.core.global_hydra import GlobalHydra

    loader = GlobalHydra.instance().config_loader()
    return loader.get_group_options("model", config_name=None, overrides=_search_path())


def option_text(name: str) -> str | None:
    """An option's file as it is, with its comments; None where it is nowhere to be read."""
    from hydra.core.hydra_config import HydraConfig

    for source in HydraConfig.get().runtime.config_sources if HydraConfig.initialized() else ():
        if source.schema == "file":
            file: Any = Path(source.path)
        elif source.schema == "pkg":
            module, *below = str(source.path).split("/")
            file = files(module).joinpath(*below)
        else:
            continue
        file = file.joinpath("model", f"{name}.yaml")
        if file.is_file():
            return str(file.read_text(encoding="utf-8"))
    return None


def facts(name: str) -> ModelFacts:
    """What there is to know of an option; what is wrong with it stands in its ``note``."""
    from hydra.errors import HydraException
    from hydra.utils import get_class
    from omegaconf.errors import OmegaConfBaseException

    from fer_lab.models.catalogue import ModelFacts, facts_of

    try:
        model, recipe = _composed(name)
    except (HydraException, OmegaConfBaseException) as error:  # a file of the user's own
        return ModelFacts(name, "", note=f"cannot be composed: {_first_line(error)}")
    if model.get("asked"):
        size = recipe.get("image_size")
        return ModelFacts(name, "", image_size=size, note=_ASKED)
    target = str(model.get("_target_", ""))
    try:
        model_class = get_class(target)
        with _quiet():
            found = facts_of(name, model_class, model, recipe)
    except Exception as error:  # a class of the user's own may fail in any way
        return ModelFacts(name, target, note=f"cannot be built: {_first_line(error)}")
    if found.lrp is None and found.parameters:
        found = replace(found, lrp=_conserves(model_class, model, found))
    return found


def _composed(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the option writes to ``model`` and ``recipe``."""
    from hydra import compose
    from omegaconf.errors import InterpolationResolutionError

    words = [*_search_path(), f"model={name}"]
    try:
        return _parts(compose(None, [*words[:-1], f"+{words[-1]}"]))
    except InterpolationResolutionError:  # of something that only a training has
        return _parts(compose("train", words))


def _parts(composed: DictConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    found = []
    for key in ("model", "recipe"):
        part = OmegaConf.to_container(composed.get(key) or OmegaConf.create(), resolve=True)
        assert isinstance(part, dict)
        found.append({str(name): value for name, value in part.items()})
    return found[0], found[1]


def _search_path() -> list[str]:
    """The folders of options that this process was given, as an override."""
    from hydra.core.hydra_config import HydraConfig

    places = HydraConfig.get().searchpath if HydraConfig.initialized() else []
    quoted = ",".join("'" + str(place).replace("'", "\\'") + "'" for place in places)
    return [f"hydra.searchpath=[{quoted}]"] if places else []


def _conserves(model_class: type, options: Mapping[str, Any], found: ModelFacts) -> bool:
    """The question that ``explain=lrp`` asks before a training, put to random weights."""
    import torch

    from fer_lab.explain.attribution import check
    from fer_lab.models.catalogue import built

    size = found.image_size or 224
    try:
        with torch.random.fork_rng(devices=[]), _quiet():
            torch.manual_seed(0)
            model = built(model_class, {**options, "image_size": size}, device="cpu")
            check(model.eval(), "lrp", image_size=size)
    except Exception:  # whatever stops it here would stop it there
        return False
    return True


def _names(given: Any) -> list[str]:
    if given is None:
        return []
    return [str(each) for each in given] if isinstance(given, ListConfig) else [str(given)]


def _refuse_unknown(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        near = near_miss(name, known)
        raise ConfigError(
            f"there is no {what} {name!r}" + (f"; did you mean {near!r}?" if near else ""),
            where="name" if what == "model" else what,
            hint=f"choose one of: {', '.join(known)}",
        )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Weights that are never drawn are worth no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
