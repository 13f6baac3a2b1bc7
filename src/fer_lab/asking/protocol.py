"""The chat protocol: what a request says, what a response means."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_lab.asking.options import Question

_SHOWN = 300


@dataclass(frozen=True)
class Reply:
    """An answer.

    Attributes:
        text: what was said; empty for an answer without words.
        refused: whether the server marks it as a refusal.
        whole: whether it ended by itself.
        input_tokens: of the question; None where the server does not say.
        output_tokens: of the answer; likewise.
        model: which the server says answered.
    """

    text: str
    refused: bool
    whole: bool
    input_tokens: int | None
    output_tokens: int | None
    model: str | None


@dataclass(frozen=True)
class Failure:
    """No answer.

    Attributes:
        reason: why, in words.
        again: whether to send the request again.
        wait: seconds that the server asks to wait.
        billed: whether it may have been billed all the same.
        final: whether no other request would fare better: a wrong key, no such model.
        unreachable: whether there was no connection.
    """

    reason: str
    again: bool = False
    wait: float | None = None
    billed: bool = False
    final: bool = False
    unreachable: bool = False


def image_url(image: NDArray[np.uint8], question: Question) -> str:
    """An image, uint8 ``[H, W, 3]``, as a data URL."""
    buffer = io.BytesIO()
    options = {"quality": question.quality, "subsampling": 0} if question.format == "jpeg" else {}
    Image.fromarray(image).save(buffer, question.format, **options)
    return f"data:image/{question.format};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def request_body(
    model: str, question: Question, classes: Sequence[str], url: str
) -> dict[str, Any]:
    """What is sent.

    Args:
        model: its name at the server.
        question: what is asked.
        classes: the expressions in it.
        url: of the image.
    """
    shown: dict[str, Any] = {"url": url}
    if question.detail is not None:
        shown["detail"] = question.detail
    asked = [
        {"type": "text", "text": question.wording(classes)},
        {"type": "image_url", "image_url": shown},
    ]
    messages: list[dict[str, Any]] = [{"role": "user", "content": asked}]
    if question.system:
        messages.insert(0, {"role": "system", "content": question.system})
    body: dict[str, Any] = {
        "model": model,
        "messages": messages,
        question.limit_name: question.max_tokens,
    }
    if question.temperature is not None:
        body["temperature"] = question.temperature
    return body | dict(question.extra or {})


def question_key(
    model: str, question: Question, classes: Sequence[str], image: NDArray[np.uint8]
) -> str:
    """What tells one question from another: model, wording, parameters, pixels.

    Pixels, not the file they are sent as: another version of the encoder asks nothing new.
    """
    encoding = [question.format, question.quality if question.format == "jpeg" else None]
    body = request_body(model, question, classes, "")
    said = json.dumps([body, encoding, list(image.shape)], sort_keys=True)
    return hashlib.sha256(said.encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def read_response(status: int, headers: Mapping[str, str], content: bytes) -> Reply | Failure:
    """What a response means.

    Args:
        status: of HTTP.
        headers: by name in lower case.
        content: the body.
    """
    if status == 200:
        return _reply(content)
    said = _error(content)
    reason = f"HTTP {status}{': ' if said else ''}{said}"
    if status in (401, 402, 403, 404) or "insufficient_quota" in said:
        return Failure(reason, final=True)
    if status in (408, 409, 425, 429) or status >= 500:
        return Failure(reason, again=True, wait=_wait(headers.get("retry-after")))
    return Failure(reason)


def _reply(content: bytes) -> Reply | Failure:
    """The answer in a body of a good response."""
    try:
        body = json.loads(content)
        choice = body["choices"][0]
        message = choice["message"]
        usage = body.get("usage")
        text = _text(message.get("content"))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Failure("a response that is not of the chat protocol", again=True, billed=True)
    counts = usage if isinstance(usage, dict) else {}
    refusal = message.get("refusal")
    ended = choice.get("finish_reason")
    model = body.get("model")
    return Reply(
        text=_sound(text or (refusal if isinstance(refusal, str) else "")),
        refused=bool(refusal) or ended == "content_filter",
        whole=ended != "length",
        input_tokens=_count(counts.get("prompt_tokens")),
        output_tokens=_count(counts.get("completion_tokens")),
        model=_sound(model) if isinstance(model, str) else None,
    )


def _sound(text: str) -> str:
    """A text that can be written: JSON may hold halves of characters."""
    return text.encode(errors="replace").decode()


def _text(content: object) -> str:
    """The words of a message: a text, a list of parts, or nothing."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content)
    raise TypeError


def _count(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return None


def _error(content: bytes) -> str:
    """What a server says went wrong, in a line."""
    try:
        body = json.loads(content)
        error = body.get("error", body)
        if isinstance(error, dict):
            words = [str(error[name]) for name in ("code", "message") if error.get(name)]
            said = ", ".join(words) or str(body.get("detail", ""))
        else:
            said = str(error)
    except (ValueError, AttributeError, RecursionError):
        said = content.decode(errors="replace")
    line = " ".join("".join(c if c.isprintable() else " " for c in said).split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]} …"


def _wait(value: str | None) -> float | None:
    """The seconds of a ``Retry-After``, a number or a date."""
    if value is None:
        return None
    try:
        return max(0.0, min(float(value), 1e9))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (zoned - datetime.now(UTC)).total_seconds())
