"""Options of attribution methods that cannot work, refused in words."""

from __future__ import annotations

from typing import Any

from fer_lab.errors import ConfigError


def refuse_unknown(option: str, value: Any, allowed: tuple[str, ...]) -> None:
    """An option takes one of a few words.

    Raises:
        ConfigError: naming them.
    """
    if value not in allowed:
        raise ConfigError(
            f"{option} cannot be {value!r}",
            where=f"explain.options.{option}",
            hint=f"choose one of {', '.join(allowed)}",
        )


def refuse_no_count(**options: Any) -> None:
    """Options that are whole numbers from 1 on.

    Raises:
        ConfigError: for the first that is not.
    """
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(
                f"{option}={value!r} is no whole number from 1 on",
                where=f"explain.options.{option}",
            )


def refuse_not_positive(**options: Any) -> None:
    """Options that are numbers above 0.

    Raises:
        ConfigError: for the first that is not.
    """
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise ConfigError(
                f"{option}={value!r} is no number above 0", where=f"explain.options.{option}"
            )
