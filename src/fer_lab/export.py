"""The export task: a trained model as a file that runs without this package, checked anew."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from fer_lab.configuration import refuse_what_is_no_number
from fer_lab.errors import ConfigError, DataError, near_miss
from fer_lab.places import refuse_unwritable_file
from fer_lab.predict import Trained, given_photographs, load_trained

if TYPE_CHECKING:
    from torch import Tensor

FORMATS = ("torch_export", "onnx")

# What exporting to ONNX and running the result need, all of the extra `onnx`.
_ONNX = ("onnx", "onnxscript", "onnxruntime")
_PACKAGES = ("fer-lab", "torch", "timm", "onnx", "onnxscript", "onnxruntime")

# Numbers of images to check with.
_DRAWN, _RANDOM, _PHOTOGRAPHS = 7, 4, 64


def export(cfg: DictConfig, folder: Path) -> Path:
    """Export as configured; the file and a ``.json`` beside it are left behind.

    The file takes ``image``, float32 ``[B, 3, S, S]``, RGB in [0, 1], of any ``B``, and gives
    probabilities ``[B, C]``. It is written only when a fresh process that knows nothing of this
    package has found the same probabilities with it as the checkpoint gives, within 1e-4.

    Args:
        cfg: the composed configuration of ``conf/export.yaml``.
        folder: where the files go, unless ``output`` says otherwise.

    Returns:
        The file.

    Raises:
        ConfigError: for an option that cannot work, packages that are missing, or a model that
            cannot be exported.
        DataError: for a checkpoint or photographs that cannot be read.
        FerLabError: when the file gives other probabilities than the checkpoint.
    """
    refuse_what_is_no_number(cfg)
    kind = _format(str(cfg.format))
    if cfg.checkpoint is None:
        raise ConfigError(
            "name the model to export",
            where="checkpoint=null",
            hint="fer-lab export checkpoint=FILE; a run's folder, or last",
        )
    import torch

    from fer_lab.files import atomic_path, write_json
    from fer_lab.models.exporting import (
        SUFFIXES,
        differences,
        exported_program,
        reloaded,
        save_program,
        with_probabilities,
    )

    suffix = SUFFIXES[kind]
    output = Path(str(cfg.output)).expanduser() if cfg.output else folder / f"model{suffix}"
    if output.suffix != suffix:
        raise ConfigError(f"{output.name} is no {suffix}", where=f"output={cfg.output}")
    refuse_unwritable_file(output.with_suffix(".json"), "output")
    refuse_unwritable_file(output, "output")
    trained = load_trained(str(cfg.checkpoint))
    inputs = check_inputs(trained, cfg.seed)
    if cfg.image is not None:
        inputs["photographs"] = _photographs(given_photographs(cfg), trained.image_size)
    wrapped = with_probabilities(trained.model)
    with torch.inference_mode():
        expected = {name: wrapped(image) for name, image in inputs.items()}
    program = exported_program(wrapped, trained.image_size)
    with atomic_path(output) as temporary:
        said = _said_inside(trained)
        save_program(program, temporary, kind, said)
        check = differences(expected, reloaded(temporary, inputs, kind))
    facts = said | _facts(trained, output, kind, check)
    write_json(output.with_suffix(".json"), facts)
    _say(output, facts)
    return output


def check_inputs(trained: Trained, seed: int) -> dict[str, Tensor]:
    """Images to compare answers on: noise, one alone, and drawn faces.

    Args:
        trained: the model that they are for.
        seed: of the noise.

    Returns:
        By name, float32 ``[B, 3, S, S]`` in [0, 1]; no two have the same ``B``.
    """
    import numpy as np
    import torch

    from fer_lab.data import read
    from fer_lab.data.assets import assets

    size = trained.image_size
    noise = torch.rand(
        _RANDOM, 3, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float32
    )
    faces = read("synthetic", None, train=_DRAWN, val=0, test=0)
    reader = assets(faces).readers["synthetic"]
    drawn = np.stack([reader.read(path, size).image for path in faces["path"]])
    return {"random": noise, "single": noise[:1].clone(), "faces": _floats(drawn)}


def _format(kind: str) -> str:
    """A format that can be written here."""
    if kind not in FORMATS:
        near = near_miss(kind, FORMATS)
        raise ConfigError(
            f"there is no format {kind!r}" + (f"; did you mean {near!r}?" if near else ""),
            where="format",
            hint=f"choose one of: {', '.join(FORMATS)}",
        )
    missing = [name for name in _ONNX if importlib.util.find_spec(name) is None]
    if kind == "onnx" and missing:
        raise ConfigError(
            f"format=onnx needs packages that are not installed: {', '.join(missing)}",
            where="format=onnx",
            hint="pip install 'fer-lab[onnx]', or make setup EXTRAS=dev,onnx; format=torch_export "
            "needs none of them",
        )
    return kind


def _photographs(given: list[str], size: int) -> Tensor:
    """The first of somebody's photographs that can be used."""
    import numpy as np

    from fer_lab.data.photographs import find_photographs, read_batches

    frame = find_photographs(given).frame.head(_PHOTOGRAPHS)
    images = np.concatenate([part.image for part in read_batches(frame, size, _PHOTOGRAPHS)])
    if not len(images):
        raise DataError(
            "no photograph to check with can be used",
            where=", ".join(given),
            hint="fer-lab predict lists why; or leave image out",
        )
    return _floats(images)


def _floats(images: Any) -> Tensor:
    """Bytes ``[B, S, S, 3]`` as a program takes them."""
    import torch

    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float().div_(255)


def _said_inside(trained: Trained) -> dict[str, Any]:
    """What a user of the file has to know: in the file, so that it cannot be lost."""
    from fer_lab.files import file_digest
    from fer_lab.record import versions
    from fer_lab.report.caveat import group_caveat, training_facts

    size, model = trained.image_size, trained.model
    training = training_facts(trained.run)
    if training is not None:
        del training["path"]  # a folder of this machine
    return {
        "model": type(model).__name__,
        "parameters": sum(each.numel() for each in model.parameters()),
        "classes": trained.classes,
        "input": {
            "dtype": "float32",
            "shape": ["batch", 3, size, size],
            "content": "RGB, values in [0, 1] (bytes over 255), rows from the top; the whole "
            "image brought to a square, areas averaged where it shrinks; normalisation is inside",
        },
        "output": {
            "dtype": "float32",
            "shape": ["batch", len(trained.classes)],
            "content": "probabilities in the order of the classes; each row adds up to 1",
        },
        "versions": {"python": sys.version.split()[0], **versions(_PACKAGES)},
        "checkpoint_sha256": file_digest(trained.path),
        "training": training,
        "caveat": group_caveat(trained.run, trained.path),
    }


def _facts(trained: Trained, output: Path, kind: str, check: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of the file once it is there."""
    from fer_lab.files import file_digest
    from fer_lab.models.exporting import TOLERANCE
    from fer_lab.record import command_line
    from fer_lab.report.caveat import training_facts

    return {
        "file": output.name,
        "format": kind,
        "sha256": file_digest(output),
        "bytes": output.stat().st_size,
        "check": {"tolerance": TOLERANCE, **check},
        "checkpoint": str(trained.path.absolute()),
        "training": training_facts(trained.run),
        "command": command_line(),
    }


def _say(output: Path, facts: Mapping[str, Any]) -> None:
    from rich.console import Console

    parts = [name for name in facts["check"] if name != "tolerance"]
    images = sum(facts["check"][name]["images"] for name in parts)
    largest = max(facts["check"][name]["largest_difference"] for name in parts)
    size = facts["input"]["shape"][-1]
    lines = [
        f"{facts['model']}: RGB [0, 1], [batch, 3, {size}, {size}] to {len(facts['classes'])} "
        f"probabilities, {facts['bytes'] / 1e6:.1f} MB",
        f"checked in a fresh process on {images} images: {largest:.1g} apart at most",
        f"caveat: {facts['caveat']['line']}",
        f"written: {output}, {output.with_suffix('.json')}",
    ]
    Console().print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)
