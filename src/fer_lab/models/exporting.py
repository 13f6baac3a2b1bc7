"""A model as a file of tensor operations, and what a fresh process answers with that file."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from fer_lab.errors import ConfigError, FerLabError

SUFFIXES = {"torch_export": ".pt2", "onnx": ".onnx"}

# Where a file says what it is.
INSIDE = "fer_lab.json"
ONNX_ENTRY = "fer_lab"

# Largest difference of a probability that is no difference.
TOLERANCE = 1e-4

# What a fresh process runs: nothing of this package, so that nothing of it can be needed.
_RELOAD = {
    "torch_export": """\
import sys, torch
program = torch.export.load(sys.argv[1]).module()
inputs = torch.load(sys.argv[2], weights_only=True)
torch.save({name: program(image).detach() for name, image in inputs.items()}, sys.argv[3])
""",
    "onnx": """\
import sys, onnxruntime, torch
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
(name,) = [each.name for each in session.get_inputs()]
inputs = torch.load(sys.argv[2], weights_only=True)
outputs = {key: session.run(None, {name: image.numpy()})[0] for key, image in inputs.items()}
torch.save({key: torch.from_numpy(value) for key, value in outputs.items()}, sys.argv[3])
""",
}


def with_probabilities(model: nn.Module) -> nn.Module:
    """A model with a softmax behind it, in evaluation mode; normalisation is the model's own."""
    return nn.Sequential(model, nn.Softmax(dim=1)).eval().requires_grad_(requires_grad=False)


def exported_program(model: nn.Module, image_size: int) -> ExportedProgram:
    """A module as a graph of tensor operations, for batches of any size.

    Args:
        model: takes float32 ``[B, 3, image_size, image_size]``.
        image_size: height and width in pixels.

    Raises:
        ConfigError: when the model does what no such graph can say.
    """
    # A batch of one would be taken for a constant. The example is kept in the file.
    example = torch.full((2, 3, image_size, image_size), 0.5)
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    try:
        with torch.no_grad():
            program = torch.export.export(model, (example,), dynamic_shapes=shapes)
    except Exception as error:  # of as many kinds as there are things that a graph cannot say
        first = next(iter(str(error).strip().splitlines()), "")
        raise ConfigError(
            f"torch.export cannot export this model: {type(error).__name__}: {first}",
            where="format",
            hint="use the checkpoint itself: fer_lab.load_run(FOLDER).model()",
        ) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # folders of this machine, which a file is not to tell
    return program


def save_program(program: ExportedProgram, path: Path, kind: str, facts: Mapping[str, Any]) -> None:
    """Write a graph as one file; the same graph and facts give the same bytes.

    Args:
        program: the graph.
        path: the file.
        kind: one of :data:`SUFFIXES`; ``onnx`` needs packages of its own.
        facts: what the file says of itself, as JSON: in :data:`INSIDE` of a ``.pt2`` file, in the
            entry :data:`ONNX_ENTRY` of an ``.onnx`` file's metadata.
    """
    said = json.dumps(facts, allow_nan=False, ensure_ascii=False)
    if kind == "torch_export":
        with path.open("wb") as file:  # of a path the name would be in every entry
            torch.export.save(program, file, extra_files={INSIDE: said})
        return
    converted = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        input_names=["image"],
        output_names=["probabilities"],
    )
    assert converted is not None
    converted.model.metadata_props[ONNX_ENTRY] = said
    converted.save(path, external_data=False)


def reloaded(path: Path, inputs: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """What a fresh process that knows nothing of this package answers with a file.

    Args:
        path: the file, of :func:`save_program`.
        inputs: float32 ``[B, 3, S, S]`` by name.
        kind: one of :data:`SUFFIXES`.

    Returns:
        The probabilities ``[B, C]`` by name.

    Raises:
        FerLabError: when it cannot load or run the file.
    """
    with tempfile.TemporaryDirectory() as place:
        asked, answered = Path(place) / "inputs.pt", Path(place) / "outputs.pt"
        torch.save(dict(inputs), asked)
        done = subprocess.run(
            [sys.executable, "-c", _RELOAD[kind], str(path.absolute()), asked, answered],
            capture_output=True,
            text=True,
            check=False,
            cwd=place,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise FerLabError(
                f"a fresh process cannot run the exported file: {last}", where=f"format={kind}"
            )
        answers: dict[str, Tensor] = torch.load(answered, weights_only=True)
        return answers


def differences(
    expected: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> dict[str, dict[str, float]]:
    """How many images of each name were compared, and the largest difference in a probability.

    Raises:
        FerLabError: when one is above :data:`TOLERANCE`.
    """
    facts = {}
    for name, right in expected.items():
        largest = float((found[name] - right).abs().max())
        if not largest <= TOLERANCE:  # NaN too
            raise FerLabError(
                f"the exported file gives other probabilities than the checkpoint: {largest:.2g} "
                f"apart on {name} inputs",
                where=f"tolerance {TOLERANCE:g}",
                hint="nothing was written; the checkpoint itself is as it was",
            )
        facts[name] = {"images": len(right), "largest_difference": largest}
    return facts
