"""Pictures of where the model looks, sent to W&B while it learns."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

from matplotlib.figure import Figure
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer

from fer_lab.callbacks import Explanations
from fer_lab.callbacks.summary import Gathered
from fer_lab.report.explanations import summary_figure
from fer_lab.report.region_figures import region_differences_figure, region_groups_figure
from fer_lab.report.region_patches import region_patches
from fer_lab.report.tables import region_rows
from fer_lab.report.wording import INCOMPLETE
from fer_lab.tracking import Tracker

_DOTS = 90  # per inch


class EpochPictures(Callback):
    """After an epoch whose summary was gathered: prototype with patches, groups, differences.

    They show the fixed validation images, under ``val/pictures/<name>`` and the step of the epoch.
    The callback stands behind `Explanations`, which it reads.
    """

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Draw and send what is new."""
        loggers = [each for each in trainer.loggers if isinstance(each, Tracker)]
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if not isinstance(callback, Explanations) or callback.latest is None:
                continue
            shown, callback.latest = callback.latest, None
            for name, picture in _drawn(shown) if loggers else ():
                for logger in loggers:
                    logger.log_image(f"val/pictures/{name}", [picture])


def _drawn(shown: Gathered) -> list[tuple[str, Image.Image]]:
    """The figures that there are facts for, by name."""
    patches = region_patches(shown.patches)
    figures: dict[str, Callable[[], Figure]] = {
        "explanation": lambda: summary_figure(shown.facts, patches),
        "region_groups": lambda: region_groups_figure(shown.facts),
        "region_differences": lambda: region_differences_figure(
            shown.differences, [row.region for row in region_rows(shown.facts)]
        ),
    }
    pictures: list[tuple[str, Image.Image]] = []
    for name, draw in figures.items():
        try:
            figure = draw()
        except INCOMPLETE:
            continue
        buffer = BytesIO()
        figure.savefig(buffer, dpi=_DOTS)
        pictures.append((name, Image.open(buffer)))
    return pictures
