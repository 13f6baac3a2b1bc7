"""Free text to one expression, or to none."""

from __future__ import annotations

import time

import pytest

from fer_lab.data.answers import SYNONYMS, parse_answer
from fer_lab.data.vocabulary import EXPRESSIONS

CLEAR = {
    "happy": "happy",
    "Happy.": "happy",
    "  **Sadness**\n": "sad",
    "'Surprised'": "surprise",
    "The person looks afraid.": "fear",
    "Not happy but sad.": "sad",
    "The person isn't happy. They are angry.": "anger",
    "The face isn’t neutral; it shows disgust": "disgust",
    "neither happy nor sad, but angry": "anger",
    "no expression": "neutral",
    "The face shows no emotion": "neutral",
    "more sad than happy": "sad",
    "No doubt happy": "happy",
    "happiness (joy)": "happy",
    '{"expression": "Fear", "explanation": "it is not sadness"}': "fear",
    '```json\n{"emotion": "angry", "confidence": 0.9}\n```': "anger",
    'Here it is: {"answer": "disgusted"}': "disgust",
    '["happy"]': "happy",
    '"contempt"': "contempt",
    "Surprise\n\nThe raised brows might also suggest fear.": "surprise",
    "Of neutral, happy and sad, the answer is happy.": "happy",
    "I considered anger and fear.\nFinal answer: sad": "sad",
    "<think>happy? or sad? maybe fear</think>\nneutral": "neutral",
    "I'm sorry, but I can't identify people. The expression is happy.": "happy",
    "HAPPY": "happy",
    "ｈａｐｐｙ": "happy",
}

NONE = {
    "": "empty",
    " \n ": "empty",
    "<think>it must be happy": "empty",
    "banana": "names none",
    "42": "names none",
    "not happy": "names none",
    "not happy or sad": "names none",
    "never sad": "names none",
    "happy or sad": "names several: happy, sad",
    "happily surprised": "names several: happy, surprise",
    "happy\nsad": "names several: happy, sad",
    '["happy", "sad"]': "names several: happy, sad",
    '{"mood": "happy"}': "its JSON names none",
    '{"expression": null}': "its JSON names none",
    '{"expression": "not sure, happy"}': "its JSON names none",
    "It is unclear; perhaps happy.": "is not sure",
    "A mix of joy and relief": "is not sure",
    "The emotion is not clear, could be happy": "is not sure",
    "unhappiest": "names none",
}


@pytest.mark.parametrize("text", CLEAR)
def test_a_clear_answer_is_its_expression(text):
    answer = parse_answer(text)
    assert (answer.expression, answer.kind, answer.reason) == (CLEAR[text], "answered", "")


@pytest.mark.parametrize("text", NONE)
def test_what_is_not_clearly_one_is_none(text):
    answer = parse_answer(text)
    assert (answer.expression, answer.kind, answer.reason) == (None, "unparseable", NONE[text])


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "As an AI, I do not judge faces.",
        "I can't determine whether the person is happy.",
        "I am unable to tell if they are sad or angry",
    ],
)
def test_a_refusal_is_one_even_where_it_names_expressions(text):
    assert parse_answer(text).kind == "refused"


def test_an_expression_that_was_not_asked_about_is_no_answer():
    answer = parse_answer("contempt", EXPRESSIONS[:7])
    assert answer.expression is None
    assert answer.reason == "names contempt, which was not asked about"


def test_of_a_text_cut_off_only_a_lone_name_counts():
    assert parse_answer("The person looks happy", whole=False).reason == "cut off"
    assert parse_answer("happy", whole=False).expression == "happy"


def test_no_word_stands_for_two_expressions():
    words = [word for each in SYNONYMS.values() for word in each]
    assert len(words) == len(set(words))
    assert set(SYNONYMS) == set(EXPRESSIONS)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_class_is_its_own_word(name):
    assert parse_answer(name).expression == name


def test_thinking_at_length_does_not_count_as_the_answer():
    assert parse_answer(f"<think>{'sad? ' * 9_000}</think>happy").expression == "happy"


@pytest.mark.parametrize(
    "text",
    [
        *("[" * 9_999, "{" * 9_999, "\x00\ud800", "answer: " * 1_200 + ". x"),
        *("answer is" * 400_000, "<think>" * 400_000, "happy " * 400_000),
    ],
)
def test_hostile_text_is_no_answer_and_read_in_no_time(text):
    start = time.process_time()
    assert parse_answer(text).expression is None
    assert time.process_time() - start < 5
