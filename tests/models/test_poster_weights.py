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


RAFDB = ("surprise", "fear", "disgust", "happy", "sad", "anger", "neutral")


@pytest.fixture(scope="module")
def authors(tmp_path_factory):
    """The network as the authors' program keeps it after training on RAF-DB, and its file."""
    torch.manual_seed(2)
    network = POSTER(7, size="small").backbone.eval()
    content = {**network.state_dict(), "pyramid_fuse.cls_token": torch.zeros(1, 1, 512)}
    file = tmp_path_factory.mktemp("authors") / "rafdb_best.pth"
    torch.save(
        {"iter": 1, "model_state_dict": {f"module.{n}": t for n, t in content.items()}}, file
    )
    return network, str(file)


def as_opencv_reads(image):
    """Blue first, but normalised as if it were red, as in the authors' reader of RAF-DB."""
    blue_first = torch.stack([image[:, 2], image[:, 1], image[:, 0]], dim=1)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    return (blue_first - mean) / std


def test_the_authors_whole_file_gives_their_answers_under_our_names_of_classes(authors, tmp_path):
    network, file = authors
    classes = ["neutral", "happy", "sad", "surprise", "fear", "disgust", "anger"]
    model = POSTER(7, classes=classes, size="small", weights=file).eval()
    image = torch.rand(2, 3, 112, 112)
    with torch.no_grad():
        theirs, ours = network(as_opencv_reads(image)), model(image)
    expected = theirs[:, [RAFDB.index(name) for name in classes]]
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)
    assert (theirs - expected).abs().max() > 0.01
    run = trainer()
    run.strategy.connect(model)
    run.save_checkpoint(tmp_path / "model.ckpt")
    loaded = load_checkpoint(tmp_path / "model.ckpt")
    # Also when it is given as weights, of other classes in another order.
    fewer = [name for name in reversed(classes) if name != "neutral"]
    again = POSTER(6, classes=fewer, size="small", weights=str(tmp_path / "model.ckpt")).eval()
    with torch.no_grad():
        assert torch.equal(loaded(image), ours)
        columns = [classes.index(name) for name in fewer]
        torch.testing.assert_close(again(image), ours[:, columns], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("classes", [[*RAFDB, "contempt"], [*RAFDB[:6], "contempt"]])
def test_the_head_is_new_where_a_class_is_not_in_the_file(authors, classes, caplog):
    network, file = authors
    with caplog.at_level("INFO"):
        model = POSTER(len(classes), classes=classes, size="small", weights=file)
    assert "head.linear.weight, head.linear.bias new" in caplog.text
    head = model.backbone.head.linear
    assert not torch.equal(head.weight[0], network.head.linear.weight[0])


def test_channels_are_red_first_unless_weights_or_the_option_say_otherwise(authors):
    with torch.device("meta"):
        assert POSTER(7, size="small").channels == "rgb"
    assert POSTER(7, size="small", weights=authors[1]).channels == "bgr"
    assert POSTER(7, size="small", weights=authors[1], channels="rgb").channels == "rgb"
    with torch.device("meta"), pytest.raises(ConfigError, match="rgb, bgr"):
        POSTER(7, size="small", channels="gbr")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("conv1.conv.weight"), r"conv1\.conv\.weight is missing"),
        (lambda s: s.update(extra=torch.ones(1)), "extra is not in the model"),
        (
            lambda s: s.update({"conv1.conv.weight": torch.ones(2)}),
            r"shape \(2,\), the model's \(64, 3",
        ),
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
