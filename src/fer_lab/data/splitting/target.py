"""What a model tells apart: expressions, or the groups of any attribute."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from fer_lab.data.manifest import attribute_column, group_values
from fer_lab.data.vocabulary import EXPRESSIONS, UNKNOWN, expression_classes
from fer_lab.errors import ConfigError, DataError

EXPRESSION = "expression"


def set_target(
    manifest: pd.DataFrame, target: str, classes: int | Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Make ``label`` what is to be told apart.

    Args:
        manifest: the rows, with expressions (or ``unknown``) in ``label``.
        target: ``expression``, ``dataset``, or an attribute (``gender``, ``smiling`` …).
        classes: of expressions 6, 7, 8 or names; of another target the names of its groups, or
            any number for all of them.

    Returns:
        The manifest and its classes in their order. For another target than expressions it is a
        copy with the target's groups in ``label`` and, where any is known, the expressions in
        the categorical column ``expression``.

    Raises:
        ConfigError: for a target or a class that the data do not have, or a single class.
        DataError: when the target is not known for any row.
    """
    if target == EXPRESSION:
        chosen = expression_classes(classes)
        _refuse_unknown(manifest, manifest["label"], target)
        return manifest, chosen
    column = target_column(manifest, target)
    _refuse_unknown(manifest, manifest[column], target)
    groups = group_values(manifest, target)
    chosen = groups if isinstance(classes, int) else tuple(g for g in groups if g in classes)
    foreign = [] if isinstance(classes, int) else [c for c in classes if c not in groups]
    if foreign or len(chosen) < 2:
        raise ConfigError(
            f"{target} is never {', '.join(foreign)}" if foreign else "fewer than two classes",
            where="classes" if foreign or len(groups) > 1 else "target",
            hint=f"{target} here: {', '.join(groups)}",
        )
    aimed = manifest.copy()
    if (manifest["label"] != UNKNOWN).any():
        aimed[EXPRESSION] = pd.Categorical(manifest["label"], categories=[*EXPRESSIONS, UNKNOWN])
    aimed["label"] = manifest[column].astype("str")
    return aimed, chosen


def target_column(manifest: pd.DataFrame, target: str) -> str:
    """The column that a target's classes come from.

    Raises:
        ConfigError: when there is no such column, listing those that could be meant.
    """
    if target == EXPRESSION:
        return "label"
    try:
        return attribute_column(manifest, target)
    except ConfigError as error:
        raise ConfigError(
            error.what, where="target", hint=f"{error.hint}; or target={EXPRESSION}"
        ) from None


def _refuse_unknown(manifest: pd.DataFrame, column: pd.Series, target: str) -> None:
    """Something must be known of the target."""
    if (column != UNKNOWN).any():
        return
    known = [
        str(name).removeprefix("attribute_")
        for name, dtype in manifest.dtypes.items()
        if isinstance(dtype, pd.CategoricalDtype)
        and name != "split"
        and manifest[name].nunique() - (manifest[name] == UNKNOWN).any() > 1
    ]
    raise DataError(
        f"{target} is not known for any of the {len(manifest)} rows",
        where=f"dataset {', '.join(map(str, manifest['dataset'].unique()))}",
        hint="choose what is told apart by `target=…`: "
        f"{', '.join(known) or 'nothing that is known here has two values'}",
    )
