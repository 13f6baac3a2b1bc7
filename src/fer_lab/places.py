"""Where results are to go: looked at before anything slow begins; what is wrong with it is said."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from stat import S_ISDIR
from typing import Final

from fer_lab.errors import ConfigError

# What a user can do something about, of all that can be wrong with a place.
_HINTS: Final = {
    errno.EACCES: "choose a place that you may write to, or have the rights changed",
    errno.EPERM: "choose a place that you may write to, or have the rights changed",
    errno.EROFS: "that file system is read-only: choose a place on another",
    errno.ENOSPC: "free some space, or choose another place",
    errno.EDQUOT: "your share of that disk is used up: free some space, or choose another place",
    errno.ENOTDIR: "a file stands where a folder is needed: choose another place, or move the file",
    errno.EEXIST: "a file stands where a folder is needed: choose another place, or move the file",
    errno.EISDIR: "a folder stands where a file is needed: name a file in it",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "links lead in a circle there: choose another place",
}

# A file is written beside its place first, under a name that is this much longer.
_UNFINISHED_NAME: Final = 24


def refuse_unwritable_file(path: str | os.PathLike[str], option: str) -> None:
    """Look whether a file can be written, without making anything.

    Args:
        path: of the file; folders above it may be missing.
        option: what names it, for the message.

    Raises:
        ConfigError: when it cannot be.
    """
    place = Path(path).expanduser().absolute()
    try:
        if place.is_dir():
            raise unwritable(place, errno.EISDIR, option)
    except OSError as error:
        raise unwritable(place, error.errno, option) from error
    _look(place.parent, [f"{'-' * _UNFINISHED_NAME}{place.name}"], place, option)


def refuse_unwritable_folder(path: str | os.PathLike[str], option: str) -> None:
    """Look whether files can be written into a folder, without making anything.

    Args:
        path: of the folder, which may be missing, as may those above it.
        option: what names it, for the message.

    Raises:
        ConfigError: when they cannot be.
    """
    place = Path(path).expanduser().absolute()
    _look(place, [], place, option)


def refuse_unusable_cache(path: str | os.PathLike[str]) -> None:
    """Look whether there is a folder of caches, or one can be made.

    One that is there may be read-only, as others' are: what is missing in it is an error then, when
    it turns out to be.

    Args:
        path: of the folder.

    Raises:
        ConfigError: when there is none.
    """
    place = Path(path).expanduser()
    if not os.access(place / ".", os.R_OK | os.X_OK):
        refuse_unwritable_folder(place, "FER_LAB_CACHE=… or data.cache_dir")


def unwritable(
    path: object, number: int | None, option: str, what: str = "cannot write there"
) -> ConfigError:
    """The error for a place that cannot be written to.

    Args:
        path: the place.
        number: of the system's error.
        option: what names the place, for one ``output``.
        what: cannot be done.
    """
    hint = _HINTS.get(number or 0, "choose another place")
    return ConfigError(
        f"{what}: {os.strerror(number) if number else 'unknown reason'}",
        where=path,
        hint=f"{hint}, by {option}=…",
    )


def storage_mistake(error: BaseException) -> ConfigError | None:
    """What is wrong with a place, if that is what is behind an error, however it is wrapped."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.errno in _HINTS:
            closed = found.errno in (errno.EACCES, errno.EPERM)  # of what is read, perhaps
            what = "cannot be read or written" if closed else "cannot write there"
            return unwritable(found.filename, found.errno, "hydra.run.dir", what)
        found = found.__cause__ or found.__context__  # OmegaConf cuts the cause off
    return None


def _look(folder: Path, missing: list[str], place: Path, option: str) -> None:
    """Whether entries can be made in a folder, or in the first above it that there is.

    Args:
        folder: where.
        missing: names that would be made below it.
        place: what the message names.
        option: likewise.
    """
    try:
        while not os.path.lexists(folder):
            missing = [folder.name, *missing]
            folder = folder.parent
        if not S_ISDIR(folder.stat().st_mode):
            raise unwritable(place, errno.ENOTDIR, option)
        longest = max((len(os.fsencode(name)) for name in missing), default=0)
        if longest > _longest_name(folder):
            raise unwritable(place, errno.ENAMETOOLONG, option)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise unwritable(place, _reason(folder), option)
    except OSError as error:
        raise unwritable(place, error.errno, option) from error


def _longest_name(folder: Path) -> int:
    """How many bytes a name may have there; where the system does not say, what is usual."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        return 255


def _reason(folder: Path) -> int:
    """Why nothing can be made in a folder."""
    try:
        return errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES
    except (AttributeError, OSError):
        return errno.EACCES
