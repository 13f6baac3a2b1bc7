from __future__ import annotations

import os

import pytest
import torch
from torch import nn

from fer_lab.data.vocabulary import REGIONS
from fer_lab.errors import ConfigError
from fer_lab.faces.parsing import (
    BISENET_ORDER,
    CELEBAMASK_HQ_ORDER,
    PARSERS,
    FaceParser,
    load_parser,
    weights_file,
)


class Saying(nn.Module):
    """Answers with the class that the red channel of each pixel stands for, as n / 32."""

    def __init__(self, classes: int = 19) -> None:
        super().__init__()
        self.classes = classes
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, images):
        self.sizes.append(tuple(images.shape))
        said = (images[:, 0] * 32).round().long().clamp(0, self.classes - 1)
        return (nn.functional.one_hot(said, self.classes).movedim(-1, 1).float(), "other heads")


def saying(order, side: int = 16) -> FaceParser:
    return FaceParser(Saying(), order, mean=(0, 0, 0), std=(1, 1, 1), side=side)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of models with a BiSeNet that was never trained."""
    from facexlib.parsing.bisenet import BiSeNet

    place = tmp_path_factory.mktemp("face models")
    torch.manual_seed(0)
    torch.save(BiSeNet(num_class=19).state_dict(), place / "parsing_bisenet.pth")
    return place


@pytest.mark.parametrize("order", [BISENET_ORDER, CELEBAMASK_HQ_ORDER])
def test_every_class_becomes_the_region_of_its_name(order):
    assert sorted(order) == sorted(REGIONS)
    for code, name in enumerate(order):
        found = saying(order)(torch.full((2, 3, 16, 16), code / 32))
        assert found.dtype == torch.uint8
        assert set(found.flatten().tolist()) == {REGIONS.index(name)}


def test_the_two_orders_differ_where_they_must():
    # From the published lists: hair is 17 in the BiSeNet weights, 13 in CelebAMask-HQ.
    assert (BISENET_ORDER[17], CELEBAMASK_HQ_ORDER[13]) == ("hair", "hair")
    assert (BISENET_ORDER[10], CELEBAMASK_HQ_ORDER[2]) == ("nose", "nose")
    assert (BISENET_ORDER[6], CELEBAMASK_HQ_ORDER[3]) == ("eye_g", "eye_g")
    assert PARSERS["bisenet"].order == BISENET_ORDER
    assert PARSERS["parsenet"].order == CELEBAMASK_HQ_ORDER


def test_pixels_keep_their_places_and_masks_the_size_of_the_images():
    image = torch.zeros(1, 3, 24, 24)
    image[:, 0, :12, :12] = BISENET_ORDER.index("hat") / 32
    found = saying(BISENET_ORDER, side=48)(image)[0]
    assert found.shape == (24, 24)
    assert (found[:11, :11] == REGIONS.index("hat")).all()
    assert (found[13:, :] == REGIONS.index("background")).all()
    assert (found[:, 13:] == REGIONS.index("background")).all()


def test_images_are_resized_for_the_network_and_parsed_in_bounded_parts():
    parser = saying(BISENET_ORDER, side=16)
    codes = torch.arange(19)
    images = (codes / 32)[:, None, None, None].expand(19, 3, 20, 24)
    found = parser(images)
    assert found.shape == (19, 20, 24)
    assert found[:, 0, 0].tolist() == [REGIONS.index(BISENET_ORDER[code]) for code in codes]
    assert {size[2:] for size in parser.network.sizes} == {(16, 16)}
    assert sum(size[0] for size in parser.network.sizes) == 19
    assert max(size[0] for size in parser.network.sizes) < 19
    assert parser(images[:0]).shape == (0, 20, 24)


def test_the_network_sees_normalised_images():
    seen = []

    class Watching(Saying):
        def forward(self, images):
            seen.append(images)
            return super().forward(images)

    parser = FaceParser(
        Watching(), BISENET_ORDER, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0), side=16
    )
    parser(torch.full((1, 3, 16, 16), 0.75))
    assert seen[0][0, :, 0, 0].tolist() == [0.5, 2.0, 0.75]


def test_an_order_with_a_name_that_is_no_region_is_refused():
    for order in (("background", "face"), ("skin", "skin")):
        with pytest.raises(ValueError, match="each class is one of the regions"):
            saying(order)


def test_local_weights_are_loaded_and_used(folder):
    parser = load_parser("bisenet", folder)
    saved = torch.load(folder / "parsing_bisenet.pth", weights_only=True)
    assert all(torch.equal(saved[n], t) for n, t in parser.network.state_dict().items())
    assert not parser.training
    assert not any(p.requires_grad for p in parser.parameters())
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    found = parser(image)
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in (PARSERS["bisenet"].mean, (0.229, 0.224, 0.225))
    )
    large = nn.functional.interpolate(image, size=(512, 512), mode="bilinear", antialias=True)
    with torch.no_grad():
        logits = parser.network((large - mean) / std)[0]
    logits = nn.functional.interpolate(logits, size=(64, 64), mode="bilinear", antialias=True)
    by_name = [[BISENET_ORDER[code] for code in line] for line in logits[0].argmax(0).tolist()]
    assert [[REGIONS[code] for code in line] for line in found[0].tolist()] == by_name
    assert len(found.unique()) > 1


def test_the_parser_is_where_it_is_told_to_be(folder):
    # The device without memory stands for any other: nothing may stay behind.
    parser = load_parser("bisenet", folder, device="meta")
    places = {t.device.type for t in (*parser.parameters(), *parser.buffers())}
    assert places == {"meta"}
    assert {p.device.type for p in load_parser("bisenet", folder).parameters()} == {"cpu"}


@pytest.mark.parametrize("name", list(PARSERS))
def test_a_missing_file_is_one_error_and_nothing_is_fetched(name, tmp_path, monkeypatch):
    import socket

    def no_network(*arguments, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    with pytest.raises(ConfigError) as caught:
        load_parser(name, tmp_path / "models", turn_off="faces.parser=none")
    message = str(caught.value)
    assert PARSERS[name].file in message
    assert str(tmp_path / "models") in message
    assert "turn the parser off with faces.parser=none" in message
    assert not (tmp_path / "models").exists()


def test_files_that_are_no_weights_are_refused(tmp_path, folder):
    file = weights_file("bisenet", tmp_path)
    state = torch.load(folder / file.name, weights_only=True)
    state.pop("conv_out.conv_out.weight")
    for content in (state, {"weights": print}, [1, 2]):
        torch.save(content, file)
        with pytest.raises(ConfigError, match="no weights of the face parser bisenet"):
            load_parser("bisenet", tmp_path)
    file.write_bytes(b"<html>not found</html>")
    with pytest.raises(ConfigError, match="no weights of the face parser bisenet"):
        load_parser("bisenet", tmp_path)


class Program:
    """What a hostile file holds: reading it would make a folder."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __reduce__(self):
        return os.mkdir, (self.place,)


def test_programs_in_files_are_not_run(tmp_path):
    torch.save({"weights": Program(str(tmp_path / "made"))}, weights_file("bisenet", tmp_path))
    with pytest.raises(ConfigError, match="never run"):
        load_parser("bisenet", tmp_path)
    assert not (tmp_path / "made").exists()


def test_another_parser_is_named_with_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match="did you mean bisenet"):
        weights_file("bisnet", tmp_path)
