"""The LightningModule that every backbone shares: steps, logging, optimizer, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn

from fer_lab.data.splitting.selection import plain
from fer_lab.errors import ConfigError, TrainingDivergedError
from fer_lab.losses import cross_entropy, mixed_cross_entropy, sample_cross_entropy
from fer_lab.models.brief_gradients import BriefGradients
from fer_lab.models.checkpoints import MODEL_CLASS
from fer_lab.models.epoch_figures import EvaluationFigures, TrainingFigures, training_means
from fer_lab.models.layer_groups import grouped
from fer_lab.models.optimization import (
    build_optimizer,
    build_schedules,
    check_optimizer,
    check_scheduler,
)
from fer_lab.models.plateaus import ExactPlateaus
from fer_lab.models.running_statistics import share_running_statistics
from fer_lab.models.sam import SAM
from fer_lab.models.weights import load_file

Batch = Mapping[str, Any]

# Steps between two looks at the training loss: each look waits for the device once. The same as
# Lightning's default log_every_n_steps, so that loggers get what is looked at.
LOOK_EVERY = 50

# An explanation coarser than this says nothing about single face regions.
MIN_GRID = 7


class Classifier(BriefGradients, ExactPlateaus):
    """Expression classifier over a backbone; subclasses say which one.

    A subclass states ``image_size``, ``mean``, ``std`` and ``attribution_method`` and defines
    ``build`` (the backbone with its head) and ``stages`` (where an explanation may look).

    It logs ``train/loss`` and ``train/accuracy`` per epoch, ``train/loss_step`` now and then,
    ``val/loss`` over the rows marked ``monitored`` (all, when the batch does not say),
    ``val/accuracy``, ``test/loss`` and ``test/accuracy`` over all rows. Evaluation losses are plain
    cross-entropy, so that they compare across ways of training. All are exact means over samples,
    whatever the batches and processes.

    Args:
        num_classes: number of expressions.
        classes: their names, kept in checkpoints.
        weights: ``random``, ``imagenet`` (where they are published), or a local weights file.
        optimizer: ``{name: adam | adamw | sgd, lr: …}``; Adam at 1e-3 by default.
        scheduler: ``{name: none | cosine | one_cycle | plateau | step, …}``.
        label_smoothing: share of the target spread over all classes in training, in [0, 1).
        image_size: side of the square input in pixels; the backbone's own by default.
        **architecture: what the subclass' ``build`` takes.

    Raises:
        ConfigError: for options that cannot work, and weights that are missing or do not fit.
    """

    image_size: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    attribution_method: ClassVar[Literal["gradcam", "hirescam"]] = "gradcam"
    # Pixels of the image's side that convolutions without padding cut off.
    unpadded: ClassVar[int] = 0
    # SAM goes over a batch again, whose figures are counted already.
    second_pass: bool = False

    _scale: Tensor
    _shift: Tensor

    def __init__(
        self,
        num_classes: int = 7,
        *,
        classes: Sequence[str] | None = None,
        weights: str = "random",
        optimizer: Mapping[str, Any] | None = None,
        scheduler: Mapping[str, Any] | None = None,
        label_smoothing: float = 0.0,
        image_size: int | None = None,
        **architecture: Any,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.classes = None if classes is None else tuple(classes)
        self.label_smoothing = label_smoothing
        self.optimizer_options = plain(optimizer or {"name": "adam", "lr": 1e-3})
        self.scheduler_options = plain(scheduler or {"name": "none"})
        if image_size is not None:
            self.image_size = image_size
        self._check()
        self.backbone = self.build(**architecture)
        if weights == "imagenet":
            self.backbone = self.imagenet_backbone()
        elif weights != "random":
            load_file(self.backbone, weights, head=self.head, classes=self.classes)
        # Plain containers, or a checkpoint would not load with weights_only=True; "random",
        # because whoever loads a checkpoint has its weights and perhaps no network.
        self.save_hyperparameters(
            {
                "num_classes": num_classes,
                "classes": None if classes is None else list(classes),
                "weights": "random",
                "optimizer": self.optimizer_options,
                "scheduler": self.scheduler_options,
                "label_smoothing": label_smoothing,
                "image_size": self.image_size,
                **plain(architecture),
            }
        )
        std = torch.tensor(self.std).view(1, 3, 1, 1)
        mean = torch.tensor(self.mean).view(1, 3, 1, 1)
        self.register_buffer("_scale", 1 / std, persistent=False)
        self.register_buffer("_shift", -mean / std, persistent=False)
        self._training_figures = TrainingFigures()
        self._evaluation_figures = EvaluationFigures()

    def build(self, *args: Any, **kwargs: Any) -> nn.Module:
        """The backbone with a head of ``num_classes``, randomly initialised."""
        raise NotImplementedError

    def imagenet_backbone(self) -> nn.Module:
        """The backbone with its published ImageNet weights and a new head."""
        raise ConfigError(
            f"no ImageNet weights are published for {type(self).__name__}",
            where="model.weights=imagenet",
            hint="use model.weights=random or the path of a weights file",
        )

    @property
    def head(self) -> str:
        """Path in ``backbone`` of the module that makes the logits."""
        raise NotImplementedError

    @property
    def stages(self) -> list[tuple[str, int]]:
        """Modules with a spatial output, first to last, and by how much each reduces the image."""
        raise NotImplementedError

    @property
    def attribution_layer(self) -> str:
        """The last spatial module whose grid has at least 7×7 cells at ``image_size``."""
        side = self.image_size - self.unpadded
        fine = [path for path, factor in self.stages if -(-side // factor) >= MIN_GRID]
        if not fine:
            raise ConfigError(
                f"{type(self).__name__} has no layer with a grid of {MIN_GRID}×{MIN_GRID} "
                f"at {self.image_size} px",
                where="model.image_size",
                hint="use larger images, or explain=none",
            )
        return fine[-1]

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``[B, C]`` of images ``[B, 3, H, W]`` with values in [0, 1]."""
        # Convolutions on a CPU take half the time (evaluation) in this memory format.
        normalised = self.normalise(image).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.backbone(normalised)
        # In mixed precision a network ends in 16 bits; nothing after it computes in so few.
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def normalise(self, image: Tensor) -> Tensor:
        """Images in [0, 1] as the backbone takes them: minus ``mean``, over ``std``."""
        return torch.addcmul(self._shift, image, self._scale)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch; right of a mixed image is the label of its first, larger face."""
        label, logits = batch["label"], self(batch["image"])
        loss = self.training_loss(logits, batch)
        if self.second_pass:
            return loss
        figures = self._training_figures
        figures.add(
            epoch=self.current_epoch,
            batch=batch_idx,
            size=len(label),
            loss=loss,
            correct=(logits.detach().argmax(1) == label).sum(),
        )
        if (self.global_step + 1) % LOOK_EVERY == 0:
            figures.look()
            self.log("train/loss_step", figures.latest, prog_bar=True)
        return loss

    def training_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy ``[]`` of logits ``[B, C]``, by what the batch says of its samples.

        ``weight`` and, of mixed images, the second face's label, share and weight are used where
        the batch has them.
        """
        label, weight, smoothing = batch["label"], batch.get("weight"), self.label_smoothing
        if "second_label" not in batch:
            return cross_entropy(logits, label, weight, label_smoothing=smoothing)
        second, share = batch["second_label"], batch["second_share"]
        weights = None if weight is None else (weight, batch["second_weight"])
        return mixed_cross_entropy(logits, label, second, share, weights, label_smoothing=smoothing)

    def on_train_epoch_start(self) -> None:
        """Begin new sums; not called when an epoch goes on from a checkpoint."""
        self._training_figures.reset(self.current_epoch)

    def on_train_epoch_end(self) -> None:
        """Log the epoch's means."""
        loss, accuracy = training_means(self._training_figures, self.trainer)
        self._training_figures.reset()
        self._log("train", loss, accuracy)
        super().on_train_epoch_end()

    def validation_step(self, batch: Batch) -> dict[str, Tensor]:
        """``logits`` [B, C] and the ``loss`` [B] of each sample."""
        return self._evaluate(batch, batch.get("monitored"))

    def test_step(self, batch: Batch) -> dict[str, Tensor]:
        """``logits`` [B, C] and the ``loss`` [B] of each sample."""
        return self._evaluate(batch, None)

    def predict_step(self, batch: Batch) -> dict[str, Tensor]:
        """``logits`` [B, C]; the batch needs no labels."""
        return {"logits": self(batch["image"])}

    def on_validation_start(self) -> None:
        """Stop before a diverged model is audited."""
        if self.trainer.state.fn == TrainerFn.FITTING:
            self._training_figures.look()
            share_running_statistics(self)
        self._evaluation_figures.reset()

    def on_validation_epoch_end(self) -> None:
        """Log the means; weights that broke in the epoch's last step show up here."""
        loss, accuracy, counted = self._evaluation_figures.compute(self.trainer)
        if self.trainer.state.fn == TrainerFn.FITTING and counted and not loss.isfinite():
            raise TrainingDivergedError(
                f"the validation loss became {loss.item():g}",
                where=f"epoch {self.current_epoch} (counted from 0), after its last batch",
                hint="lower model.optimizer.lr or set trainer.gradient_clip_val=1",
            )
        self._log("val", loss, accuracy)

    def on_test_start(self) -> None:
        """Forget an evaluation that was broken off."""
        self._evaluation_figures.reset()

    def on_test_epoch_end(self) -> None:
        """Log the means."""
        loss, accuracy, _ = self._evaluation_figures.compute(self.trainer)
        self._log("test", loss, accuracy)

    def configure_optimizers(self) -> Any:
        """Optimizer and schedule as configured."""
        options = self.optimizer_options
        if self.trainer.gradient_clip_val and "mixed" in str(self.trainer.precision):
            options = {"fused": False, **options}  # Lightning clips for no other one then
        optimizer = build_optimizer(*grouped(self, options))
        if isinstance(optimizer, SAM):
            optimizer.attach(self)
        return [optimizer], build_schedules(optimizer, self.scheduler_options, self.trainer)

    def setup(self, stage: str) -> None:  # noqa: ARG002 - Lightning names it
        """Compare the classes with those of the data, once both are known."""
        offered = getattr(getattr(self.trainer, "datamodule", None), "classes", None)
        if offered is None:
            return
        wrong = tuple(offered) != self.classes if self.classes else len(offered) != self.num_classes
        if wrong:
            mine = ", ".join(self.classes) if self.classes else f"{self.num_classes} classes"
            raise ConfigError(
                f"the data has the classes {', '.join(offered)}, the model tells apart {mine}",
                where="classes",
                hint="give model and data the same classes, in the same order",
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to save a diverged model; keep the model's class and the epoch's sums so far."""
        checkpoint[MODEL_CLASS] = f"{type(self).__module__}.{type(self).__qualname__}"
        if self._trainer is not None:
            checkpoint["training_figures"] = self._training_figures.state_dict(self.trainer)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the epoch's sums."""
        state = checkpoint.get("training_figures")
        if state and self._trainer is not None and self.trainer.state.fn == TrainerFn.FITTING:
            self._training_figures.load_state_dict(state, self.trainer)

    def _evaluate(self, batch: Batch, monitored: Tensor | None) -> dict[str, Tensor]:
        label = batch["label"]
        # Without autocast: what is audited is what predict, export and the explanations compute.
        with torch.autocast(self.device.type, enabled=False):
            logits = self(batch["image"])
        loss = sample_cross_entropy(logits, label)
        correct = logits.argmax(1) == label
        self._evaluation_figures.add(loss=loss, correct=correct, monitored=monitored)
        return {"logits": logits, "loss": loss}

    def _log(self, stage: str, loss: Tensor, accuracy: Tensor) -> None:
        # The values are the same on every process already; sync_dist only says so to Lightning.
        figures = torch.stack([loss, accuracy]).float().to(self.device)
        named = {f"{stage}/loss": figures[0], f"{stage}/accuracy": figures[1]}
        self.log_dict(named, sync_dist=self.trainer.world_size > 1, prog_bar=stage == "val")

    def _check(self) -> None:
        if self.num_classes < 2:
            raise ConfigError(f"num_classes={self.num_classes}: at least two are needed")
        if self.classes is not None and len(self.classes) != self.num_classes:
            raise ConfigError(
                f"{len(self.classes)} class names for num_classes={self.num_classes}",
                where="model.classes",
            )
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(
                f"{self.label_smoothing} is not in [0, 1)", where="model.label_smoothing"
            )
        check_optimizer(self.optimizer_options)
        check_scheduler(self.scheduler_options)
