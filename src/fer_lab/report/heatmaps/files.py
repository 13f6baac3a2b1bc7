"""The files that a comparison of heatmaps leaves: arrays, tables and one document."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from fer_lab.files import atomic_path, write_json
from fer_lab.report.heatmaps.study import Study


def write_study(study: Study, folder: Path) -> list[Path]:
    """Write all numbers.

    ``heatmaps.npz`` holds ``names`` and ``heatmaps`` (float32 ``[K, H, W]``), and for the
    difference images ``differences/<expression>/<title>`` and ``floors/<expression>/<title>``,
    both times three as in the study. ``distances.csv`` is a square table, ``linkage.csv`` scipy's
    linkage with the support and the members of each merge, ``heatmaps.json`` the rest.

    Args:
        study: the comparison.
        folder: where the files go.

    Returns:
        The paths.
    """
    arrays = {"names": np.array(study.names, dtype=np.str_), "heatmaps": study.heatmaps}
    for label, named in study.contrasts.items():
        for title, each in named.items():
            arrays[f"differences/{label}/{title}"] = 3 * (each.first - each.second)
            arrays[f"floors/{label}/{title}"] = each.floor
    paths = [folder / "heatmaps.npz", folder / "distances.csv", folder / "heatmaps.json"]
    with atomic_path(paths[0]) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
    with atomic_path(paths[1]) as temporary:
        distance_frame(study).to_csv(temporary)
    write_json(paths[2], study.facts)
    if study.comparison.tree is not None:
        paths.append(folder / "linkage.csv")
        with atomic_path(paths[-1]) as temporary:
            linkage_frame(study).to_csv(temporary, index=False)
    return paths


def distance_frame(study: Study) -> pd.DataFrame:
    """The distances with the heatmaps' names on both sides."""
    return pd.DataFrame(
        study.comparison.distances,
        index=pd.Index(study.names, name="heatmap"),
        columns=list(study.names),
    )


def linkage_frame(study: Study) -> pd.DataFrame:
    """The merges of the tree, ``first`` and ``second`` numbered as scipy does.

    Returns:
        ``first``, ``second``, ``height``, ``size``, ``support`` and ``members`` (names joined by
        semicolons), the tree's root last.
    """
    tree, support = study.comparison.tree, study.comparison.support
    assert tree is not None
    members = [[name] for name in study.names]
    rows = []
    for number, (first, second, height, size) in enumerate(tree.tolist()):
        members.append([*members[int(first)], *members[int(second)]])
        rows.append(
            {
                "first": int(first),
                "second": int(second),
                "height": height,
                "size": int(size),
                "support": None if support is None else float(support[number]),
                "members": "; ".join(members[-1]),
            }
        )
    return pd.DataFrame(rows)
