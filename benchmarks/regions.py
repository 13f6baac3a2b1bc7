"""Region figures against the Grad-CAM before them, and a summary against plain forward passes.

1. IoR of 19 regions on a batch of 64 at 224 px, over the time of the Grad-CAM of that batch by a
   ResNet-18. All figures of the regions are printed beside.
2. A summary of 1,000 images at 224 px (Grad-CAM, IoR and all other figures of all 19 regions,
   high-impact patches) over plain forward passes of the same batches. Both take turns batch by
   batch, each first every second time; the ratio is that of their totals.

Targets: below 0.1; at most 1.3.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor

from benchmarks._ratios import print_ratio, seconds
from fer_lab.data.synthetic import SyntheticReader
from fer_lab.explain import explain_prediction
from fer_lab.explain.patches import PatchCollector
from fer_lab.explain.regions import intersection_over_region, region_statistics
from fer_lab.models import TimmClassifier

BATCH = 64
PIXELS = 224


def faces() -> tuple[Tensor, Tensor]:
    """A batch of drawn faces and the regions of their pixels."""
    reader = SyntheticReader()
    read = [reader.read(f"synthetic#{number}", PIXELS) for number in range(BATCH)]
    image = torch.from_numpy(np.stack([sample.image for sample in read]))
    regions = torch.from_numpy(
        np.stack([sample.regions for sample in read if sample.regions is not None])
    )
    image = image.permute(0, 3, 1, 2).float() / 255
    return image.contiguous(memory_format=torch.channels_last), regions


def figures(model: TimmClassifier, image: Tensor, regions: Tensor, pairs: int) -> None:
    """The regions' figures of one batch over its Grad-CAM."""
    attribution = explain_prediction(model, image).attribution

    def cam() -> None:
        explain_prediction(model, image)

    def ior() -> None:
        intersection_over_region(attribution, regions)

    def everything() -> None:
        region_statistics(attribution, regions)

    ior()
    everything()
    times = [(seconds(ior), seconds(everything), seconds(cam)) for _ in range(pairs)]
    for name, place in (("IoR over Grad-CAM", 0), ("all figures over Grad-CAM", 1)):
        print_ratio(
            f"{name}, batch {BATCH}",
            [(row[place], row[2]) for row in times],
            0.1,
            f"{min(row[place] for row in times) / BATCH * 1000:6.2f} ms/image",
        )


def summary(model: TimmClassifier, image: Tensor, regions: Tensor, images: int) -> None:
    """A summary over many batches against plain forward passes of them."""
    collector = PatchCollector()
    kept = []

    def plain(batch: Tensor) -> None:
        with torch.no_grad():
            model(batch)

    def explained(batch: Tensor, masks: Tensor, index: Tensor) -> None:
        found = explain_prediction(model, batch).attribution
        kept.append(region_statistics(found, masks))
        collector.update(batch, found, masks, index)

    explained(image, regions, torch.arange(BATCH))
    plain(image)
    times = []
    for number, start in enumerate(range(0, images, BATCH)):
        size = min(BATCH, images - start)
        # Other images in every batch, so that patches keep being replaced.
        batch = (image[:size] * (0.7 + 0.3 * torch.rand(size, 1, 1, 1))).contiguous(
            memory_format=torch.channels_last
        )
        masks, index = regions[:size], torch.arange(start, start + size)
        work = [lambda: explained(batch, masks, index), lambda: plain(batch)]  # noqa: B023
        turns = [0, 1] if number % 2 else [1, 0]
        taken = {turn: seconds(work[turn]) for turn in turns}
        times.append((taken[0], taken[1]))
    ours, other = (sum(each) for each in zip(*times, strict=True))
    print_ratio(
        f"summary of {images} images",
        [(ours, other)],
        1.3,
        f"{ours / images * 1000:6.2f} ms/image, forward {other / images * 1000:.2f}",
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description="regions against Grad-CAM and forward passes")
    arguments.add_argument("--images", type=int, default=1000)
    arguments.add_argument("--pairs", type=int, default=5)
    options = arguments.parse_args()
    torch.manual_seed(0)
    model = TimmClassifier(name="resnet18").eval()
    image, regions = faces()
    figures(model, image, regions, options.pairs)
    summary(model, image, regions, options.images)


if __name__ == "__main__":
    main()
