"""The chat protocol: what a request says, what a response means."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_lab.asking.options import Question

# What a gateway says that has lost an answer, which may have been given and billed.
_LOST = (408, 502, 504, 522, 524)
# Codes of errors by which servers say that an image or a question is not allowed.
_NOT_ALLOWED = ("content_filter", "content_policy_violation", "moderation", "flagged")


@dataclass(frozen=True)
class Reply:
    """An answer.

    Attributes:
        text: what was said; empty for an answer without words.
        refused: whether the server marks it as a refusal.
        whole: whether it ended by itself.
        input_tokens: of the question; None where the server does not say.
        output_tokens: of the answer, what it thought included; likewise.
        model: which the server says answered.
    """

    text: str
    refused: bool
    whole: bool
    input_tokens: int | None
    output_tokens: int | None
    model: str | None = None


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
    said = _all_but_pixels(model, question, classes, image)
    return hashlib.sha256(said + np.ascontiguousarray(image).tobytes()).hexdigest()


def wording_key(
    model: str, question: Question, classes: Sequence[str], image: NDArray[np.uint8]
) -> str:
    """What questions have in common that cost about the same: all but the pixels' values."""
    return hashlib.sha256(_all_but_pixels(model, question, classes, image)).hexdigest()[:16]


def read_response(status: int, headers: Mapping[str, str], content: bytes) -> Reply | Failure:
    """What a response means.

    Args:
        status: of HTTP.
        headers: by name in lower case.
        content: the body.
    """
    if status == 200:
        return _reply(content)
    code, said = _error(content)
    if status in (400, 403, 422) and any(word in code for word in _NOT_ALLOWED):
        # Servers differ in whether they charge for it: counted with the most it may cost.
        return Reply(said, refused=True, whole=True, input_tokens=None, output_tokens=None)
    reason = f"HTTP {status}{': ' if said else ''}{said}"
    if 300 <= status < 400:
        to = headers.get("location", "elsewhere")
        return Failure(f"{reason}: the address leads to {to}", final=True)
    if status in (401, 402, 403, 404, 405) or "insufficient_quota" in said:
        return Failure(reason, final=True)
    if status in (408, 409, 425, 429) or status >= 500:
        wait = _wait(headers.get("retry-after"))
        return Failure(reason, again=True, wait=wait, billed=status in _LOST)
    return Failure(reason)


def _all_but_pixels(
    model: str, question: Question, classes: Sequence[str], image: NDArray[np.uint8]
) -> bytes:
    encoding = [question.format, question.quality if question.format == "jpeg" else None]
    body = request_body(model, question, classes, "")
    return json.dumps([body, encoding, list(image.shape)], sort_keys=True).encode()


def _reply(content: bytes) -> Reply | Failure:
    """The answer in a body of a good response."""
    try:
        body = json.loads(content)
        choice = body["choices"][0]
        message = choice["message"]
        usage = body.get("usage")
        text = _text(message.get("content"))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        said = _error(content)[1] if b'"error"' in content else ""
        reason = f"a response that is not of the chat protocol{': ' if said else ''}{said}"
        return Failure(reason, again=True, billed=True)
    counts = usage if isinstance(usage, dict) else {}
    refusal = message.get("refusal")
    ended = choice.get("finish_reason")
    model = body.get("model")
    asked, answered = _count(counts.get("prompt_tokens")), _count(counts.get("completion_tokens"))
    total = _count(counts.get("total_tokens"))
    if asked is not None and answered is not None and total is not None:
        answered = max(answered, total - asked)  # some servers count thoughts in the total alone
    return Reply(
        text=_sound(text or (refusal if isinstance(refusal, str) else "")),
        refused=bool(refusal) or ended == "content_filter",
        whole=ended != "length",
        input_tokens=asked,
        output_tokens=answered,
        model=_sound(model) if isinstance(model, str) else None,
    )


def _sound(text: str) -> str:
    """A text that can be written: JSON may hold halves of characters."""
    return text.encode(errors="replace").decode()


def _text(content: object) -> str:
    """The words of a message: a text, a list of parts, or nothing.

    What a model thinks is another field of the message, or a part of another type: no answer.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        said = [p.get("text") for p in content if p.get("type", "text") in ("text", "output_text")]
        return "".join(text for text in said if isinstance(text, str))
    raise TypeError


def _count(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return None


def _error(content: bytes) -> tuple[str, str]:
    """What a server says went wrong: its code in lower case, and all of it in a line."""
    code = ""
    try:
        body = json.loads(content)
        error = body.get("error", body)
        if isinstance(error, dict):
            words = [str(error[name]) for name in ("code", "message") if error.get(name)]
            said = ", ".join(words) or str(body.get("detail", ""))
            code = " ".join(str(error.get(name, "")) for name in ("code", "type")).lower()
        else:
            said = str(error)
    except (ValueError, AttributeError, RecursionError):
        said = content.decode(errors="replace")
    printable = "".join(c if c.isprintable() else " " for c in said)
    return code, " ".join(printable.split())


def _wait(value: str | None) -> float | None:
    """The seconds of a ``Retry-After``, a number or a date; None for anything else."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        pass
    else:
        return None if math.isnan(seconds) else max(0.0, min(seconds, 1e9))
    try:
        moment = parsedate_to_datetime(value)
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (zoned - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None
