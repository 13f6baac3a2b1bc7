"""What becomes of answers: a table, and the sentences that stand beside figures."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fer_lab.asking.asker import Asked
from fer_lab.asking.outcomes import answer_table, differences


def line(text, **more):
    return {"text": text, "input_tokens": 9, "output_tokens": 1, **more}


def test_each_row_has_one_outcome_with_its_reason():
    asked = Asked(
        answers={
            0: line("Happy."),
            1: line("happy or sad"),
            2: line("I'm sorry, I can't."),
            3: line("", refused=True),
            4: line("The answer is", whole=False),
            5: line("", whole=False),
            6: line("The face may be sad. </think>\nhappy"),
        },
        failures={7: "HTTP 400"},
    )
    rows = range(9)
    manifest = pd.DataFrame({"id": [f"f{n}" for n in rows], "label": ["happy"] * 9})
    table = answer_table(manifest, np.arange(9), ("happy", "sad"), asked)
    assert table["outcome"].tolist() == [
        *("answered", "unparseable", "refused", "refused", "unparseable", "unparseable"),
        *("answered", "failed", "not asked"),
    ]
    assert table["reason"].tolist()[1:6] == [
        *("names several: happy, sad", "declines to answer", "refused by the server or model"),
        *("cut off", "cut off"),
    ]
    assert table["prediction"].notna().tolist() == [n in (0, 6) for n in rows]
    assert table["input_tokens"].isna().tolist() == [n > 6 for n in rows]


def groups(p, female, male):
    named = {"female": female, "male": male}
    counts = {name: {"asked": a, "answered": b, "right": 0} for name, (a, b) in named.items()}
    return {"by_group": {"gender": {"groups": counts, "p": p}}}


def test_differences_are_told_when_they_are_more_than_chance():
    (said,) = differences(groups(0.01, (10, 4), (20, 19)))
    assert said == (
        "not all groups of gender are answered alike: female 40.0%, male 95.0% (p 0.010)"
    )
    assert differences(groups(0.2, (10, 4), (20, 12))) == []
    assert differences(groups(None, (10, 10), (20, 20))) == []
