"""What can be set about asking a model, checked before anything is sent."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self
from urllib.parse import urlsplit

from fer_lab.confidential import hide
from fer_lab.errors import ConfigError

_FORMATS = ("png", "jpeg")
_LIMIT_NAMES = ("max_tokens", "max_completion_tokens")
_OURS = ("model", "messages", "stream", "n")


class _Options:
    """Made from a part of the configuration of the same name."""

    @classmethod
    def of(cls, part: Mapping[str, Any]) -> Self:
        """The options of a configuration's part; what it does not name keeps its default."""
        known = {each.name for each in fields(cls)}  # type: ignore[arg-type]
        return cls(**{name: value for name, value in part.items() if name in known})


@dataclass(frozen=True)
class Server(_Options):
    """Whom to ask.

    Attributes:
        base_url: of the server, up to ``/v1``.
        model: its name there.
        key_variable: environment variable that holds the key; None sends none.
        timeout: seconds for one request, answer included.
        concurrency: requests under way at a time.
        requests_per_minute: sent at most; None sets no rate.
        retries: how often a request is sent again.
        backoff: seconds before the first retry, doubled at each, with jitter.
        longest_wait: seconds; a server that asks for more ends the run.
        max_failures: images in a row without an answer that end the run.

    Raises:
        ConfigError: for an option that cannot work.
    """

    base_url: str | None = None
    model: str | None = None
    key_variable: str | None = None
    timeout: float = 60
    concurrency: int = 4
    requests_per_minute: float | None = None
    retries: int = 5
    backoff: float = 1
    longest_wait: float = 120
    max_failures: int = 20

    def __post_init__(self) -> None:
        if not self.base_url or not self.model:
            raise ConfigError(
                "name the server and its model",
                where=f"server.base_url={_shown(self.base_url)} server.model={self.model}",
                hint="server.base_url=http://localhost:8000/v1 server.model=NAME",
            )
        try:
            parts = urlsplit(str(self.base_url))
            usable = parts.scheme in ("http", "https") and bool(parts.hostname)
            named = parts.username is not None or parts.password is not None
            asking = bool(parts.query or parts.fragment)
        except ValueError:
            usable = named = asking = False
        if named:
            raise ConfigError(
                "the address holds a password, which the run's record would keep",
                where="server.base_url",
                hint="put it in an environment variable and name that: server.key_variable=NAME",
            )
        if asking:
            raise ConfigError(
                "the address has a part after ? or #, which may be a key and would be written down",
                where="server.base_url",
                hint="give the address up to /v1 alone; the key goes by server.key_variable=NAME",
            )
        if not usable:
            raise ConfigError(
                "the server's address is no URL",
                where=f"server.base_url={self.base_url}",
                hint="such as https://api.example.com/v1",
            )
        for name in ("timeout", "backoff", "longest_wait"):
            _number(f"server.{name}", getattr(self, name), above=name == "timeout")
        _number("server.requests_per_minute", self.requests_per_minute, none=True, above=True)
        for name, lowest in (("concurrency", 1), ("retries", 0), ("max_failures", 1)):
            _whole(f"server.{name}", getattr(self, name), lowest)

    @property
    def address(self) -> str:
        """Where requests go."""
        return f"{str(self.base_url).rstrip('/')}/chat/completions"

    def key(self) -> str | None:
        """The key, from the environment; it is kept nowhere.

        Raises:
            ConfigError: when the variable is not set, or its name cannot be one.
        """
        if self.key_variable is None:
            return None
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(self.key_variable)):
            raise ConfigError(
                "server.key_variable is no name of an environment variable",
                where="server.key_variable",
                hint="give the variable's name, never the key: server.key_variable=MY_KEY",
            )
        found = os.environ.get(self.key_variable, "").strip()
        if not found or not found.isascii() or not found.isprintable():
            raise ConfigError(
                "the environment variable of the key is "
                + ("not a key" if found else "not set, or empty"),
                where="server.key_variable",
                hint="export it in the shell that starts fer-lab",
            )
        hide(found)
        return found


@dataclass(frozen=True)
class Question(_Options):
    """What is asked of each image, and how it is sent.

    Attributes:
        text: of the question; ``{classes}`` becomes the names of the expressions.
        system: text before it; None sends none.
        temperature: None leaves it to the server.
        max_tokens: of an answer.
        limit_name: what the server calls that limit.
        format: ``png`` or ``jpeg``.
        quality: of JPEG, 1 to 100.
        detail: ``low``, ``high`` or ``auto``, where a server knows it.
        extra: further fields of the request.

    Raises:
        ConfigError: for an option that cannot work.
    """

    text: str
    system: str | None = None
    temperature: float | None = 0
    max_tokens: int = 50
    limit_name: str = "max_tokens"
    format: str = "png"
    quality: int = 95
    detail: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not self.text.strip():
            raise ConfigError("there is no question", where="question.text")
        _number("question.temperature", self.temperature, none=True)
        _whole("question.max_tokens", self.max_tokens, 1)
        _whole("question.quality", self.quality, 1)
        _among("question.format", self.format, _FORMATS)
        _among("question.limit_name", self.limit_name, _LIMIT_NAMES)
        # Another limit than ours would be what an answer costs, unknown to the budget.
        taken = [name for name in (*_OURS, *_LIMIT_NAMES) if name in (self.extra or {})]
        if taken:
            raise ConfigError(
                f"{', '.join(taken)} cannot be set there", where="question.extra", hint="see --help"
            )
        try:
            json.dumps(dict(self.extra or {}), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"further fields cannot be sent: {error}", where="question.extra"
            ) from error

    def wording(self, classes: Sequence[str]) -> str:
        """The question with the names of the expressions in it."""
        return self.text.replace("{classes}", ", ".join(classes))


@dataclass(frozen=True)
class Limits(_Options):
    """What may be spent, over all that a journal holds.

    Attributes:
        dollars: at most; needs both prices.
        tokens: at most, of input and output together.
        requests: at most, those that failed included.
        input_price: dollars for a million tokens of input.
        output_price: likewise of output.
        input_tokens: what a question with its image is taken to cost until the first answer says.

    Raises:
        ConfigError: for an option that cannot work.
    """

    dollars: float | None = None
    tokens: int | None = None
    requests: int | None = None
    input_price: float | None = None
    output_price: float | None = None
    input_tokens: int = 10_000

    def __post_init__(self) -> None:
        for name in ("dollars", "input_price", "output_price"):
            _number(f"budget.{name}", getattr(self, name), none=True)
        for name in ("tokens", "requests"):
            if getattr(self, name) is not None:
                _whole(f"budget.{name}", getattr(self, name), 0)
        _whole("budget.input_tokens", self.input_tokens, 1)
        if (self.input_price is None) != (self.output_price is None):
            raise ConfigError("one of the two prices is missing", where="budget")
        if self.dollars is not None and self.input_price is None:
            raise ConfigError(
                "a budget in dollars needs prices",
                where=f"budget.dollars={self.dollars}",
                hint="budget.input_price=… budget.output_price=…, in dollars for a million tokens",
            )


def _number(name: str, value: object, *, none: bool = False, above: bool = False) -> None:
    if value is None and none:
        return
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and (value > 0 or (value == 0 and not above))
    ):
        return
    raise ConfigError(
        f"{name}={value} is no number {'above 0' if above else 'from 0 on'}", where=name
    )


def _whole(name: str, value: object, lowest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
        raise ConfigError(f"{name}={value} is no whole number from {lowest} on", where=name)


def _among(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}={value}", where=name, hint=f"choose {' or '.join(allowed)}")


def _shown(url: str | None) -> str:
    return "null" if not url else "…"
