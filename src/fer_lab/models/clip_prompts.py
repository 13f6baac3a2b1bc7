"""Expressions as texts for CLIP: templates, the words that stand in them, and their tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import open_clip

from fer_lab.errors import ConfigError, near_miss

# Adjectives for classes that are named by a noun; others stand in prompts as they are called.
WORDS = {
    "surprise": "surprised",
    "fear": "fearful",
    "disgust": "disgusted",
    "anger": "angry",
    "contempt": "contemptuous",
}


def prompts_of(
    classes: Sequence[str], templates: Sequence[str], words: Mapping[str, str]
) -> list[list[str]]:
    """The texts of each class, one of each template.

    Args:
        classes: their names.
        templates: with ``{expression}`` where the word stands.
        words: of classes, where it is not the one of ``WORDS``.

    >>> prompts_of(["fear", "sad"], ["a {expression} face"], {})
    [['a fearful face'], ['a sad face']]
    """
    said = {**WORDS, **words}
    return [
        [each.format(expression=said.get(name, name)) for each in templates] for name in classes
    ]


def check_prompts(
    templates: Sequence[str],
    words: Mapping[str, str],
    classes: Sequence[str] | None,
    *,
    option: str = "templates",
) -> None:
    """Refuse what makes no prompts.

    Args:
        templates: of the prompts.
        words: of classes in prompts, by the names of classes.
        classes: their names, where they are known.
        option: under which the templates were given.

    Raises:
        ConfigError: for no template, one without ``{expression}``, or a word of no class.
    """
    for template in templates:
        try:
            says = template.format(expression="happy") != template.format(expression="sad")
        except (LookupError, ValueError, AttributeError):
            says = False
        if not says:
            raise ConfigError(
                f"{template!r} is no template of a prompt",
                where=f"model.{option}",
                hint="write {expression} where the word stands, and no other braces",
            )
    if not templates:
        raise ConfigError("there is no template", where=f"model.{option}")
    for name in words if classes else ():
        if name not in (classes or ()):
            near = near_miss(name, classes or ())
            raise ConfigError(
                f"there is no class {name!r}",
                where="model.words",
                hint=f"did you mean {near!r}?" if near else ", ".join(classes or ()),
            )


def tokens_of(
    architecture: str, texts: Sequence[str], *, option: str = "templates"
) -> list[list[int]]:
    """The tokens of each text, with those that stand for its start and its end.

    Args:
        architecture: the model's name in open_clip.
        texts: the prompts.
        option: under which their templates were given.

    Raises:
        ConfigError: for a text that is longer than CLIP reads.
    """
    tokenizer = open_clip.get_tokenizer(architecture)
    found = [
        [tokenizer.sot_token_id, *tokenizer.encode(text), tokenizer.eot_token_id] for text in texts
    ]
    for text, tokens in zip(texts, found, strict=True):
        if len(tokens) > tokenizer.context_length:
            raise ConfigError(
                f"the prompt {text!r} has {len(tokens)} tokens",
                where=f"model.{option}",
                hint=f"CLIP reads {tokenizer.context_length}",
            )
    return found
