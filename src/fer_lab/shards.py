"""The sharding task: a dataset into tar files that are read while a training goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from fer_lab.errors import ConfigError, DataError

if TYPE_CHECKING:
    from fer_lab.data.shards.index import Index


def shards(cfg: DictConfig, folder: Path) -> Index:  # noqa: ARG001 - nothing goes there
    """Write every row of a dataset whose image can be read.

    Args:
        cfg: the composed configuration of ``conf/shards.yaml``.
        folder: of the run.

    Raises:
        ConfigError: for an option that cannot work, or several datasets at once.
        DataError: for data that are not as promised, or when no row can be used.
    """
    from collections import Counter

    import numpy as np
    from rich.console import Console

    from fer_lab.data.annotating import annotate_each
    from fer_lab.data.assets import assets
    from fer_lab.data.loading import read_manifests
    from fer_lab.data.pixels.inspection import inspect
    from fer_lab.data.pixels.packed import default_cache
    from fer_lab.data.shards.writing import refuse_existing, write_shards
    from fer_lab.data.splitting.partition import partition
    from fer_lab.data.splitting.selection import plain
    from fer_lab.data.splitting.split_options import Split
    from fer_lab.places import refuse_unwritable_folder

    for name, kinds in (("shard_mb", int | float), ("image_size", int)):
        if not isinstance(cfg[name], kinds) or cfg[name] <= 0:
            raise ConfigError(f"{name}={cfg[name]} is no size", where=name)
    output = Path(cfg.output).expanduser()
    refuse_existing(output)
    refuse_unwritable_folder(output, "output")
    place = cfg.data.cache_dir
    cache = default_cache() if place is None else Path(place).expanduser()
    sources = {name: options or {} for name, options in plain(cfg.dataset.sources).items()}
    if len(sources) != 1:
        raise ConfigError(
            f"shards hold one dataset, not {len(sources)}",
            where=f"dataset=[{','.join(sources)}]",
            hint="write each into a folder of its own",
        )
    (manifest,) = annotate_each(read_manifests(sources, cache), plain(cfg.data.annotations))
    every = np.arange(len(manifest))
    inspected = inspect(manifest, every, cache, verify=True)
    lie_together = partition(manifest, Split.of(plain(cfg.split)), inspected.good).manifest["split"]
    dropped = Counter(assets(manifest).dropped)
    dropped.update(inspected.unusable)
    dropped.update(inspected.unreadable["reason"].tolist())
    if not inspected.good.any():
        raise DataError("no image can be read", where=cfg.dataset.name)
    index = write_shards(
        inspected.manifest[inspected.good],
        output,
        shard_size=round(cfg.shard_mb * 1e6),
        image_size=cfg.image_size,
        grouped_by=lie_together[inspected.good],
        seed=cfg.seed,
        dropped=dict(dropped),
    )
    lines = [f"set aside: {reason}: {count:,}" for reason, count in dropped.items()]
    lines += [
        f"{index.faces:,} faces in {len(index.shards)} shards of {index.size / 1e9:.3g} GB",
        f"  in {output.resolve()}",
        f"to train on them: fer-lab train dataset=shards dataset.root='{output.resolve()}'",
    ]
    Console().print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)
    return index
