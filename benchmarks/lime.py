"""LIME against the lime package: how stable its 5 best superpixels are, and what they cost.

Stability: the share of the 5 most positive superpixels that a fit shares with the package's
regression on 12,000 samples of fair coins, over faces and seeds. The ResNet-18, trained for some
steps, sees the 224 px image reduced, or 12,000 passes would take minutes. Both get the same
superpixels.

Time: one image of 224 px through a full ResNet-18 on one core, 1,000 samples of the package against
the default of ours; and what ours takes beside the forward passes that it needs.

Targets: as stable as the package or more, in at most a third of its time; at most 10 % beside the
forward passes.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from lime import lime_image
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks._ratios import print_ratio, seconds
from fer_lab.data.synthetic import SyntheticReader
from fer_lab.data.vocabulary import EXPRESSIONS
from fer_lab.explain.attribution.lime import local_weights, superpixel_weights
from fer_lab.explain.attribution.superpixels import mean_colours, perturbed, superpixels
from fer_lab.models import TimmClassifier

TOP = 5
PACKAGE_SAMPLES = 1000
REFERENCE_SAMPLES = 12_000
SMALL = 32
TRAINING_STEPS = 40


class Reduced(nn.Module):
    """The model on images reduced to ``SMALL`` pixels."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102
        return self.model(F.interpolate(image, size=(SMALL, SMALL), mode="area"))


def face(number: int, size: int) -> Tensor:
    pixels = SyntheticReader().read(f"synthetic#{number}", size).image
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


def trained(size: int) -> nn.Module:
    """A ResNet-18 after a few steps: it looks somewhere, but not at one place alone."""
    reader = SyntheticReader()
    faces = torch.stack([face(number, 48) for number in range(256)])
    faces = F.interpolate(faces, size=(size, size), mode="area")
    names = [reader.face(f"synthetic#{number}").expression for number in range(256)]
    label = torch.tensor([list(EXPRESSIONS).index(name) for name in names])
    model = TimmClassifier(len(EXPRESSIONS), name="resnet18", image_size=size).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(TRAINING_STEPS):
        rows = torch.randint(0, len(faces), (32,))
        optimizer.zero_grad()
        F.cross_entropy(model(faces[rows]), label[rows]).backward()
        optimizer.step()
    return model.eval()


def package_weights(
    model: nn.Module, image: Tensor, samples: int, seed: int
) -> NDArray[np.float64]:
    """Weights of the predicted class by the lime package, on our superpixels."""

    def probabilities(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            batch = torch.from_numpy(pixels).permute(0, 3, 1, 2)
            return model(batch).softmax(1).numpy()

    lime_image.tqdm = lambda rows: rows
    explanation = lime_image.LimeImageExplainer(random_state=seed).explain_instance(
        image.permute(1, 2, 0).numpy(),
        probabilities,
        top_labels=1,
        num_samples=samples,
        segmentation_fn=lambda _: superpixels(image, 50, 20.0),
    )
    found = dict(explanation.local_exp[explanation.top_labels[0]])
    return np.array([found[number] for number in range(len(found))])


def reference_weights(model: nn.Module, image: Tensor) -> NDArray[np.float64]:
    """What the package's regression makes of ``REFERENCE_SAMPLES`` samples drawn as it does."""
    cells = superpixels(image, 50, 20.0)
    index = torch.from_numpy(cells)
    shown = np.random.default_rng(999).random((REFERENCE_SAMPLES, int(cells.max()) + 1)) < 0.5
    hidden = mean_colours(image, index)
    with torch.no_grad():
        predicted = int(model(image[None]).argmax())
        score = torch.cat(
            [
                model(changed).softmax(1)[:, predicted]
                for changed in perturbed(image, hidden, index, torch.from_numpy(shown), 64)
            ]
        )
    return local_weights(shown, score.double().numpy(), kernel_width=0.25, ridge=1.0)


def our_weights(model: nn.Module, image: Tensor, seed: int) -> NDArray[np.float64]:
    return superpixel_weights(model, image[None], seed=seed).weights[0].double().numpy()


def shared(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return len(set(np.argsort(-one)[:TOP]) & set(np.argsort(-other)[:TOP])) / TOP


def stability(faces: int, seeds: int) -> None:
    model = Reduced(trained(SMALL)).eval()
    found: dict[str, list[tuple[float, float]]] = {"package": [], "ours": []}
    for number in range(faces):
        image = face(5000 + number, 224)
        reference = reference_weights(model, image)
        for seed in range(seeds):
            for name, weights in (
                ("package", package_weights(model, image, PACKAGE_SAMPLES, seed)),
                ("ours", our_weights(model, image, seed)),
            ):
                error = np.square(weights - reference).mean() / reference.var()
                found[name].append((shared(reference, weights), float(error)))
    (package, package_error), (ours, our_error) = (
        np.mean(found[name], axis=0) for name in ("package", "ours")
    )
    print(
        f"best {TOP} of {REFERENCE_SAMPLES} samples found: ours {ours:.2f}, package {package:.2f}; "
        f"squared error of weights: ours {our_error:.4f}, package {package_error:.4f} "
        f"({faces} faces × {seeds} seeds)   {'ok' if ours >= package else 'BELOW TARGET'}",
        flush=True,
    )


def cost(pairs: int) -> None:
    model = TimmClassifier(name="resnet18", image_size=224).eval()
    image = face(5000, 224)
    plain = torch.rand(64, 3, 224, 224)

    def forwards() -> None:
        with torch.no_grad():
            model(image[None])
            for _ in range(4):
                model(plain)

    def ours() -> None:
        our_weights(model, image, seed=0)

    forwards()
    beside = [(seconds(ours), seconds(forwards)) for _ in range(pairs)]
    typical = statistics.median(time for time, _ in beside)
    print_ratio("LIME over its forwards", beside, 1.1, f"{typical:6.2f} s/image")
    package = seconds(lambda: package_weights(model, image, PACKAGE_SAMPLES, seed=0))
    print_ratio("LIME over the package", [(typical, package)], 0.33, f"{package:6.2f} s/image")


def main() -> None:
    arguments = argparse.ArgumentParser(description="LIME against the lime package")
    arguments.add_argument("--faces", type=int, default=2)
    arguments.add_argument("--seeds", type=int, default=2)
    arguments.add_argument("--pairs", type=int, default=2)
    options = arguments.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    cost(options.pairs)
    stability(options.faces, options.seeds)


if __name__ == "__main__":
    main()
