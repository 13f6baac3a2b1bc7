"""Files of POSTER: its authors' and our own are loaded, others refused with what differs."""

from __future__ import annotations

import pytest
import torch

from fer_lab.errors import ConfigError
from fer_lab.models.checkpoints import load_checkpoint
from fer_lab.models.poster import POSTER
from fer_lab.models.poster.ir50 import IR50
from fer_lab.models.poster.mobilefacenet import MobileFaceNet
from tests.models.batches import trainer


def published_parts():
    """Files as their authors publish them: more layers, and names of several devices."""
    torch.manual_seed(1)
    image = IR50().state_dict()
    last = {name: tensor for name, tensor in image.items() if name.startswith("body.20.")}
    image |= {name.replace("20", "22", 1): tensor for name, tensor in last.items()}
    image |= {"output_layer.3.weight": torch.ones(3), "output_layer.0.bias": torch.ones(2)}
    landmarks = MobileFaceNet().state_dict() | {"output_layer.linear.weight": torch.ones(4)}
    return image, {"state_dict": landmarks, "epoch": 3}


def test_published_files_of_the_parts_are_loaded_and_not_named_in_checkpoints(tmp_path):
    image, landmarks = published_parts()
    torch.save({f"module.{name}": tensor for name, tensor in image.items()}, tmp_path / "ir50.pth")
    torch.save(landmarks, tmp_path / "mobile.pth.tar")
    model = POSTER(
        3,
        size="small",
        image_weights=str(tmp_path / "ir50.pth"),
        landmark_weights=str(tmp_path / "mobile.pth.tar"),
    )
    for name, tensor in model.backbone.ir_back.state_dict().items():
        assert torch.equal(tensor, image[name])
    for name, tensor in model.backbone.face_landback.state_dict().items():
        assert torch.equal(tensor, landmarks["state_dict"][name])
    for path in tmp_path.iterdir():
        path.unlink()
    run = trainer()
    run.strategy.connect(model)
    run.save_checkpoint(tmp_path / "model.ckpt")
    kept = torch.load(tmp_path / "model.ckpt", weights_only=True)["hyper_parameters"]
    assert (kept["size"], kept["weights"]) == ("small", "random")
    assert not {"image_weights", "landmark_weights"} & set(kept)
    loaded = load_checkpoint(tmp_path / "model.ckpt")
    assert type(loaded) is POSTER
    sample = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded(sample), model.eval()(sample))


def test_a_whole_published_file_is_loaded_but_for_what_is_never_used(tmp_path):
    own = POSTER(7, size="small").backbone.state_dict()
    extra = {
        "ir_back.output_layer.3.weight": torch.ones(2),
        "face_landback.output_layer.linear.weight": torch.ones(2),
        "pyramid_fuse.cls_token": torch.zeros(1, 1, 512),
    }
    content = {f"module.{name}": tensor for name, tensor in (own | extra).items()}
    torch.save({"iter": 60, "model_state_dict": content}, tmp_path / "best.pth")
    model = POSTER(8, size="small", weights=str(tmp_path / "best.pth"))
    found = model.backbone.state_dict()
    assert found["head.linear.weight"].shape == (8, 512)
    for name in own:
        assert name.startswith("head.") or torch.equal(found[name], own[name]), name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("conv1.conv.weight"), r"conv1\.conv\.weight missing"),
        (lambda s: s.update(extra=torch.ones(1)), "extra unexpected"),
        (lambda s: s.update({"conv1.conv.weight": torch.ones(2)}), r"\(2,\) instead of \(64, 3"),
    ],
    ids=["missing", "unexpected", "shape"],
)
def test_files_that_do_not_fit_say_what_differs(tmp_path, change, said):
    state = MobileFaceNet().state_dict()
    change(state)
    torch.save(state, tmp_path / "other.pth")
    with torch.device("meta"), pytest.raises(ConfigError, match=said) as caught:
        POSTER(7, size="small", landmark_weights=str(tmp_path / "other.pth"))
    assert "landmark_weights" in str(caught.value)


class Payload:
    def __reduce__(self):
        return (exec, ("raise SystemExit('run')",))


def test_missing_and_malicious_files_are_refused(tmp_path):
    with torch.device("meta"), pytest.raises(ConfigError, match="no such weights file"):
        POSTER(7, size="small", image_weights=str(tmp_path / "none.pth"))
    torch.save({"state_dict": Payload()}, tmp_path / "evil.pth")
    with torch.device("meta"), pytest.raises(ConfigError, match="refused"):
        POSTER(7, size="small", image_weights=str(tmp_path / "evil.pth"))
