"""Lists without a first line of names: words between blanks, one row a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fer_lab.errors import DataError


def read_words(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a list of words between blanks, every word as text; the index is the line in the file.

    The first column takes what the others leave, so that a file name there may have blanks.

    Args:
        path: the file.
        columns: a name for each word of a line.

    Returns:
        One row a line that is not blank; words that a short line lacks are the empty text.

    Raises:
        DataError: when the file is missing or is no text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}", where=path) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is no text: {error}", where=path) from error
    lines = pd.Series(text.split("\n"), dtype="str").str.strip()
    lines.index = lines.index + 1
    lines = lines[lines != ""]
    words = lines.str.rsplit(n=len(columns) - 1, expand=True).reindex(columns=range(len(columns)))
    words.columns = pd.Index(list(columns))
    return words.fillna("").astype("str")
