"""CLIP ViT-B/16: its image tower under a linear head, and zero-shot by text prompts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import open_clip
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from fer_lab.errors import ConfigError
from fer_lab.models.classifier import Batch
from fer_lab.models.clip_prompts import check_prompts, prompts_of, tokens_of
from fer_lab.models.clip_tower import CLIPImageTower, TowerWithHead
from fer_lab.models.clip_weights import load_towers, weights_file
from fer_lab.models.freezing import PartlyFrozen, rest

log = logging.getLogger(__name__)

TEMPLATES = ("a photo of a {expression} face",)


class CosineHead(nn.Module):
    """Scaled cosine between a feature and the text feature of each class; nothing learns.

    Both are random until they are set, and kept in checkpoints.
    """

    text_features: Tensor
    scale: Tensor

    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__()
        features = F.normalize(torch.randn(num_classes, width), dim=1)
        self.register_buffer("text_features", features)
        self.register_buffer("scale", torch.tensor(1 / 0.07))

    def forward(self, feature: Tensor) -> Tensor:
        """Logits ``[B, C]`` of features ``[B, D]``."""
        return self.scale * F.normalize(feature, dim=1) @ self.text_features.T


class CLIPB16(CLIPImageTower, PartlyFrozen):
    """The image tower of CLIP ViT-B/16, 86.2 million parameters, under a linear head. 224 px.

    The head takes the embedding that CLIP compares with texts. By default the tower is frozen and
    the head alone learns; ``frozen=[]`` tunes all.

    Args:
        num_classes: number of expressions.
        weights: as of ``CLIPImageTower``.
        frozen: paths in ``backbone`` of modules that do not learn and stay as in evaluation; None
            is the tower.
        **options: of ``CLIPImageTower``.

    Raises:
        ConfigError: for a path of no module, and for what ``CLIPImageTower`` refuses.

    Source: Radford et al. 2021; open_clip's ``ViT-B-16``.
    """

    frozen = ("visual",)
    published: ClassVar[str] = "openai"

    def __init__(
        self,
        num_classes: int = 7,
        *,
        weights: str = "random",
        frozen: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(num_classes, weights=weights, **options)
        self.hold(frozen, weights)

    def build(self, *, quick_gelu: bool = True) -> nn.Module:
        """The tower and a new head."""
        visual: Any = self.tower(quick_gelu=quick_gelu)
        return TowerWithHead(visual, nn.Linear(visual.output_dim, self.num_classes))


class CLIPZeroShot(CLIPImageTower):
    """CLIP ViT-B/16 as it is: the expression whose prompt is nearest to the image. 224 px.

    Logits are the cosines between the image's embedding and that of each class, times CLIP's scale.
    A class' embedding is the mean over its prompts, each of unit length, and made of unit length.
    The texts are embedded once: neither checkpoints nor the model keep the text tower.

    Nothing learns. A training is one step that changes nothing, so that there is a checkpoint and
    an evaluation as of any model; it logs no figures of the training images.

    Args:
        num_classes: number of expressions.
        weights: as of ``CLIPImageTower``; with ``random`` the class embeddings are random too.
        **options: see ``build`` and ``CLIPImageTower``.

    Raises:
        ConfigError: for templates without ``{expression}``, prompts that are too long, weights
            without class names, and for what ``CLIPImageTower`` refuses.

    Source: Radford et al. 2021, section 3.1; open_clip's ``ViT-B-16``.
    """

    templates: tuple[str, ...]
    words: dict[str, str]
    quick_gelu: bool

    def __init__(self, num_classes: int = 7, **options: Any) -> None:
        super().__init__(num_classes, **options)
        self.backbone.requires_grad_(requires_grad=False)
        rest(self.backbone, ["visual"])

    def build(
        self,
        *,
        quick_gelu: bool = True,
        templates: Sequence[str] = TEMPLATES,
        words: Mapping[str, str] | None = None,
    ) -> nn.Module:
        """The tower and a head of class embeddings.

        Args:
            quick_gelu: as of ``CLIPImageTower``.
            templates: of the prompts, with ``{expression}`` where the word stands; several are
                averaged.
            words: of classes in prompts, where it is not the usual one: ``{"fear": "afraid"}``.
        """
        self.quick_gelu = quick_gelu
        self.templates = (templates,) if isinstance(templates, str) else tuple(templates)
        self.words = dict(words or {})
        check_prompts(self.templates, self.words, self.classes)
        visual: Any = self.tower(quick_gelu=quick_gelu)
        return TowerWithHead(visual, CosineHead(self.num_classes, visual.output_dim))

    @property
    def prompts(self) -> list[list[str]]:
        """The texts of each class, one of each template."""
        return prompts_of(self.classes or (), self.templates, self.words)

    def load(self, weights: str) -> None:
        """Fill the tower, and embed the prompts.

        Raises:
            ConfigError: without class names, and for a prompt that is too long.
        """
        if not self.classes:
            raise ConfigError(
                "zero-shot compares images with the names of classes, and none are given",
                where="model.classes",
            )
        clip = open_clip.CLIP(**self.config(quick_gelu=self.quick_gelu))
        load_towers(clip, weights_file(self.architecture, weights))
        texts = [text for texts in self.prompts for text in texts]
        rows = tokens_of(self.architecture, texts)
        tokens = torch.tensor([row + [0] * (clip.context_length - len(row)) for row in rows])
        with torch.no_grad():
            found = clip.eval().encode_text(tokens, normalize=True)
            found = found.unflatten(0, (self.num_classes, -1)).mean(1)
            backbone: Any = self.backbone
            backbone.visual = clip.visual
            backbone.head.text_features.copy_(F.normalize(found, dim=1))
            backbone.head.scale.copy_(clip.logit_scale.exp())

    def train(self, mode: bool = True) -> Self:
        """Training mode, but for the tower."""
        super().train(mode)
        rest(self.backbone, ["visual"])
        return self

    def setup(self, stage: str) -> None:
        """One batch is enough of a training in which nothing learns.

        Raises:
            ConfigError: for a training on several processes.
        """
        super().setup(stage)
        if stage == "fit":
            if self.trainer.world_size > 1:
                raise ConfigError(
                    "zero-shot learns nothing, so that several processes have nothing to train",
                    where="trainer.devices",
                    hint="make the checkpoint with trainer=auto; fer-lab evaluate checkpoint=last "
                    "trainer=ddp then shares the images out",
                )
            self.trainer.limit_train_batches = 1
            if self._untaught:
                log.warning(
                    "zero-shot with random weights answers by chance; give model.weights=openai "
                    "or a weights file"
                )

    def configure_optimizers(self) -> None:
        """There is nothing to optimise."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002 - Lightning's
        """A loss of nothing."""
        return torch.zeros((), device=self.device)

    def backward(self, loss: Tensor, *_: Any, **__: Any) -> None:
        """Nothing learns from ``loss``."""

    def on_train_epoch_end(self) -> None:
        """No figures: the training images were not looked at."""
