"""What tables and folders of users' own share: words for labels, splits and groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from fer_lab.data.ages import age_range
from fer_lab.data.sources.layout import refuse_codes
from fer_lab.data.vocabulary import EXPRESSIONS, UNKNOWN
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


def age_bins(cells: pd.Series) -> pd.Categorical[str]:
    """A dataset's own age groups, in the order of the years they begin with; empty is unknown."""
    bins = cells.str.strip().replace({"more than 70": "70+", "": UNKNOWN})
    found = [str(name) for name in bins.unique() if name != UNKNOWN]
    found.sort(key=lambda name: (*(age_range(name) or (float("inf"), 0.0)), name))
    return pd.Categorical(bins, categories=[*found, UNKNOWN])
