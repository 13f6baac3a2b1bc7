"""CEPrompt's two classifiers over one image tower: by prompts, and by images alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from fer_lab.models.ceprompt.distillation import Lesson
from fer_lab.models.ceprompt.prompts import Prompts
from fer_lab.models.ceprompt.towers import PromptedImage, PromptedText


class CEPromptNetwork(nn.Module):
    """Normalised images -> logits: those of the prompts, later of the visual classifier.

    ``stage`` is 0 while prompts learn and 1 when they stand still. ``class_embeddings`` are those
    of the prompts, up to date whenever the network is in evaluation mode or in its second stage.

    Args:
        clip: ``open_clip.CLIP``, which is taken apart.
        rows: the tokens of each class' prompt.
        prompt_tokens: how many of them learn, the first ones.
        prompt_depth: number of layers of both towers with learned tokens.
        top_patches: how many patches stand for an image.
        local_share: of the patches in the scores, in [0, 1]; the rest is the whole image's.
        tuned_blocks: last blocks of the image tower that learn in the second stage.
    """

    stage: Tensor
    class_embeddings: Tensor

    def __init__(
        self,
        clip: Any,
        rows: Sequence[Sequence[int]],
        *,
        prompt_tokens: int,
        prompt_depth: int,
        top_patches: int,
        local_share: float,
        tuned_blocks: int,
    ) -> None:
        super().__init__()
        self.text = PromptedText(clip, rows)
        image_width, width = clip.visual.proj.shape
        context = self.text.words[0, 1 : 1 + prompt_tokens]
        self.prompts = Prompts(context, prompt_depth, image_width)
        self.image = PromptedImage(clip.visual, tuned_blocks)
        self.head = nn.Linear(width, len(rows))
        self.top_patches = top_patches
        self.local_share = local_share
        self.register_buffer("stage", torch.zeros((), dtype=torch.int64))
        self.register_buffer("class_embeddings", torch.zeros(len(rows), width))
        # The stage where the program branches: reading the buffer would wait for the device.
        self.distilling = False
        self.lesson: Lesson | None = None
        self.embed_classes()
        self.register_load_state_dict_post_hook(_follow_stage)  # type: ignore[no-untyped-call]

    def train(self, mode: bool = True) -> Self:
        """Prompts that have learned are embedded when training mode is left."""
        if self.training and not mode:
            self.embed_classes()
        return super().train(mode)

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``[B, C]`` of normalised images ``[B, 3, H, W]``.

        In training the second stage leaves ``lesson``: what teacher and pupil said.
        """
        if not self.distilling:
            prompts = self.prompts.image()
            tokens = self.image.end(self.image.begin(image, prompts), prompts, tuned=False)
            embedded = self.text(self.prompts.text()) if self.training else self.class_embeddings
            return self.scores(tokens, embedded)
        with torch.no_grad():
            prompts = self.prompts.image()
        trunk = self.image.begin(image, prompts)
        tokens = self.image.end(trunk, prompts, tuned=True)
        logits: Tensor = self.head(tokens[:, 0])
        if self.training:
            with torch.no_grad():
                taught = self.image.end(trunk, prompts, tuned=False)
                scores = self.scores(taught, self.class_embeddings)
            self.lesson = Lesson(logits, tokens[:, 0], scores, taught[:, 0])
        return logits

    def scores(self, tokens: Tensor, embedded: Tensor) -> Tensor:
        """Cosines with the classes as vectors of unit length, of the image and its best patches.

        Args:
            tokens: of ``PromptedImage.end``.
            embedded: class embeddings of unit length, ``[C, D]``.

        Returns:
            ``[B, C]`` in [−1, 1]: (1 − share) · that of the class token + share · that of the mean
            over the best patches of each class. There is no temperature.

        Source: the authors' ``models/clip_vit.py``, with 16 patches and a share of 0.5.
        """
        cosines = F.normalize(tokens, dim=2) @ embedded.T
        whole = F.normalize(cosines[:, 0], dim=1)
        places = cosines[:, 1 + self.prompts.context.shape[0] :]
        best = F.normalize(places.topk(self.top_patches, dim=1).values.mean(1), dim=1)
        return self.local_share * best + (1 - self.local_share) * whole

    @torch.no_grad()
    def embed_classes(self) -> None:
        """Bring ``class_embeddings`` up to date; in the second stage they stay as they are."""
        if not self.distilling:
            self.class_embeddings.copy_(self.text(self.prompts.text()))

    def begin_distilling(self) -> None:
        """The second stage, from which there is no way back."""
        self.embed_classes()
        self.stage.fill_(1)
        self.distilling = True

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:  # noqa: ARG002 - timm names it
        """Patterns of the names in each layer; prompts learn at the head's rate."""
        return {
            "stem": r"^image\.visual\.(?:class_embedding|positional_embedding|conv1|ln_pre)",
            "blocks": r"^image\.visual\.transformer\.resblocks\.(\d+)",
            "tuned": r"^image\.tuned\.(\d+)",
        }

    def resting(self) -> list[nn.Parameter]:
        """Parameters that learn in the other stage only."""
        visual = [*self.image.tuned.parameters(), *self.head.parameters()]
        return list(self.prompts.parameters()) if self.distilling else visual


def _follow_stage(network: nn.Module, _keys: Any) -> None:
    assert isinstance(network, CEPromptNetwork)
    network.distilling = bool(network.stage)
