"""The manifest: one table for every dataset, one row per face, checked once where it is made."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd

from fer_lab.data.assets import ARRAY_SHAPES, Assets, Reader, Sample, assets
from fer_lab.data.schema import (
    ATTRIBUTE_PREFIX,
    DEMOGRAPHICS,
    NO_SOURCE,
    REQUIRED,
    SPLITS,
    validate,
)
from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.errors import ConfigError, DataError, near_miss

__all__ = [
    "ARRAY_SHAPES",
    "DEMOGRAPHICS",
    "NO_SOURCE",
    "REQUIRED",
    "SPLITS",
    "Assets",
    "Reader",
    "Sample",
    "assets",
    "attribute_column",
    "fingerprint",
    "group_values",
    "merge",
    "renamed",
    "validate",
]


def attribute_column(manifest: pd.DataFrame, attribute: str) -> str:
    """The column of an attribute: its own name, or ``attribute_<name>``.

    Raises:
        ConfigError: when no categorical column has that name, listing those that exist.
    """
    for name in (attribute, ATTRIBUTE_PREFIX + attribute):
        if name != "split" and _is_categorical(manifest, name):
            return name
    known = [
        str(name).removeprefix(ATTRIBUTE_PREFIX)
        for name, dtype in manifest.dtypes.items()
        if isinstance(dtype, pd.CategoricalDtype) and name != "split"
    ]
    near = near_miss(attribute, known)
    raise ConfigError(
        f"no attribute {attribute!r} in this data" + (f"; did you mean {near!r}?" if near else ""),
        where="attributes, split.where or test_split.where",
        hint=f"attributes here: {', '.join(known)}",
    )


def group_values(manifest: pd.DataFrame, attribute: str) -> tuple[str, ...]:
    """The groups of an attribute in their order, without ``unknown``.

    Raises:
        ConfigError: when the manifest has no such attribute.
    """
    categories = manifest[attribute_column(manifest, attribute)].cat.categories
    return tuple(str(value) for value in categories if value != UNKNOWN)


def fingerprint(manifest: pd.DataFrame) -> str:
    """A hash of a manifest's ordered content: 16 hexadecimal digits of SHA-256.

    Folders in ``Assets.roots`` are left out of the paths, so that moving a dataset keeps its
    fingerprint; the groups of each attribute, arrays and the keys of readers are part of it.
    """
    beside = assets(manifest)
    digest = hashlib.sha256()
    for name in sorted(map(str, manifest.columns)):
        column = manifest[name]
        digest.update(f"{name}\n".encode())
        if isinstance(column.dtype, pd.CategoricalDtype):
            digest.update("\n".join(map(str, column.cat.categories)).encode())
        if name in ("path", "mask_path"):
            for root in beside.roots.values():
                column = column.str.removeprefix(root)
        digest.update(pd.util.hash_pandas_object(column, index=False).to_numpy().tobytes())
    for name, array in sorted(beside.arrays.items()):
        digest.update(f"{name} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    for name, reader in sorted(beside.readers.items()):
        digest.update(f"{name} {reader.key()}\n".encode())
    return digest.hexdigest()[:16]


def merge(manifests: Iterable[pd.DataFrame], *, agreed: Collection[str] = ()) -> pd.DataFrame:
    """Put manifests of different datasets below each other.

    Rows of arrays beside the tables are counted on; an attribute that one of them lacks is
    ``unknown`` there. A dataset that does not know an attribute (source ``none``) goes with any.

    Args:
        manifests: one or more.
        agreed: attribute columns whose groups have been brought together, so that neither
            different groups nor different sources stand in the way.

    Raises:
        DataError: when an attribute has different groups or sources, or the same dataset comes
            twice with different pixels.
    """
    parts = [validate(part) for part in manifests]
    if len(parts) == 1:
        return parts[0]
    for name in DEMOGRAPHICS:
        if name not in agreed:
            told = [part for part in parts if (part[f"{name}_source"] != NO_SOURCE).any()]
            _refuse_mixed(name, told)
    columns = list(dict.fromkeys(name for part in parts for name in part.columns))
    for name in columns:
        if name.startswith(ATTRIBUTE_PREFIX) and name not in agreed:
            _refuse_mixed(name, [part for part in parts if name in part])
    beside = [assets(part) for part in parts]
    merged = Assets(
        roots={name: root for each in beside for name, root in each.roots.items()},
        unmatched=pd.concat([each.unmatched for each in beside], ignore_index=True),
    )
    for each in beside:
        for name, reader in each.readers.items():
            if merged.readers.setdefault(name, reader).key() != reader.key():
                raise DataError(
                    f"the dataset {name} comes twice with different settings",
                    where="merging manifests",
                    hint="read it once, or merge one of the two",
                )
        for reason, count in each.dropped.items():
            merged.dropped[reason] = merged.dropped.get(reason, 0) + count
    for name in ARRAY_SHAPES:
        _join_arrays(name, parts, merged)
    for name in columns:
        having = [part for part in parts if _is_categorical(part, name)]
        # A dataset that knows nothing of an attribute has no say in its groups.
        told = having
        if name in DEMOGRAPHICS:
            told = [part for part in having if (part[f"{name}_source"] != NO_SOURCE).any()]
        kinds = [part[name].cat.categories for part in told or having]
        if not kinds:
            continue
        groups = list(dict.fromkeys(value for kind in kinds for value in kind if value != UNKNOWN))
        if any(UNKNOWN in kind for kind in kinds):
            groups.append(UNKNOWN)
        for part in parts:
            values = part[name] if name in part else pd.Series(UNKNOWN, part.index)
            part[name] = pd.Categorical(values, categories=groups)
    for part in parts:
        part.attrs = {"assets": merged}
    return validate(pd.concat(parts, ignore_index=True)[columns])


def renamed(manifest: pd.DataFrame, name: str) -> pd.DataFrame:
    """The manifest of one dataset under another name: in ``dataset``, every ``id`` and the assets.

    Raises:
        DataError: when the rows are of several datasets.
    """
    present = [str(each) for each in manifest["dataset"].unique()]
    if present == [name]:
        return manifest
    if len(present) != 1:
        raise DataError(
            f"{len(present)} datasets cannot have one name",
            where=f"{name}: {', '.join(present)}",
            hint="rename each before merging",
        )
    changed = manifest.assign(
        dataset=pd.Categorical([name] * len(manifest)),
        id=f"{name}/" + manifest["id"].str.removeprefix(f"{present[0]}/"),
    )
    beside = assets(manifest)
    changed.attrs["assets"] = Assets(
        arrays=beside.arrays,
        readers={name if key == present[0] else key: v for key, v in beside.readers.items()},
        dropped=beside.dropped,
        roots={name if key == present[0] else key: v for key, v in beside.roots.items()},
        unmatched=beside.unmatched,
    )
    return changed


def _is_categorical(frame: pd.DataFrame, name: str) -> bool:
    return name in frame and isinstance(frame[name].dtype, pd.CategoricalDtype)


def _refuse_mixed(name: str, parts: Sequence[pd.DataFrame]) -> None:
    """An attribute means one thing in a merged manifest: one set of groups, one source."""
    seen: dict[tuple[str, ...], str] = {}
    for part in parts:
        dataset = "+".join(map(str, part["dataset"].unique()))
        kinds = set(part.get(f"{name}_source", pd.Series(dtype="str"))) - {NO_SOURCE}
        seen.setdefault((*group_values(part, name), f"({' and '.join(sorted(kinds))})"), dataset)
    if len({frozenset(key) for key in seen}) > 1:
        short = name.removeprefix(ATTRIBUTE_PREFIX)
        described = "; ".join(f"{dataset}: {', '.join(key)}" for key, dataset in seen.items())
        raise DataError(
            f"{short} has different groups or sources in the datasets to merge",
            where=described,
            hint=f"name a table in data.harmonise ({{{short}: {{}}}} if only sources differ)",
        )


def _join_arrays(name: str, parts: Sequence[pd.DataFrame], merged: Assets) -> None:
    """Concatenate one kind of array and count the rows of the later parts on, in place."""
    arrays: list[np.ndarray] = []
    known: dict[int, int] = {}
    length = 0
    for part in parts:
        array = assets(part).arrays.get(name)
        if array is None:
            if any(name in other for other in parts):
                part[name] = np.int64(-1)
            continue
        if id(array) not in known:
            known[id(array)] = length
            arrays.append(array)
            length += len(array)
        rows = part[name].to_numpy()
        part[name] = np.where(rows < 0, -1, rows + known[id(array)])
    if arrays:
        merged.arrays[name] = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
