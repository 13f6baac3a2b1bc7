"""What a user can do wrong: few types, each saying what, where and what to do next."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable
from typing import Any, Final

# What the system says of a disk or a file that takes no more: full, over a quota or a limit of
# size, or read-only.
_TAKES_NO_MORE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class FerLabError(Exception):
    """A mistake of the user's or of their data, shown without a traceback.

    Args:
        what: what is wrong, in one sentence.
        where: the file, row, option or place it was found at.
        hint: what to do next.
    """

    def __init__(self, what: str, *, where: object = None, hint: str | None = None) -> None:
        super().__init__(what, where, hint)
        self.what = what
        self.where = None if where is None else str(where)
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.what, self.where, self.hint)

    def __str__(self) -> str:
        lines = [self.what]
        if self.where is not None:
            lines.append(f"  where: {self.where}")
        if self.hint is not None:
            lines.append(f"  to do: {self.hint}")
        return "\n".join(lines)


class DataError(FerLabError):
    """A folder, file or row does not have the form its dataset's layout promises."""


class ConfigError(FerLabError):
    """An option has a value that cannot work, alone or together with another."""


class TrainingDivergedError(FerLabError):
    """The loss is no longer a number."""


def _rebuilt(kind: type[FerLabError], what: str, where: object, hint: str | None) -> FerLabError:
    """An error as it was before it crossed to another process."""
    return kind(what, where=where, hint=hint)


def user_mistake(error: BaseException) -> FerLabError | None:
    """The mistake behind an error that a library may have wrapped around it, if there is one.

    A disk that takes no more is one, too.
    """
    found: BaseException | None = error
    while found is not None and not isinstance(found, FerLabError):
        if isinstance(found, OSError) and found.errno in _TAKES_NO_MORE:
            return FerLabError(
                f"cannot write there: {os.strerror(found.errno)}",
                where=found.filename,
                hint="make room, or choose another place, for one hydra.run.dir=FOLDER; a training "
                "goes on from its last checkpoint by resume=FOLDER",
            )
        found = found.__cause__
    return found


def near_miss(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that is spelt most like ``name``, if one is.

    >>> near_miss("femal", ["female", "male"])
    'female'
    """
    found = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return found[0] if found else None
