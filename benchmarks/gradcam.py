"""Class-activation maps and the IoR of 19 regions against one plain forward pass of the batch.

The plain pass runs without gradients in evaluation mode. The explained arm starts from the same
images and ends with a map per image and all figures of all regions; it needs the forward pass too.
Both take turns; printed are the median ratio of the pairs and its spread.

Target: at most 1.5.
"""

from __future__ import annotations

import argparse
import statistics

import torch

from benchmarks._ratios import print_ratio, seconds
from fer_lab.explain import explain_prediction
from fer_lab.explain.regions import region_statistics
from fer_lab.models import BaselineCNN, Classifier, ResNet50, TimmClassifier

TARGET = 1.5


def compare(name: str, model: Classifier, batch_size: int, pairs: int) -> None:
    """Print the ratio for one model."""
    size = model.image_size
    image = torch.rand(batch_size, 3, size, size).contiguous(memory_format=torch.channels_last)
    # Bands rather than noise: neighbouring pixels of a face share a region.
    regions = (torch.arange(size) * 19 // size).to(torch.uint8).expand(batch_size, size, size)
    model.eval()

    def plain() -> None:
        with torch.no_grad():
            model(image)

    def explained() -> None:
        region_statistics(explain_prediction(model, image).attribution, regions)

    plain(), explained()
    times = [(seconds(explained), seconds(plain)) for _ in range(pairs)]
    image_ms = statistics.median(ours for ours, _ in times) / batch_size * 1000
    print_ratio(name, times, TARGET, f"{image_ms:6.2f} ms/image")


def main() -> None:
    arguments = argparse.ArgumentParser(description="Grad-CAM + IoR against a forward pass")
    arguments.add_argument("--pairs", type=int, default=15)
    pairs = arguments.parse_args().pairs
    torch.manual_seed(0)
    compare("baseline_cnn 64 × 64 px", BaselineCNN(), 64, pairs)
    compare("resnet18 64 × 112 px", TimmClassifier(name="resnet18", image_size=112), 64, pairs)
    compare("resnet50 32 × 112 px", ResNet50(image_size=112), 32, pairs)
    compare("resnet18 16 × 224 px", TimmClassifier(name="resnet18"), 16, pairs)


if __name__ == "__main__":
    main()
