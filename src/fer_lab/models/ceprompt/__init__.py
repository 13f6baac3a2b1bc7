"""CEPrompt: prompts learned in both towers of CLIP, then distilled to a visual classifier."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import open_clip
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fer_lab.errors import ConfigError
from fer_lab.losses import weighted_mean
from fer_lab.models.ceprompt.distillation import distillation as lesson_of
from fer_lab.models.ceprompt.network import CEPromptNetwork
from fer_lab.models.classifier import Batch
from fer_lab.models.clip_prompts import check_prompts, prompts_of, tokens_of
from fer_lab.models.clip_tower import CLIPImageTower
from fer_lab.models.clip_weights import load_towers, weights_file
from fer_lab.models.sizes import refuse_unfilled

__all__ = ["CEPrompt", "CEPromptNetwork"]

log = logging.getLogger(__name__)


class CEPrompt(CLIPImageTower):
    """CLIP ViT-B/16 with learned tokens in both towers, and a visual classifier taught by them.

    One training has two stages. First the prompts learn: the first words of each class' text, in
    the text tower's first layers, and tokens beside the patches in the image tower's, which linear
    layers make of them. An image is the class that its embeddings are nearest to. Then the prompts
    stand still and a visual classifier learns, from the labels and from what the prompts say: a
    linear head on the image tower, whose last blocks may learn too. Both towers are frozen.

    The model answers with what its stage has, in both without the text tower, which is kept for
    going on with a training. In the first stage logits are cosines in [−1, 1] without a
    temperature, as in the authors' code, and probabilities therefore flat: at most 0.33 of 7.

    Args:
        num_classes: number of expressions.
        weights: as of ``CLIPImageTower``, with both towers.
        prompt_epochs: epochs of the first stage, 0 or more.
        distillation: weight of what the prompts say in the second stage, not negative.
        temperature: of the prompts' scores where they teach, positive.
        **options: see ``build`` and ``CLIPImageTower``; ``classes`` is needed.

    Raises:
        ConfigError: without the names of classes, for templates that make no prompts, for numbers
            out of range, and for what ``CLIPImageTower`` refuses.

    Source: Zhou et al. 2024, and the code they publish (HaoliangZhou/CEPrompt).
    """

    backbone: CEPromptNetwork

    def __init__(
        self,
        num_classes: int = 7,
        *,
        weights: str = "random",
        prompt_epochs: int = 3,
        distillation: float = 1.0,
        temperature: float = 0.1,
        **options: Any,
    ) -> None:
        _check_number("prompt_epochs", prompt_epochs, 0, whole=True)
        _check_number("distillation", distillation, 0)
        _check_number("temperature", temperature, 0)
        if temperature == 0:
            raise ConfigError("a temperature is positive", where="model.temperature=0")
        super().__init__(num_classes, weights=weights, **options)
        self.prompt_epochs = prompt_epochs
        self.distillation = distillation
        self.temperature = temperature
        self.save_hyperparameters(
            {
                "prompt_epochs": prompt_epochs,
                "distillation": distillation,
                "temperature": temperature,
            }
        )

    def build(
        self,
        *,
        quick_gelu: bool = True,
        template: str = "a photo of {expression}.",
        words: Mapping[str, str] | None = None,
        prompt_tokens: int = 2,
        prompt_depth: int = 9,
        local_share: float = 0.5,
        top_patches: int = 16,
        tuned_blocks: int = 0,
    ) -> nn.Module:
        """Both towers with prompts, and a head.

        Args:
            quick_gelu: as of ``CLIPImageTower``.
            template: of the prompts, with ``{expression}`` where the word stands; it begins with
                words for all learned tokens.
            words: of classes in prompts, where it is not the usual one: ``{"fear": "afraid"}``.
            prompt_tokens: number of learned tokens in a layer.
            prompt_depth: number of layers of each tower with learned tokens, the first ones.
            local_share: of the best patches in the first stage's scores, in [0, 1].
            top_patches: how many patches are the best ones.
            tuned_blocks: last blocks of the image tower that learn in the second stage.
        """
        self._rows = self._prompts(template, words or {}, prompt_tokens)
        config = self.config(quick_gelu=quick_gelu)
        vision, text = config["vision_cfg"], config["text_cfg"]
        patch = vision["patch_size"]
        refuse_unfilled(self, self.image_size, patch, (7 * patch, 14 * patch))
        layers, patches = vision["layers"], (self.image_size // patch) ** 2
        deepest = min(layers, text["layers"])
        _check_number("prompt_depth", prompt_depth, 1, deepest, whole=True)
        _check_number("local_share", local_share, 0, 1)
        _check_number("top_patches", top_patches, 1, patches, whole=True)
        _check_number("tuned_blocks", tuned_blocks, 0, layers, whole=True)
        self._config = config
        self._parts: dict[str, Any] = {
            "prompt_tokens": prompt_tokens,
            "prompt_depth": prompt_depth,
            "local_share": local_share,
            "top_patches": top_patches,
            "tuned_blocks": tuned_blocks,
        }
        return self._network(open_clip.CLIP(**config))

    def load(self, weights: str) -> None:
        """Fill both towers, and start the prompts as words."""
        clip = open_clip.CLIP(**self._config)
        load_towers(clip, weights_file(self.architecture, weights))
        self.backbone = self._network(clip)

    @property
    def stages(self) -> list[tuple[str, int]]:
        """The patches that the last block reads."""
        return [("backbone.image.patches", self._config["vision_cfg"]["patch_size"])]

    def setup(self, stage: str) -> None:
        """Say so when what is frozen knows nothing, or the second stage is never reached."""
        super().setup(stage)
        if stage != "fit":
            return
        if self._untaught:
            log.warning(
                "CEPrompt's towers are frozen and random; give model.weights=openai or a "
                "weights file"
            )
        epochs = self.trainer.max_epochs
        if epochs is not None and 0 <= epochs <= self.prompt_epochs:
            log.warning(
                "prompts learn for %d epochs and the training has %d: there will be no visual "
                "classifier; lower model.prompt_epochs or raise recipe.max_epochs",
                self.prompt_epochs,
                epochs,
            )

    def on_train_epoch_start(self) -> None:
        """Begin the second stage when its epoch has come."""
        super().on_train_epoch_start()
        if self.current_epoch >= self.prompt_epochs:
            self.backbone.begin_distilling()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch."""
        loss = super().training_step(batch, batch_idx)
        # Several processes wait for a gradient of every parameter: nothing, of what rests.
        return loss + sum(parameter.flatten()[:0].sum() for parameter in self.backbone.resting())

    def training_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The cross-entropy, in the second stage with what the prompts teach; both are weighted."""
        loss = super().training_loss(logits, batch)
        lesson, self.backbone.lesson = self.backbone.lesson, None
        if lesson is None:
            return loss
        weight = batch.get("weight")
        if weight is not None and "second_weight" in batch:  # of the image that two faces share
            weight = torch.lerp(weight, batch["second_weight"], batch["second_share"])
        distances = lesson_of(lesson, self.temperature)
        return loss + self.distillation * weighted_mean(distances, weight)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:  # noqa: ARG002 - Lightning's
        """What rests has no gradient, so that neither momentum nor weight decay moves it."""
        for parameter in self.backbone.resting():
            parameter.grad = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the embeddings of the prompts as they are now, also in the middle of an epoch."""
        # The checkpoint holds the buffer itself.
        self.backbone.embed_classes()
        super().on_save_checkpoint(checkpoint)

    def _network(self, clip: Any) -> CEPromptNetwork:
        return CEPromptNetwork(clip, self._rows, **self._parts)

    def _prompts(self, template: str, words: Mapping[str, str], learned: int) -> list[list[int]]:
        """The tokens of each class' prompt."""
        if not self.classes:
            raise ConfigError(
                "prompts are learned around the names of classes, and none are given",
                where="model.classes",
            )
        check_prompts([template], words, self.classes, option="template")
        _check_number("prompt_tokens", learned, 1, whole=True)
        texts = [text for (text,) in prompts_of(self.classes, [template], words)]
        beginning, *rows = tokens_of(
            self.architecture, [template.partition("{")[0], *texts], option="template"
        )
        free = len(beginning) - 2  # without start and end
        if learned > free:
            raise ConfigError(
                f"{learned} tokens are to be learned, and {free} stand before the word in "
                f"{template!r}",
                where="model.prompt_tokens",
                hint="lengthen model.template: learned tokens start as its first words",
            )
        return rows


def _check_number(
    option: str, value: Any, low: float, high: float = math.inf, *, whole: bool = False
) -> None:
    right = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not right or not math.isfinite(value) or not low <= value <= high:
        number = "a whole number" if whole else "a number"
        bounds = f"of {low:g} or more" if high == math.inf else f"from {low:g} to {high:g}"
        raise ConfigError(f"{value!r} is not {number} {bounds}", where=f"model.{option}")
