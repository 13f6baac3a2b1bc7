"""The region masks of images that are explained, from the best source that each dataset has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fer_lab.data.datamodule import FaceDataModule
from fer_lab.data.pixels.masks import NO_REGION
from fer_lab.data.pixels.packed import default_cache
from fer_lab.faces.parsing import FaceParser, load_parser, weights_file
from fer_lab.faces.polygons import landmark_regions
from fer_lab.faces.region_source import ORDER, RegionSource, region_source


class RegionMasks:
    """Masks for batches: those that come with them, a parser's, or outlines from landmarks.

    Args:
        data: after its set-up.
        parser: ``bisenet``, ``parsenet``, or None: no face is parsed.
        parser_dir: folder of the parser's weights; None is ``face_models`` in the cache folder.
        order: the sources to look at, best first.

    Raises:
        ConfigError: for a parser or source that there is not, and for weights that are missing
            where a dataset needs them.
    """

    def __init__(
        self,
        data: FaceDataModule,
        *,
        parser: str | None = None,
        parser_dir: str | Path | None = None,
        order: Sequence[str] = ORDER,
    ) -> None:
        folder = default_cache() / "face_models" if parser_dir is None else Path(parser_dir)
        rows = np.unique(np.concatenate([data.val_rows, data.test_rows]))
        manifest = data.manifest.iloc[rows]
        wanted = [name for name in order if parser is not None or name != "parser"]
        file = None if parser is None else weights_file(parser, folder)
        self.sources: dict[str, RegionSource] = region_source(
            manifest,
            parser_file=file,
            order=wanted,  # type: ignore[arg-type]  # names are checked there
        )
        self._parser: FaceParser | None = None
        self._kept: dict[tuple[int, ...], Tensor] = {}
        dataset = data.manifest["dataset"].astype(str)
        self._source = {
            source: torch.from_numpy(
                np.array(dataset.isin([k for k, v in self.sources.items() if v.source == source]))
            )
            for source in ("parser", "landmarks", None)
        }
        self._made = any(source.any() for source in self._source.values())
        asked = any("parser" in dict(found.reasons) for found in self.sources.values())
        if parser is not None and asked:
            self._parser = load_parser(parser, folder, turn_off="explain.parser=null")

    def __bool__(self) -> bool:
        """Whether any dataset has masks."""
        return any(found.source is not None for found in self.sources.values())

    def of(self, batch: Mapping[str, Any], *, keep: bool = False) -> Tensor:
        """The masks of a batch.

        Args:
            batch: as a validation step sees it.
            keep: remember what a parser says of these rows: they will be asked for again.

        Returns:
            uint8 ``[B, H, W]``, index in ``vocabulary.REGIONS``; 255 where no region is known.
        """
        image, index = batch["image"], batch["index"]
        masks: Tensor | None = batch.get("regions")
        if masks is not None and not self._made:
            return masks
        rows = index.cpu()
        key = tuple(rows.tolist()) if keep else ()
        if key in self._kept:
            return self._kept[key].to(image.device)
        shape = (len(image), *image.shape[-2:])
        masks = torch.full(shape, NO_REGION, dtype=torch.uint8) if masks is None else masks.clone()
        masks = masks.cpu()
        outlined = self._source["landmarks"][rows]
        if outlined.any() and "landmarks" in batch:
            points = batch["landmarks"][outlined.to(image.device)].cpu().numpy()
            masks[outlined] = torch.from_numpy(landmark_regions(points, shape[1:]))
        # Masks of a source that was not to be looked at.
        masks[self._source[None][rows]] = NO_REGION
        parsed = self._source["parser"][rows]
        if self._parser is not None and parsed.any():
            parser = self._parser.to(image.device)
            masks[parsed] = parser(image[parsed.to(image.device)]).cpu()
        if keep:
            self._kept[key] = masks
        return masks.to(image.device)

    def facts(self) -> dict[str, dict[str, Any]]:
        """What a record says of the sources, by dataset."""
        return {
            name: {
                "source": found.source,
                "faces": found.faces,
                "covered": found.covered,
                "reasons": dict(found.reasons),
            }
            for name, found in self.sources.items()
        }
