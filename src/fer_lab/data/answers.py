"""Answers in free text to names of expressions: what is not clearly one is no answer."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from fer_lab.data.vocabulary import EXPRESSIONS

Kind = Literal["answered", "unparseable", "refused"]

# Words and short phrases for each expression, lower case; no word stands for two.
SYNONYMS: Final[dict[str, tuple[str, ...]]] = {
    "neutral": (
        *("neutral", "neutrality", "neutrally", "expressionless", "emotionless", "impassive"),
        *("deadpan", "blank expression", "no expression", "no emotion", "no visible emotion"),
        *("without expression", "without emotion", "poker face", "straight face"),
    ),
    "happy": (
        *("happy", "happily", "happiness", "joy", "joyful", "joyous", "glad", "cheerful"),
        *("delighted", "pleased", "smile", "smiling", "smiles", "laughing", "laughter", "amused"),
        *("amusement", "elated", "content", "contentment", "enjoyment"),
    ),
    "sad": (
        *("sad", "sadly", "sadness", "unhappy", "unhappiness", "sorrow", "sorrowful", "grief"),
        *("melancholy", "melancholic", "depressed", "crying", "gloomy", "dejected", "mournful"),
    ),
    "surprise": (
        *("surprise", "surprised", "surprising", "astonished", "astonishment", "amazed"),
        *("amazement", "startled", "shock", "shocked"),
    ),
    "fear": (
        *("fear", "fearful", "afraid", "scared", "frightened", "fright", "terrified", "terror"),
        *("horrified", "horror", "panic", "anxious", "anxiety"),
    ),
    "disgust": (
        *("disgust", "disgusted", "disgusting", "revulsion", "repulsed", "revolted", "repelled"),
    ),
    "anger": (
        *("anger", "angry", "angrily", "mad", "furious", "fury", "rage", "enraged", "irate"),
        *("annoyed", "irritated", "outraged", "hostile"),
    ),
    "contempt": (
        *("contempt", "contemptuous", "contemptuously", "disdain", "disdainful", "scorn"),
        *("scornful", "derision", "sneering", "smirk", "smirking"),
    ),
}

_PHRASES = {tuple(word.split()): name for name, words in SYNONYMS.items() for word in words}
_LONGEST = max(map(len, _PHRASES))
# Fields of a JSON object that hold the answer, the surest first.
_FIELDS = (
    *("expression", "facial_expression", "emotion", "answer", "final_answer", "label", "class"),
    *("category", "prediction", "result"),
)
_NEGATIONS = {
    *("not", "no", "never", "without", "neither", "nor", "cannot", "hardly", "lack", "lacks"),
    *("absence", "than", "instead", "non", "isnt", "doesnt", "except"),
}
_NO_NEGATIONS = {("not", "only"), ("not", "just"), ("not", "merely"), ("no", "doubt")}
_BREAKS = {".", ",", ";", ":", "!", "?", "but", "however", "\n"}
_LONGEST_TEXT = 10_000  # characters; what is said at such length is no answer
_REACH = 5  # words between a negation and what it denies
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|[.,;:!?\n]")
_THOUGHT = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL)
# Some servers leave out the tag that begins a thought.
_THOUGHT_BEFORE = re.compile(r"\A.*</(?:think|thinking|reasoning)>", re.DOTALL)
_FENCE = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)
_BRACES = re.compile(r"\{.*\}", re.DOTALL)
_UNSURE = re.compile(
    r"\b(unclear|unsure|uncertain|ambiguous|not (?:clear|sure|certain|possible)|impossible"
    r"|can't|cannot|can not|unable|not able|hard to|difficult to|whether"
    r"|(?:mix|mixture|blend) of)\b"
)
_REFUSAL = re.compile(
    r"\b(sorry|i can't|i cannot|i can not|i'm unable|i am unable|i'm not able|i am not able"
    r"|unable to|as an ai|i won't|i will not|i must decline|i decline)\b"
)
_STATED = re.compile(
    r"\b(?:answer|expression|emotion|label|class|category|prediction)\b[ \w]{0,30}?"
    r"(?:\bis\b|:|=)([^.\n;]*)[.\s]*\Z"
)


@dataclass(frozen=True)
class Answer:
    """What a text says.

    Attributes:
        expression: the class, None where the text is not clearly one.
        kind: ``answered``, ``refused`` or ``unparseable``.
        reason: why there is no class, in words; empty where there is one.
    """

    expression: str | None
    kind: Kind
    reason: str = ""


def parse_answer(text: str, classes: Sequence[str] = EXPRESSIONS, *, whole: bool = True) -> Answer:
    """Read an answer as one expression, or as none.

    In this order: a JSON value (its field ``expression``, ``emotion``, ``answer`` …); lines that
    hold nothing but a name; a last sentence such as "The answer is …"; the names that the text
    affirms ("not happy but sad" affirms one). What thinks aloud in ``<think>`` is left out.
    Names that are denied count for nothing; two that are affirmed, or doubt, make no answer.

    Args:
        text: what was answered.
        classes: the expressions that were asked about, names of the vocabulary.
        whole: False for a text that was cut off at its limit: then sentences do not count, since
            their end may have said otherwise.

    >>> parse_answer("The person looks happy, not surprised.").expression
    'happy'
    >>> parse_answer("Happy or surprised.").reason
    'names several: happy, surprise'
    """
    clean = _normal(text)
    if not clean:
        return Answer(None, "unparseable", "empty" if whole else "cut off")
    if len(clean) > _LONGEST_TEXT:
        return Answer(None, "unparseable", "too long")
    value = _json(clean)
    if value is not None:
        return _chosen(_of_json(value), classes, "its JSON names none")
    bare = {name for line in clean.splitlines() if (name := _bare(line))}
    if bare:
        return _chosen(bare, classes, "")
    if not whole:
        return Answer(None, "unparseable", "cut off")
    stated = _STATED.search(clean)
    if stated is not None and not _UNSURE.search(stated[1]):
        named = _affirmed(stated[1])
        if named:
            return _chosen(named, classes, "")
    if _REFUSAL.search(clean):
        return Answer(None, "refused", "declines to answer")
    if _UNSURE.search(clean):
        return Answer(None, "unparseable", "is not sure")
    return _chosen(_affirmed(clean), classes, "names none")


def _chosen(named: set[str], classes: Sequence[str], none: str) -> Answer:
    """The one expression that is named, if it is one and was asked about."""
    if len(named) != 1:
        several = ", ".join(name for name in EXPRESSIONS if name in named)
        return Answer(None, "unparseable", f"names several: {several}" if named else none)
    (name,) = named
    if name not in classes:
        return Answer(None, "unparseable", f"names {name}, which was not asked about")
    return Answer(name, "answered")


def _normal(text: str) -> str:
    """Lower case, plain quotes, no Markdown, no thinking aloud."""
    plain = unicodedata.normalize("NFKC", text).replace("’", "'").lower()
    said = _THOUGHT_BEFORE.sub(" ", _THOUGHT.sub(" ", plain))
    return re.sub(r"[*#>]", " ", said).strip()


def _json(text: str) -> Any:
    """The JSON object, list or text that is the answer; None where there is none."""
    for found in (text, *_FENCE.findall(text), *_BRACES.findall(text)):
        try:
            value = json.loads(found)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict | list | str):
            return value
    return None


def _of_json(value: Any) -> set[str]:
    """The expressions that the answering field of a JSON value affirms."""
    if isinstance(value, str):
        return set() if _UNSURE.search(value) else _affirmed(value)
    if isinstance(value, list):
        return {name for each in value if isinstance(each, str) for name in _of_json(each)}
    if isinstance(value, dict):
        fields = {str(key).strip().replace(" ", "_"): each for key, each in value.items()}
        for field in _FIELDS:
            if field in fields and isinstance(fields[field], str | list):
                return _of_json(fields[field])
    return set()


def _bare(line: str) -> str | None:
    """The expression of a line that holds nothing but its name."""
    words = tuple(token for token in _TOKEN.findall(line) if token[0].isalpha())
    return _PHRASES.get(words)


def _affirmed(text: str) -> set[str]:
    """The expressions that a text names without denying them."""
    tokens = _TOKEN.findall(text)
    found: set[str] = set()
    place = 0
    while place < len(tokens):
        for length in range(_LONGEST, 0, -1):
            name = _PHRASES.get(tuple(tokens[place : place + length]))
            if name is not None:
                if not _denied(tokens, place):
                    found.add(name)
                place += length - 1
                break
        place += 1
    return found


def _denied(tokens: Sequence[str], place: int) -> bool:
    """Whether a negation stands shortly before a word, in the same clause."""
    for back in range(place - 1, max(place - _REACH, 0) - 1, -1):
        token = tokens[back]
        if token in _BREAKS:
            return False
        negates = token in _NEGATIONS or token.endswith("n't")
        if negates and (token, tokens[back + 1]) not in _NO_NEGATIONS:
            return True
    return False
