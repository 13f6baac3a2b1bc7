"""``fer-lab export``: a file that answers like the checkpoint, without this package."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer
from torch import nn

import fer_lab
from fer_lab.errors import ConfigError, DataError, FerLabError
from fer_lab.export import export
from fer_lab.models import BaselineCNN, Classifier, TimmClassifier
from fer_lab.models.exporting import differences, exported_program, with_probabilities
from tests.integration.deployed import (
    CLASSES,
    SIZE,
    composed,
    picture,
    probabilities,
    save,
    write_trained,
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A run's model, the folder it was exported to, and the photographs of the check."""
    place = tmp_path_factory.mktemp("exported")
    model = write_trained(place / "run")
    for seed in range(3):
        save(picture(seed), place / "photographs" / f"{seed}.png")
    (place / "out").mkdir()
    words = (f"checkpoint='{place / 'run'}'", f"image='{place / 'photographs'}'")
    path = export(composed("export", *words), place / "out")
    return model, path, place


# What somebody would write who has the file alone.
USE = """\
import json, sys
import numpy as np, torch
program = torch.export.load(sys.argv[1]).module()
answers = {}
for name in sys.argv[2:]:
    image = torch.from_numpy(np.load(name)).permute(0, 3, 1, 2).float() / 255
    answers[name] = program(image).tolist()
assert not [name for name in sys.modules if name.split(".")[0] in ("fer_lab", "timm")]
print(json.dumps(answers))
"""


def test_the_file_answers_alone_for_batches_of_any_size(exported, tmp_path):
    model, path, _ = exported
    names = []
    for count in (1, 2, 5):
        names.append(str(tmp_path / f"{count}.npy"))
        np.save(names[-1], np.stack([picture(10 * count + n) for n in range(count)]))
    done = subprocess.run(
        [sys.executable, "-c", USE, str(path), *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name, found in json.loads(done.stdout).items():
        right = [probabilities(model, image) for image in np.load(name)]
        assert np.array(found) == pytest.approx(np.array(right), abs=1e-5)
    assert len(found) == 5
    assert np.ptp(found, axis=0).max() > 0.1


def test_the_guide_uses_the_file(exported, tmp_path):
    model, path, _ = exported
    for name in (path.name, path.with_suffix(".json").name):
        shutil.copy(path.with_name(name), tmp_path)
    save(picture(1), tmp_path / "face.jpg", format="PNG")
    page = Path(__file__).parents[2] / "docs" / "deployment.md"
    code = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    right = probabilities(model, picture(1))
    answer, caveat = done.stdout.splitlines()
    name, share = answer.split()
    assert "audited on 600 faces" in caveat
    assert name == CLASSES[right.argmax()]
    assert float(share) == pytest.approx(right.max(), abs=1e-5)


def test_the_facts_beside_say_what_the_file_is(exported):
    model, path, place = exported
    facts = json.loads(path.with_suffix(".json").read_text())
    assert path == place / "out" / "model.pt2"
    assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts["classes"] == list(CLASSES)
    assert facts["input"]["shape"] == ["batch", 3, SIZE, SIZE]
    assert facts["output"]["shape"] == ["batch", len(CLASSES)]
    assert facts["parameters"] == sum(each.numel() for each in model.parameters())
    record = json.loads((place / "run" / "run.json").read_text())
    assert facts["training"]["fingerprint"] == record["fingerprint"]
    assert facts["training"]["versions"] == record["versions"]
    assert facts["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert facts["caveat"]["groups"] == record["groups"]
    assert facts["caveat"]["audit"]["samples"] == 600
    images = {name: part["images"] for name, part in facts["check"].items() if name != "tolerance"}
    assert images == {"random": 4, "single": 1, "faces": 7, "photographs": 3}
    assert all(
        part["largest_difference"] <= 1e-4
        for name, part in facts["check"].items()
        if name != "tolerance"
    )


INSIDE = ("model", "classes", "input", "output", "caveat", "versions", "checkpoint_sha256")


def test_the_file_itself_says_what_it_is(exported):
    _, path, place = exported
    beside = json.loads(path.with_suffix(".json").read_text())
    said = {"fer_lab.json": ""}
    torch.export.load(path, extra_files=said)
    inside = json.loads(said["fer_lab.json"])
    assert {name: inside[name] for name in INSIDE} == {name: beside[name] for name in INSIDE}
    assert inside["training"]["fingerprint"] == beside["training"]["fingerprint"]
    assert "normalisation is inside" in inside["input"]["content"]
    with zipfile.ZipFile(path) as parts:
        content = b"".join(parts.read(name) for name in parts.namelist())
    folders = (place, Path(torch.__file__).parent, Path(fer_lab.__file__).parent)
    assert not [folder for folder in folders if str(folder).encode() in content]


def test_an_export_is_the_same_bytes_whenever_it_is_made(exported, tmp_path):
    _, path, place = exported
    words = (f"checkpoint='{place / 'run'}'", f"output='{tmp_path / 'other.pt2'}'")
    again = export(composed("export", *words), tmp_path)
    assert again.read_bytes() == path.read_bytes()


def test_another_answer_is_refused_and_nothing_is_left(exported, tmp_path, monkeypatch):
    _, _, place = exported

    def nothing(path, inputs, kind):
        return {name: torch.zeros(len(images), 7) for name, images in inputs.items()}

    monkeypatch.setattr("fer_lab.models.exporting.reloaded", nothing)
    with pytest.raises(FerLabError, match="other probabilities"):
        export(composed("export", f"checkpoint='{place / 'run'}'"), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [1.1e-4, float("nan")])
def test_a_tenth_of_a_thousandth_is_a_difference(wrong):
    right = {"random": torch.full((2, 3), 1 / 3)}
    assert differences(right, {"random": right["random"] + 0.9e-4})["random"]["images"] == 2
    found = right["random"].clone()
    found[1, 2] += wrong
    with pytest.raises(FerLabError, match="other probabilities"):
        differences(right, {"random": found})


class Undecided(BaselineCNN):
    """What it computes depends on the values that it is given."""

    def forward(self, image):
        return super().forward(image) if image.mean() > 0.5 else super().forward(1 - image)


def test_a_model_that_no_graph_can_say_is_one_error(tmp_path):
    model = Undecided(num_classes=3, classes=["happy", "sad", "fear"], image_size=SIZE)
    with pytest.raises(ConfigError, match=r"torch\.export cannot export this model"):
        exported_program(with_probabilities(model), SIZE)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("format=pt2", "there is no format 'pt2'"),
        ("format=torch_exprt", "did you mean 'torch_export'"),
        ("checkpoint=null", "name the model"),
        ("checkpoint=nowhere.ckpt", "no such checkpoint"),
        ("output=model.onnx", "is no .pt2"),
        ("image=nowhere", "no such file or folder"),
        ("seed=x", "seed=x"),
    ],
)
def test_a_mistake_is_one_error(exported, tmp_path, override, said):
    _, _, place = exported
    with pytest.raises((ConfigError, DataError), match=said):
        export(composed("export", f"checkpoint='{place / 'run'}'", override), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_onnx_without_its_packages_names_the_extra(exported, tmp_path, monkeypatch):
    _, _, place = exported
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if "onnx" in name else found(name)
    )
    with pytest.raises(ConfigError, match="onnx, onnxscript, onnxruntime") as error:
        export(composed("export", f"checkpoint='{place / 'run'}'", "format=onnx"), tmp_path)
    assert "fer-lab[onnx]" in str(error.value)


def test_onnx_answers_like_the_checkpoint_and_says_what_it_is(exported, tmp_path):
    model, _, place = exported
    path = export(composed("export", f"checkpoint='{place / 'run'}'", "format=onnx"), tmp_path)
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["check"]["faces"]["largest_difference"] <= 1e-4
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inside = json.loads(session.get_modelmeta().custom_metadata_map["fer_lab"])
    assert {name: inside[name] for name in INSIDE} == {name: facts[name] for name in INSIDE}
    image = np.moveaxis(picture(1), 2, 0)[None].astype(np.float32) / 255
    (found,) = session.run(["probabilities"], {"image": image})
    assert found[0] == pytest.approx(probabilities(model, picture(1)), abs=1e-5)


def write_checkpoint(model: Classifier, path: Path) -> Path:
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", barebones=True)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    return path


@pytest.mark.slow
def test_a_network_of_many_layers_is_exported_and_checked_in_a_fresh_process(tmp_path):
    model = TimmClassifier(7, name="resnet18", classes=CLASSES, image_size=64)
    for part in model.modules():  # statistics that are no identity
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
    path = write_checkpoint(model, tmp_path / "model.ckpt")
    (tmp_path / "out").mkdir()
    out = export(composed("export", f"checkpoint='{path}'"), tmp_path / "out")
    facts = json.loads(out.with_suffix(".json").read_text())
    assert facts["check"]["random"]["largest_difference"] <= 1e-4
    assert facts["input"]["shape"] == ["batch", 3, 64, 64]
