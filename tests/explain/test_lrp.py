from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from fer_lab.errors import ConfigError
from fer_lab.explain import attribute, explain_prediction
from fer_lab.explain.attribution.lrp import COMPOSITES, conservation, relevance_of
from fer_lab.models import BaselineCNN, ResNet50, TimmClassifier

SIZES = {"vgg16": 64, "vgg16_bn": 64, "resnet18": 64, "resnet50": 64}


def without_biases(name: str) -> nn.Module:
    """A network of timm with random weights, varied batch norms, and nothing that adds."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=7)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.zeros_(module.running_mean)
        if getattr(module, "bias", None) is not None:
            nn.init.zeros_(module.bias)
    return model.eval()


@pytest.mark.parametrize("composite", sorted(COMPOSITES))
@pytest.mark.parametrize("name", sorted(SIZES))
def test_relevance_at_the_image_sums_to_the_logit(name, composite):
    model, size = without_biases(name), SIZES[name]
    image = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    target = torch.tensor([2, 5])
    logits, relevance = relevance_of(model, image, target, composite=composite)
    explained = logits[torch.arange(2), target]
    torch.testing.assert_close(logits, model(image), rtol=1e-3, atol=1e-4)
    assert (relevance.sum((1, 2, 3)) / explained - 1).abs().max() < 0.01


def test_epsilon_rule_equals_a_layer_by_layer_loop():
    torch.manual_seed(0)
    layers = [nn.Linear(3 * 16, 10), nn.ReLU(), nn.Linear(10, 4)]
    model = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.Flatten(), *layers)
    image = torch.rand(1, 3, 4, 4)
    _, relevance = relevance_of(model, image, torch.tensor([1]), composite="epsilon_plus_flat")

    inputs = [model[1](model[0](image))]
    for layer in layers:
        inputs.append(layer(inputs[-1]))
    found = torch.zeros(4)
    found[1] = inputs[-1][0, 1]
    for layer, values in ((layers[2], inputs[2]), (layers[0], inputs[0])):
        arriving = torch.zeros(values.shape[1])
        for i in range(values.shape[1]):
            for j in range(len(found)):
                total = values[0] @ layer.weight[j] + layer.bias[j]
                arriving[i] += values[0, i] * layer.weight[j, i] / total * found[j]
        found = arriving
    # The flat rule of the first layer spreads what its output holds evenly over its inputs, here
    # over the three colours of each pixel.
    expected = found.view(3, 16).sum(0).view(4, 4)
    torch.testing.assert_close(relevance[0].sum(0), expected, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(relevance[0, 0], relevance[0, 2])


@pytest.mark.parametrize("make", [lambda: BaselineCNN(7), lambda: ResNet50(7, image_size=64)])
def test_models_of_the_project_conserve_relevance(make):
    model = make()
    assert conservation(model, (64, 64)) == pytest.approx(1, abs=0.01)
    heat = explain_prediction(model, torch.rand(2, 3, 64, 64), method="lrp").attribution
    assert heat.shape == (2, 64, 64)
    assert heat.amax((1, 2)).tolist() == pytest.approx([1, 1])


def test_a_model_with_attention_is_refused():
    model = TimmClassifier(7, name="vit_tiny_patch16_224", image_size=64)
    with pytest.raises(ConfigError, match=r"does not conserve relevance(.|\n)*gradcam"):
        attribute(model, torch.rand(1, 3, 64, 64), 0, method="lrp")


def test_an_unknown_composite_lists_those_there_are():
    with pytest.raises(ConfigError, match="epsilon_gamma_box"):
        relevance_of(BaselineCNN(7), torch.rand(1, 3, 64, 64), composite="epsilon")


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(training):
    torch.manual_seed(0)
    model = ResNet50(7, image_size=64).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modules = [(name, type(module)) for name, module in model.named_modules()]
    inplace = [getattr(module, "inplace", None) for module in model.modules()]
    attribute(model, torch.rand(1, 3, 64, 64), 0, method="lrp")
    assert modules == [(name, type(module)) for name, module in model.named_modules()]
    assert inplace == [getattr(module, "inplace", None) for module in model.modules()]
    assert model.training is training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks
    assert all(parameter.grad is None for parameter in model.parameters())


def test_it_works_in_inference_mode_on_inference_tensors():
    model = BaselineCNN(7).eval()
    with torch.inference_mode():
        inside = attribute(model, torch.rand(1, 3, 64, 64).fill_(0.3), 0, method="lrp")
    outside = attribute(model, torch.full((1, 3, 64, 64), 0.3), 0, method="lrp")
    torch.testing.assert_close(inside, outside)
