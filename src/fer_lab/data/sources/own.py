"""What tables and folders of users' own share: words for labels, splits and groups, a test draw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.manifest import assets, validate
from fer_lab.data.sources.layout import refuse_codes
from fer_lab.data.splits import assign_validation
from fer_lab.data.vocabulary import AGE_GROUPS, EXPRESSIONS, UNKNOWN
from fer_lab.errors import ConfigError, DataError, near_miss

SET_ASIDE = "set aside"

EXPRESSION_WORDS = {name: name for name in EXPRESSIONS} | {
    "neutrality": "neutral",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprise",
    "fearful": "fear",
    "disgusted": "disgust",
    "angry": "anger",
}
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
GENDER_WORDS = {
    "female": "female",
    "f": "female",
    "woman": "female",
    "male": "male",
    "m": "male",
    "man": "male",
    "": UNKNOWN,
    UNKNOWN: UNKNOWN,
}

_AGE_STARTS = [int(group.rstrip("+").partition("-")[0]) for group in AGE_GROUPS]


def translated(
    cells: pd.Series,
    words: Mapping[str, str],
    own: Mapping[Any, str | None] | None,
    *,
    name: str,
    place: str,
    option: str,
) -> pd.Series:
    """Users' words as those of the vocabulary; case does not matter, and ``3.0`` is ``3``.

    Args:
        cells: the words; the index says where each stands.
        words: what is understood without being told, by lower-case word.
        own: the user's mapping, which comes first; None sets a word's rows aside.
        name: what the words are for, for the message.
        place: what stands before the index, for the message.
        option: where the user sets ``own``, for the message.

    Returns:
        The vocabulary's words, or ``SET_ASIDE``.

    Raises:
        ConfigError: when ``own`` leads to a word that is not in the vocabulary.
        DataError: naming the first word that is not known, its place and the mapping.
    """
    known = list(dict.fromkeys(words.values()))
    codes: dict[str, str] = {}
    for key, value in (own or {}).items():
        if value is not None and value not in known:
            near = near_miss(str(value), known)
            raise ConfigError(
                f"{value!r} is not {name}" + (f"; did you mean {near!r}?" if near else ""),
                where=f"{option}, {key}: {value}",
                hint=f"known: {', '.join(known)}; null sets the rows aside",
            )
        codes[str(key).strip().lower()] = SET_ASIDE if value is None else value
    codes = {**codes, **{word: value for word, value in words.items() if word not in codes}}
    plain = cells.str.strip().str.lower().str.replace(r"^(-?\d+)\.0+$", r"\1", regex=True)
    try:
        refuse_codes(plain, codes, name=name, place=place)
    except DataError as error:
        raise DataError(
            error.what, where=error.where, hint=f"map it by `{option}={{…}}`; {error.hint}"
        ) from None
    return plain.map(codes)


def group_names(cells: pd.Series) -> pd.Series:
    """Races as the vocabulary spells them (``Middle Eastern`` is ``middle_eastern``)."""
    return cells.str.strip().str.lower().str.replace(r"[\s/]+", "_", regex=True)


def age_groups(years: NDArray[np.float64]) -> pd.Categorical:
    """Years cut into the vocabulary's age groups; NaN is ``unknown``."""
    group = np.searchsorted(_AGE_STARTS, np.floor(years), side="right") - 1
    group = np.where(np.isfinite(years) & (years >= 0), group, len(AGE_GROUPS))
    names = np.array([*AGE_GROUPS, UNKNOWN], dtype=object)
    return pd.Categorical(names[group], categories=names)


def age_bins(cells: pd.Series) -> pd.Categorical:
    """A dataset's own age groups, in the order of the years they begin with; empty is unknown."""
    bins = cells.str.strip().replace({"more than 70": "70+", "": UNKNOWN})
    found = pd.Series(bins.unique(), dtype="str")
    found = found[found != UNKNOWN]
    start = pd.to_numeric(found.str.extract(r"(\d+)")[0], errors="coerce")
    order = found.iloc[np.lexsort((found.to_numpy(dtype=object), start.fillna(np.inf)))]
    return pd.Categorical(bins, categories=[*order, UNKNOWN])


def with_test_rows(frame: pd.DataFrame, fraction: float, seed: int, option: str) -> pd.DataFrame:
    """A manifest of training rows alone, a share of which becomes the test set.

    Whole subjects are drawn where they are known, else rows, each stratified by label and gender.

    Raises:
        ConfigError: for a fraction outside [0, 1).
    """
    if not 0 <= fraction < 1:
        raise ConfigError(
            f"test_fraction={fraction} is no share of the rows",
            where=option,
            hint="choose a number from 0 up to, but not including, 1",
        )
    drawn = assign_validation(validate(frame), fraction, seed)
    drawn["split"] = drawn["split"].astype("str").replace({"val": "test"})
    drawn.attrs["assets"] = assets(frame)
    return drawn


def nothing_left(title: str, rows: int, dropped: Mapping[str, int], where: object) -> DataError:
    """The error of a dataset none of whose rows can be used, with the reasons counted."""
    counts = "; ".join(f"{reason}: {count}" for reason, count in dropped.items() if count)
    return DataError(
        f"none of the {rows} rows of {title} can be used ({counts or 'there are none'})",
        where=where,
        hint="image paths are relative to `dataset.root`",
    )
