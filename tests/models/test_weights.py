from __future__ import annotations

import os
import pickle
import re
import socket
import time

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from fer_lab.errors import ConfigError
from fer_lab.models import BaselineCNN, ResNet50, ResNet50Transfer, TimmClassifier
from fer_lab.models.weights import imagenet_model
from tests.models.batches import batch, loader, trainer


@pytest.fixture
def trained():
    torch.manual_seed(5)
    return BaselineCNN(image_size=16)


def states_equal(one, other, *, but: str = "\0") -> bool:
    names = [name for name in one.state_dict() if but not in name]
    return all(torch.equal(one.state_dict()[n], other.state_dict()[n]) for n in names)


@pytest.mark.parametrize("prefix", ["", "model.", "backbone.", "module.model."])
def test_names_are_found_under_the_prefixes_that_programs_add(tmp_path, trained, prefix):
    state = {prefix + name: value for name, value in trained.backbone.state_dict().items()}
    torch.save(
        {"state_dict": {**state, "criterion.weight": torch.ones(3)}} if prefix else state,
        tmp_path / "w.pth",
    )
    model = BaselineCNN(image_size=16, weights=str(tmp_path / "w.pth"))
    assert states_equal(model, trained)


def test_a_safetensors_file_is_read(tmp_path, trained):
    save_file(trained.backbone.state_dict(), tmp_path / "w.safetensors")
    assert states_equal(
        BaselineCNN(image_size=16, weights=str(tmp_path / "w.safetensors")), trained
    )


def test_a_lightning_checkpoint_is_read(tmp_path, trained):
    run = trainer()
    run.fit(trained, loader(batch(4)))
    run.save_checkpoint(tmp_path / "a.ckpt")
    assert states_equal(BaselineCNN(image_size=16, weights=str(tmp_path / "a.ckpt")), trained)


@pytest.mark.parametrize("model_class", [BaselineCNN, ResNet50Transfer])
def test_rows_of_a_checkpoints_head_are_found_by_the_names_of_their_classes(
    tmp_path, model_class, caplog
):
    size = 16 if model_class is BaselineCNN else 32
    known, image = ["happy", "sad", "anger"], batch(4, size=size)["image"]
    torch.manual_seed(1)
    model = model_class(3, classes=known, image_size=size).eval()
    run = trainer()
    run.strategy.connect(model)
    run.save_checkpoint(tmp_path / "a.ckpt")
    options = {"image_size": size, "weights": str(tmp_path / "a.ckpt")}
    for wanted in (["anger", "happy", "sad"], ["sad", "anger"]):
        other = model_class(len(wanted), classes=wanted, **options).eval()
        columns = [known.index(name) for name in wanted]
        torch.testing.assert_close(other(image), model(image)[:, columns])
    with caplog.at_level("INFO"):
        other = model_class(3, classes=["happy", "sad", "fear"], **options)
    assert re.search(r", (head|fc\.logits)\S+ new|(head|fc\.logits)\.weight new", caplog.text)
    logits = other.backbone.get_submodule("head" if size == 16 else "fc.logits")
    trained_logits = model.backbone.get_submodule("head" if size == 16 else "fc.logits")
    assert not torch.equal(logits.weight, trained_logits.weight)


def test_a_head_of_another_size_is_left_out_and_said(tmp_path, trained, caplog):
    torch.save(trained.backbone.state_dict(), tmp_path / "w.pth")
    with caplog.at_level("INFO"):
        model = BaselineCNN(5, image_size=16, weights=str(tmp_path / "w.pth"))
    assert "head.weight (7, 128) is left out" in caplog.text
    assert model.backbone.head.weight.shape == (5, 128)
    assert torch.equal(model.backbone.dense.weight, trained.backbone.dense.weight)


def test_a_timm_head_of_equal_size_is_kept(tmp_path):
    source = TimmClassifier(name="resnet18", num_classes=7)
    torch.save(source.backbone.state_dict(), tmp_path / "w.pth")
    model = TimmClassifier(name="resnet18", num_classes=7, weights=str(tmp_path / "w.pth"))
    assert states_equal(model, source)


def test_weights_of_another_architecture_name_the_first_keys_that_differ(tmp_path, trained):
    torch.save(trained.backbone.state_dict(), tmp_path / "w.pth")
    with pytest.raises(ConfigError, match=r"bn1\.weight is missing") as caught:
        ResNet50(weights=str(tmp_path / "w.pth"))
    assert "conv1.bias is not in the model" in str(caught.value)
    assert "conv1.weight has shape (32, 3, 3, 3), the model's (64, 3, 7, 7)" in str(caught.value)
    with pytest.raises(ConfigError, match=r"dense\.weight has shape \(128, 512\)"):
        BaselineCNN(image_size=24, weights=str(tmp_path / "w.pth"))


def test_nothing_is_loaded_when_a_part_does_not_fit(tmp_path, trained):
    state = trained.backbone.state_dict()
    del state["conv2.bias"]
    torch.save(state, tmp_path / "w.pth")
    torch.manual_seed(0)
    with pytest.raises(ConfigError, match=r"conv2\.bias is missing"):
        BaselineCNN(image_size=16, weights=str(tmp_path / "w.pth"))


class Malice:
    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_malicious_file_is_refused_and_not_executed(tmp_path, writer):
    file, trace = tmp_path / "w.pth", tmp_path / "trace"
    content = {"conv1.weight": torch.ones(1), "evil": Malice(trace)}
    if writer == "torch":
        torch.save(content, file)
    else:
        file.write_bytes(pickle.dumps({"evil": Malice(trace)}))
    with pytest.raises(ConfigError, match="refused") as caught:
        BaselineCNN(image_size=16, weights=str(file))
    assert not trace.exists()
    # Torch's own advice on a program is to run it.
    assert "weights_only" not in str(caught.value)
    assert ("posix.system, which is not run" in str(caught.value)) is (writer == "torch")


def test_a_program_of_torchscript_is_refused(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "w.pt")
    with pytest.raises(ConfigError, match="it is a program of TorchScript"):
        BaselineCNN(image_size=16, weights=str(tmp_path / "w.pt"))


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "w.ckpt"])
@pytest.mark.parametrize("damage", ["empty", "truncated", "noise"])
def test_a_broken_file_is_refused(tmp_path, trained, name, damage):
    file = tmp_path / name
    if name.endswith("safetensors"):
        save_file(trained.backbone.state_dict(), file)
    else:
        torch.save(trained.backbone.state_dict(), file)
    whole = file.read_bytes()
    file.write_bytes(
        {"empty": b"", "truncated": whole[: len(whole) // 2], "noise": b"\x07" * 999}[damage]
    )
    with pytest.raises(ConfigError, match="refused") as caught:
        BaselineCNN(image_size=16, weights=str(file))
    assert str(file) in str(caught.value)


def test_a_missing_file_and_a_file_without_weights_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such weights file"):
        BaselineCNN(weights=str(tmp_path / "nothing.pth"))
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(ConfigError, match="no weights by name"):
        BaselineCNN(weights=str(tmp_path / "w.pth"))


def test_imagenet_offline_is_refused_at_once_with_the_alternatives(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(ConfigError, match="weights=random") as caught:
        TimmClassifier(name="resnet18", weights="imagenet")
    assert "HF_HUB_OFFLINE" in str(caught.value)
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("silent", [True, False])
def test_a_server_out_of_reach_is_given_up_in_seconds(monkeypatch, tmp_path, silent):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if not silent:
            server.close()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
        start = time.monotonic()
        with pytest.raises(ConfigError, match="cannot be had"):
            imagenet_model("resnet18", timeout=0.5, num_classes=7)
        assert time.monotonic() - start < 5


def test_cached_imagenet_weights_need_no_network(monkeypatch, tmp_path):
    source = TimmClassifier(name="resnet18", num_classes=1000)
    save_file(source.backbone.state_dict(), tmp_path / "model.safetensors")
    cached = str(tmp_path / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: cached)
    same = TimmClassifier(name="resnet18", num_classes=1000, weights="imagenet")
    assert states_equal(same, source)
    other = TimmClassifier(name="resnet18", num_classes=7, weights="imagenet")
    assert states_equal(other, source, but="fc.")
    assert other.backbone.fc.weight.shape == (7, 512)


def test_the_baseline_has_no_imagenet_weights():
    with pytest.raises(ConfigError, match="no ImageNet weights are published for BaselineCNN"):
        BaselineCNN(weights="imagenet")


def test_a_checkpoint_opens_where_its_first_weights_are_gone(tmp_path, trained):
    torch.save(trained.backbone.state_dict(), tmp_path / "w.pth")
    model = BaselineCNN(image_size=16, weights=str(tmp_path / "w.pth"))
    run = trainer()
    run.fit(model, loader(batch(4)))
    run.save_checkpoint(tmp_path / "a.ckpt")
    (tmp_path / "w.pth").unlink()
    again = BaselineCNN.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert states_equal(again, model)
