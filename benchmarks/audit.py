"""The validation-time audit as a share of an epoch, at the defaults of `make train`.

A default training of a few epochs runs in this process; the clock is read around every hook of the
auditing callbacks (predictions, fairness, regions). The share of an epoch is the time inside those
hooks over the time from one epoch's start to the next. On a CPU nothing runs behind its back.

Target: at most 15 %.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks._defaults import default_run, quiet

EPOCHS = 4


class Clock:
    """Seconds spent in the hooks of some callbacks, and each epoch's share of them."""

    def __init__(self) -> None:
        self.spent = 0.0
        self.depth = 0
        self.marks: list[tuple[float, float]] = []

    def around(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        """``hook``, timed; hooks called by hooks count once."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            self.depth += 1
            start = time.perf_counter()
            try:
                return hook(*args, **kwargs)
            finally:
                self.depth -= 1
                if self.depth == 0:
                    self.spent += time.perf_counter() - start

        return timed

    def shares(self) -> list[float]:
        """The share of every epoch that was spent in the hooks."""
        pairs = zip(self.marks, self.marks[1:], strict=False)
        return [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs]


def main() -> None:
    import pytorch_lightning as pl
    from hydra.utils import instantiate

    from fer_lab.callbacks import Explanations, FairnessAudit, PredictionWriter
    from fer_lab.train import build_callbacks

    quiet()
    with default_run("logger=none") as (cfg, folder):
        clock = Clock()

        class Epochs(pl.Callback):
            def on_train_epoch_start(self, *_: Any) -> None:
                clock.marks.append((time.perf_counter(), clock.spent))

            on_train_end = on_train_epoch_start

        callbacks = build_callbacks(cfg)
        for callback in callbacks:
            if isinstance(callback, (FairnessAudit, PredictionWriter, Explanations)):
                for name in dir(callback):
                    if name.startswith("on_"):
                        setattr(callback, name, clock.around(getattr(callback, name)))
        data = instantiate(cfg.data, _convert_="all")
        model = instantiate(cfg.model, _convert_="all", image_size=cfg.recipe.image_size)
        trainer = pl.Trainer(
            max_epochs=EPOCHS,
            accelerator="auto",
            devices=1,
            callbacks=[*callbacks, Epochs()],
            default_root_dir=str(folder),
            logger=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            enable_model_summary=False,
        )
        trainer.fit(model, data)
        shares = clock.shares()
    print(
        f"audit / epoch: median {statistics.median(shares):.1%} "
        f"(from {min(shares):.1%} to {max(shares):.1%} over {len(shares)} epochs; target <= 15 %)"
    )


if __name__ == "__main__":
    main()
