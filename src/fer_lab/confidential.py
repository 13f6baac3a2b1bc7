"""Keys and passwords: what looks like one, refused where it would be written down, else hidden.

Keys come in by the environment or by a login of their own (``wandb login``), never by an override:
overrides are kept in a run's configuration, its record and its pages.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from logging import Formatter, LogRecord
from typing import Any, Final

from fer_lab.errors import ConfigError

HIDDEN: Final = "(hidden)"

_NAME = (
    r"api[_-]?keys?|(?:access|secret|private|auth|account|signing)[_-]?key|password|passwd"
    r"|passphrase|secret|token|credentials?|authorization"
)
_IS_NAME = re.compile(rf"(?:.*[_-])?(?:{_NAME})", re.IGNORECASE)
# A bare `key` is one of W&B or a server; elsewhere it may be what a table is sorted by.
_KEY_OF = re.compile(r"(?:.*\.)?(?:wandb|logger|server|auth)\.key", re.IGNORECASE)
_VARIABLE = re.compile(r".*(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)")
_SHORTEST = 8  # characters; a shorter value of a variable would hide words that are no secret

# What stands behind a telling name is hidden. Notes may well speak of a token: what is refused for
# such words has a digit in it, as keys have.
_GIVEN = re.compile(
    rf"""((?:{_NAME})["']?\s*[:=]\s*)(?!null\b|\(hidden\))"""
    r"""("[^"\n]*"|'[^'\n]*'|(?:bearer\s+|basic\s+)?[^\s,}\]]+)""",
    re.IGNORECASE,
)
_TYPED = re.compile(rf"""(?:{_NAME})["']?\s*[:=]\s*["']?(?=\S*\d)[^\s,}}\]]{{6,}}""", re.IGNORECASE)
_NO_SECRET = re.compile(r"|null|true|false|[-+]?[\d.]+", re.IGNORECASE)
_IN_URL = re.compile(
    r"((?:https?|ftp|s3|gs)://)[^/\s@'\"]+(?=@)|([a-z+]+://)[^/\s:@'\"]*:[^/\s@'\"]+(?=@)", re.I
)
_IN_QUERY = re.compile(
    r"([?&](?:[\w-]*(?:token|signature|credential|password|secret|key)|sig)=)[^&\s'\"#]+", re.I
)
_SHAPES = re.compile(
    r"\b(?:sk|pk|rk)-[\w-]{16,}|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"
    r"|\bhf_\w{20,}|\bxox[a-z]-[\w-]{10,}|\bAKIA[A-Z0-9]{16}\b|\bAIza[\w-]{30,}|\bwandb_v\d_\w{20,}"
    r"|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}(?:\.[\w-]+)?|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\b[Bb]earer\s+[\w.~+/=-]{16,}"
)
_FROM_ENVIRONMENT = re.compile(r"\$\{\s*oc\.env\s*:\s*['\"]?(\w+)")

_known: set[str] = set()


def is_secret_name(name: str) -> bool:
    """Whether what goes by a dotted name is a key or a password.

    >>> [is_secret_name(name) for name in ("server.api_key", "hf_token", "question.max_tokens")]
    [True, True, False]
    """
    last = name.rpartition(".")[2]
    return bool(_IS_NAME.fullmatch(last) or _KEY_OF.fullmatch(name))


def is_secret_variable(name: str) -> bool:
    """Whether an environment variable of that name holds a key or a password."""
    return bool(_VARIABLE.fullmatch(name.upper()))


def hide(value: str) -> None:
    """Hide a value from now on, whatever its variable is called."""
    _known.add(value)


def without_secrets(text: str) -> str:
    """The text with keys and passwords hidden, should any have come in.

    Hidden are what stands behind a telling name, in an address before its host or as a telling
    part of its query, what has the form of a known service's key, and the values of the
    environment's own keys.

    >>> without_secrets("wandb: {api_key: abc123, mode: offline}")
    'wandb: {api_key: (hidden), mode: offline}'
    >>> without_secrets("from https://me:pass@host/data?part=1&token=abc")
    'from https://(hidden)@host/data?part=1&token=(hidden)'
    """
    return _GIVEN.sub(rf"\1{HIDDEN}", _without_known(text))


def masked(content: Any) -> Any:
    """Plain containers with keys and passwords hidden, by their names and wherever they stand."""
    if isinstance(content, str):
        return without_secrets(content)
    if isinstance(content, Mapping):
        return {
            name: HIDDEN if value and is_secret_name(str(name)) else masked(value)
            for name, value in content.items()
        }
    if isinstance(content, list | tuple):
        return [masked(each) for each in content]
    return content


def refuse_secrets(words: Sequence[str]) -> None:
    """Overrides that would put a key or a password into what a run leaves behind.

    Args:
        words: of the command line.

    Raises:
        ConfigError: for such a one; the message does not repeat it.
    """
    for word in words:
        key, assigned, value = word.lstrip("+~").partition("=")
        value = value.strip().strip("'\"").strip()
        if assigned and is_secret_name(key) and not _NO_SECRET.fullmatch(value):
            raise _refusal(key)
        if key.endswith("key_variable") and value and not value.isidentifier():
            raise ConfigError(
                f"{key} is no name of an environment variable",
                where=key,
                hint="give the variable's name, never the key: server.key_variable=MY_KEY",
            )
        if _tells(word):
            raise _refusal(key if assigned else "the command line")


def refuse_stored_secrets(content: Any) -> None:
    """A composed configuration that would write a key or a password down.

    Args:
        content: its plain containers, interpolations unresolved.

    Raises:
        ConfigError: naming where it stands.
    """
    for name, value in leaves(content):
        given = isinstance(value, str) and not _NO_SECRET.fullmatch(value)
        if given and (is_secret_name(name) or _tells(value)):
            raise _refusal(name)


def leaves(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of plain containers that is none itself, by its dotted name."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from leaves(value, f"{name}.{key}" if name else str(key))
    elif isinstance(content, list | tuple):
        for place, value in enumerate(content):
            yield from leaves(value, f"{name}[{place}]")
    else:
        yield name, content


class HidingFormatter(Formatter):
    """What is logged, without the keys that an error may repeat."""

    def format(self, record: LogRecord) -> str:
        """The line or lines of a record."""
        return without_secrets(super().format(record))


def _values() -> list[str]:
    """Keys of the environment, the longest first: one may begin like another.

    The path of a file that holds a key is none.
    """
    own = {value.strip() for name, value in os.environ.items() if is_secret_variable(name)}
    found = [value for value in own | _known if len(value) >= _SHORTEST]
    keys = [v for v in found if not (v.startswith("/") and os.access(v, os.F_OK))]
    return sorted(keys, key=len, reverse=True)


def _without_known(text: str) -> str:
    """The text without what is a secret wherever it stands."""
    for value in _values():
        text = text.replace(value, HIDDEN)
    text = _IN_QUERY.sub(rf"\1{HIDDEN}", text)
    text = _IN_URL.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}", text)
    return _SHAPES.sub(HIDDEN, text)


def _tells(text: str) -> bool:
    """Whether a text holds a secret, or asks for one of the environment's."""
    asked = any(is_secret_variable(name) for name in _FROM_ENVIRONMENT.findall(text))
    return asked or _without_known(text) != text or _TYPED.search(text) is not None


def _refusal(name: str) -> ConfigError:
    return ConfigError(
        "a key or password would be written down: into the run's configuration, its record and "
        "what is made of them",
        where=name,
        hint="keys come by the environment alone: W&B's by `wandb login` or WANDB_API_KEY, that of "
        "a server by server.key_variable=NAME, the variable's name (docs/security.md)",
    )
