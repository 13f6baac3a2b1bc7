"""POSTER: its parts by shape and by slow loops, its files, one training step, its explanation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from fer_lab.errors import ConfigError
from fer_lab.explain import attribute, grid_of
from fer_lab.models.poster import POSTER
from fer_lab.models.poster.fusion import CrossAttention, PyramidFusion
from fer_lab.models.poster.ir50 import IR50
from fer_lab.models.poster.mobilefacenet import MobileFaceNet
from tests.models.batches import batch, loader, trainer

# The embedding of IR-50 that the authors' build holds: batch norm, linear 512·7·7 -> 512, batch
# norm; of the landmark branch the depthwise convolution with its batch norm, 512 -> 136, and
# batch norm; a class token that is never used.
EMBEDDING = 2 * 512 + 512 * 7 * 7 * 512 + 512 + 2 * 512
LANDMARKS = 512 * 7 * 7 + 2 * 512 + 512 * 136 + 2 * 136
CLASS_TOKEN = 512


@pytest.fixture(scope="module")
def small() -> POSTER:
    torch.manual_seed(0)
    return POSTER(7, size="small").eval()


# Zheng et al. 2023, comparison of sizes: POSTER-T, POSTER-S and POSTER.
@pytest.mark.parametrize(
    ("size", "published"), [("small", 52.2e6), ("base", 62.0e6), ("large", 71.8e6)]
)
def test_parameter_counts_are_the_published_ones(size, published):
    with torch.device("meta"):
        model = POSTER(7, size=size)
    count = sum(p.numel() for p in model.parameters()) + EMBEDDING
    assert count == pytest.approx(published, rel=0.01)
    assert count + LANDMARKS + CLASS_TOKEN == pytest.approx(published, rel=0.001)


def test_trained_parameters_are_those_of_the_authors_log():
    with torch.device("meta"):
        model = POSTER(7, size="large")
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert round((trained + EMBEDDING + CLASS_TOKEN) / 1e6, 3) == 70.843


def test_names_are_those_of_the_published_files():
    image, landmarks = set(IR50().state_dict()), set(MobileFaceNet().state_dict())
    # The authors' log: 304 tensors loaded, of which 5 + 2 + 5 of the embedding.
    assert len(image) == 304 - 12
    assert {
        "input_layer.0.weight",
        "input_layer.2.weight",
        "body.0.res_layer.0.running_mean",
        "body.3.shortcut_layer.0.weight",
        "body.7.shortcut_layer.1.bias",
        "body.20.res_layer.2.weight",
        "body.20.res_layer.4.num_batches_tracked",
    } <= image
    assert {
        "conv1.prelu.weight",
        "conv2_dw.conv.weight",
        "conv_23.conv_dw.prelu.weight",
        "conv_3.model.3.project.bn.running_var",
        "conv_45.project.conv.weight",
        "conv_4.model.5.conv.bn.bias",
        "conv_5.model.1.project.conv.weight",
        "conv_6_sep.bn.weight",
    } <= landmarks


def test_branches_give_the_shapes_of_49_tokens(small):
    network = small.backbone
    image = torch.rand(2, 3, 112, 112)
    with torch.no_grad():
        assert network.face_landback(image).shape == (2, 512, 7, 7)
        maps = network.ir_back.input_layer(image)
        shapes = {}
        for unit, module in enumerate(network.ir_back.body):
            maps = module(maps)
            shapes[unit] = tuple(maps.shape)
        assert torch.equal(network.ir_back(image), maps)
    assert shapes[2] == (2, 64, 56, 56)
    assert shapes[6] == (2, 128, 28, 28)
    assert shapes[20] == (2, 256, 14, 14)


def test_tokens_are_cut_from_the_maps_in_order(small):
    """The fusion gets, and the head gives, what indexing by hand says."""
    network, image = small.backbone, torch.rand(1, 3, 224, 224)
    got = []
    handle = network.pyramid_fuse.register_forward_hook(
        lambda _module, inputs, output: got.append((*inputs, output))
    )
    with torch.no_grad():
        # Every second pixel: the nearest neighbour at half the size.
        face = image[:, :, ::2, ::2]
        maps, landmarks = network.ir_back(face)[0], network.face_landback(face)[0]
        logits = network(image.contiguous(memory_format=torch.channels_last))
        handle.remove()
        numbers = [float(v) for plane in maps for row in plane for v in row]
        tokens = torch.tensor(numbers).view(49, 1024)
        expected = tokens @ network.ir_layer.weight.T + network.ir_layer.bias
        torch.testing.assert_close(got[0][0][0], expected, atol=1e-4, rtol=1e-3)
        for place in (0, 8, 48):
            there = landmarks[:, place // 7, place % 7]
            torch.testing.assert_close(got[0][1][0, place], there, atol=1e-4, rtol=1e-3)
        feature = got[0][2][0]
        se, head = network.se_block, network.head.linear
        hidden = (se.linear1.weight @ feature + se.linear1.bias).clamp_min(0)
        gate = 1 / (1 + torch.exp(-(se.linear2.weight @ hidden + se.linear2.bias)))
        torch.testing.assert_close(
            logits[0], head.weight @ (feature * gate) + head.bias, atol=1e-5, rtol=1e-4
        )


def slow_attention(weights, prefix, query, context, heads=8):
    """One image, one head, one query after the other."""
    width = query.shape[-1]
    size = width // heads
    both = context @ weights[f"{prefix}.kv.weight"].T + weights[f"{prefix}.kv.bias"]
    rows = []
    for token in query:
        parts = []
        for head in range(heads):
            mine = slice(head * size, (head + 1) * size)
            keys, values = both[:, :width][:, mine], both[:, width:][:, mine]
            score = torch.stack([(token[mine] * key).sum() for key in keys]) / size**0.5
            share = score.exp() / score.exp().sum()
            parts.append(sum(s * value for s, value in zip(share, values, strict=True)))
        rows.append(torch.cat(parts))
    out = torch.stack(rows)
    return out @ weights[f"{prefix}.proj.weight"].T + weights[f"{prefix}.proj.bias"]


def test_cross_attention_equals_a_slow_loop_over_heads():
    torch.manual_seed(0)
    attention = CrossAttention(32, heads=4)
    query, context = torch.randn(2, 5, 32), torch.randn(2, 7, 32)
    weights = {f"a.{name}": value for name, value in attention.state_dict().items()}
    found = attention(query, context)
    for image in range(2):
        expected = slow_attention(weights, "a", query[image], context[image], heads=4)
        torch.testing.assert_close(found[image], expected, atol=1e-5, rtol=1e-4)


def slow_block(weights, prefix, tokens):
    """A block of one image, step by step: ``[100, C]``."""

    def norm(number, value):
        centred = value - value.mean(-1, keepdim=True)
        scaled = centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()
        name = f"{prefix}.norm{number}"
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def mlp(number, value):
        name = f"{prefix}.mlp{number}"
        hidden = value @ weights[f"{name}.fc1.weight"].T + weights[f"{name}.fc1.bias"]
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
        return hidden @ weights[f"{name}.fc2.weight"].T + weights[f"{name}.fc2.bias"]

    first, third = norm(1, tokens), norm(3, tokens)
    image = tokens[:50] + slow_attention(weights, f"{prefix}.attn_img", first[50:], first[:50])
    image = image + mlp(1, norm(2, image))
    marks = tokens[50:] + slow_attention(weights, f"{prefix}.attn_lm", third[:50], third[50:])
    marks = marks + mlp(2, norm(4, marks))
    mix = weights[f"{prefix}.conv.weight"][:, :, 0]
    return mix @ torch.cat((image, marks)) + weights[f"{prefix}.conv.bias"][:, None]


def test_the_fusion_equals_slow_loops():
    torch.manual_seed(0)
    fusion = PyramidFusion(depth=2, drop_path=0.1).eval()
    with torch.no_grad():
        for name, parameter in fusion.named_parameters():
            if "norm" in name or name == "pos_embed":
                parameter.add_(0.2 * torch.randn_like(parameter))
        image, landmarks = torch.randn(1, 49, 512), torch.randn(1, 49, 512)
        weights = fusion.state_dict()

        def narrowed(name, tokens, step):
            kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            return bias[:, None] + sum(kernel[:, :, k] @ tokens[:, k::step] for k in range(step))

        def widened(name, tokens):
            kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            pairs = [kernel[:, :, k].T @ tokens for k in range(2)]
            return bias[:, None] + torch.stack(pairs, dim=-1).flatten(1)

        placed = torch.cat((image[0].mean(0, keepdim=True), image[0])) + weights["pos_embed"][0]
        large = torch.cat((placed, landmarks[0].mean(0, keepdim=True), landmarks[0]))
        medium, small = narrowed("downsample_m", large, 2), narrowed("downsample_s", large, 4)
        for number in range(2):
            block = f"blocks.{number}"
            small = slow_block(weights, f"{block}.block_s", small)
            medium = slow_block(weights, f"{block}.block_m", medium)
            medium = medium + widened(f"{block}.upsample_s", small)
            large = slow_block(weights, f"{block}.block_l", large)
            large = large + widened(f"{block}.upsample_m", medium)
        gain, shift = weights["norm.weight"], weights["norm.bias"]
        expected = F.layer_norm(large[0], (512,), gain, shift, 1e-6)
        torch.testing.assert_close(fusion(image, landmarks)[0], expected, atol=1e-4, rtol=1e-3)


def test_drop_path_rises_from_nothing_to_its_rate():
    with torch.device("meta"):
        fusion = PyramidFusion(depth=6, drop_path=0.1)
    rates = [block.block_m.drop_path.drop_prob for block in fusion.blocks]
    assert rates == pytest.approx([0, 0.02, 0.04, 0.06, 0.08, 0.1])


def test_one_training_step_moves_all_but_the_landmark_branch():
    torch.manual_seed(0)
    options = {"size": "small", "drop_path": 0.0, "image_size": 112}
    model = POSTER(6, optimizer={"name": "adam", "lr": 1e-4}, **options)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    grown = {}
    model.on_after_backward = lambda: grown.update(
        {name: p.grad is not None and bool(p.grad.any()) for name, p in model.named_parameters()}
    )
    run = trainer(max_steps=1)
    run.fit(model, loader(batch(8, size=112, classes=6)))
    assert run.callback_metrics["train/loss"].isfinite()
    frozen = {name for name in grown if name.startswith("backbone.face_landback.")}
    assert frozen
    assert {name for name, has in grown.items() if not has} == frozen
    after = model.state_dict()
    still = {name for name in after if torch.equal(after[name], before[name])}
    assert still == {name for name in after if name.startswith("backbone.face_landback.")}


def test_the_landmark_branch_stays_in_evaluation_mode(small):
    network = small.backbone
    small.train()
    assert network.ir_back.training
    assert not any(module.training for module in network.face_landback.modules())
    assert not any(p.requires_grad for p in network.face_landback.parameters())
    small.eval()


@pytest.mark.parametrize("size", [64, 112, 224])
def test_the_explanation_looks_at_the_last_image_stage(small, size, monkeypatch):
    monkeypatch.setattr(small, "image_size", size)
    assert small.attribution_layer == "backbone.ir_back.body.20"
    assert grid_of(small) == (14, 14)


def test_class_activation_maps_work_and_relevance_propagation_is_refused(small):
    image = torch.rand(1, 3, 224, 224)
    maps = attribute(small, image, 2, method="auto")
    assert maps.shape == (1, 224, 224)
    assert float(maps.std()) > 0
    with pytest.warns(UserWarning, match="hirescam"):
        averaged = attribute(small, image, 2, method="gradcam")
    assert averaged.shape == maps.shape
    assert not torch.allclose(averaged, maps)
    with pytest.raises(ConfigError, match="conserve"):
        attribute(small, image, 2, method="lrp")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": "huge"}, "no size 'huge'"),
        ({"drop_path": 1.0}, r"not in \[0, 1\)"),
        ({"weights": "imagenet"}, "no ImageNet weights"),
    ],
)
def test_options_that_cannot_work_are_refused(options, said):
    with torch.device("meta"), pytest.raises(ConfigError, match=said):
        POSTER(7, **options)


def test_training_a_random_landmark_branch_is_said(small, caplog):
    small.on_fit_start()
    assert "landmark_weights" in caplog.text
