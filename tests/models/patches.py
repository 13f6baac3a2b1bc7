"""One patch that decides, found again in the maps that explain it."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from fer_lab.explain import attribute


def assert_the_deciding_patch_is_explained(model, place: tuple[int, int], side: int) -> None:
    """A model that answers 1 for red patches of 16 px, asked with a single one at ``place``."""
    image = torch.full((1, 3, side, side), 0.5) + 0.01 * torch.rand(1, 3, side, side)
    plain = model(image)
    row, column = place
    image[:, 0, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = 1
    assert model(image)[0, 1] > plain[0, 1]
    for method in ("gradcam", "hirescam"):
        heat = attribute(model, image, 1, method=method)
        cells = F.avg_pool2d(heat[:, None], 16)[0, 0]
        assert divmod(int(cells.argmax()), side // 16) == place
        # Neighbours get what the enlargement to pixels spreads, the others nothing.
        apart = [
            cells[r, c]
            for r in range(side // 16)
            for c in range(side // 16)
            if max(abs(r - row), abs(c - column)) > 1
        ]
        assert max(apart) < 0.2 * cells.max()
