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


def refuse_below(lowest: int, **options: Any) -> None:
    """Options that are whole numbers from ``lowest`` on.

    Raises:
        ConfigError: for the first that is not.
    """
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
            raise ConfigError(
                f"{option}={value!r} is no whole number from {lowest} on",
                where=f"explain.options.{option}",
            )
