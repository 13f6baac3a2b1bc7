"""What a comparison of heatmaps says, in sentences: conclusions, and what to be careful about."""

from __future__ import annotations

from collections.abc import Iterator

from fer_lab.report.heatmaps.study import Document
from fer_lab.report.wording import count, is_number, name, number, printable

_ASPECTS = {"training": "training set", "expression": "expression", "test": "test set"}


def conclusions(facts: Document) -> list[str]:
    """Three sentences at most: the training sets, the tree, the difference images."""
    return [
        sentence
        for sentence in (_trainings(facts), _tree(facts), _differences(facts))
        if sentence is not None
    ]


def cautions(facts: Document) -> list[str]:
    """What a reader must know before believing the figures."""
    return list(_cautions(facts))


def _trainings(facts: Document) -> str | None:
    pairs = facts["training_pairs"]
    if not pairs:
        return "One training set alone: nothing can be said of training sets."
    most, least = pairs[0], pairs[-1]
    if not any(pair["above"] for pair in pairs):
        return (
            f"No two training sets are told apart: the largest mean distance, {_pair(most)}, "
            f"{_against(most)}, is above its floor in no heatmap."
        )
    text = f"{_pair(most)} look at faces most differently: {_against(most)}"
    if not most["above"]:
        text = f"{_pair(most)} are furthest apart, though never above the floors: {_against(most)}"
    support = (facts["most_different"] or {}).get("support")
    if len(pairs) == 1:
        return f"{text}."
    if is_number(support):
        text += f", the largest in {support:.0%} of resamples"
    return f"{text}; {_pair(least)} most alike: {_against(least)}."


def _pair(pair: Document) -> str:
    return f"{printable(pair['first'])} and {printable(pair['second'])}"


def _against(pair: Document) -> str:
    floors = f"noise floor {number(pair['floor'])}"
    if is_number(pair["seed_distance"]):
        floors += f", between seeds {number(pair['seed_distance'])}"
    return (
        f"mean distance {number(pair['distance'])} ({floors}), above in {count(pair['above'])} of "
        f"{count(pair['cells'])} heatmaps"
    )


def _tree(facts: Document) -> str | None:
    known = {
        title: facts["aspects"][aspect]
        for aspect, title in _ASPECTS.items()
        if is_number(facts["aspects"][aspect])
    }
    if not known:
        return None
    order = sorted(known, key=lambda title: -known[title])
    text = f"A heatmap changes most with the {order[0]} ({number(known[order[0]])})"
    if len(order) > 1:
        text += ", then " + ", ".join(
            f"the {title} ({number(known[title])})" for title in order[1:]
        )
    branches = facts["branches"]
    if branches and branches["count"]:
        text += (
            f"; {count(branches['strong'])} of {count(branches['count'])} branches of the tree are "
            f"in {branches['level']:.0%} of resamples or more"
        )
    return text + "."


def _differences(facts: Document) -> str | None:
    means = difference_means(facts)
    if not means:
        return None
    told = ", ".join(f"{title} {share:.0%}" for title, share in means.items())
    return f"Pixels whose difference is above its noise: {told} (5% by chance)."


def difference_means(facts: Document) -> dict[str, float]:
    """By kind of difference the share of pixels above the noise, the mean over expressions."""
    shares: dict[str, list[float]] = {}
    for row in facts["differences"]:
        if is_number(row["share_above"]):
            shares.setdefault(row["difference"], []).append(row["share_above"])
    return {title: sum(values) / len(values) for title, values in shares.items()}


def _cautions(facts: Document) -> Iterator[str]:
    yield from facts["warnings"]
    yield (
        "The noise floor is the mean distance of two random halves of one heatmap's images. Halves "
        "hold half of the images, so it is rather too high: a distance below it does not show that "
        "two models look alike, only that nothing shows how they differ."
    )
    titles = list(dict.fromkeys(row["difference"] for row in facts["differences"]))
    if titles:
        yield (
            f"{titles[0]} changes two things at once, the model and the faces. {titles[1]} and "
            f"{titles[2]} are of the same faces: only they are about the models."
        )
    if not all(is_number(row["seed_distance"]) for row in facts["training_distances"]):
        yield (
            "Noise floors are about the test images drawn. They do not cover the luck of training, "
            "which several seeds of each training set show."
        )
    codes = [training["split"] for training in facts["trainings"]]
    if "mixed" in codes and {"female", "male"} & set(codes) and "mixed_matched" not in codes:
        yield (
            "The mixed training set may be larger than the two others: split=mixed_matched draws "
            "one of the size of one gender, so that size and mixture are not confounded."
        )
    yield (
        "A distance compares where the maps are hot, not how hot: a heatmap and its double are at "
        "distance 0. The difference images show both."
    )
    yield (
        "Images are grouped by their true expression and explained for the class that the model "
        "predicts: a model that errs more is explained for other classes more often."
    )
    yield (
        "A merged heatmap is as coarse as the explained layer, and spreads over what landmarks "
        "miss. It says where the attribution method finds what the model uses, not why."
    )
    shared = facts["left_out"]
    if shared:
        told = "; ".join(f"{printable(each['what'])} ({printable(each['why'])})" for each in shared)
        yield f"Left out: {told}."


def training_words(training: Document) -> str:
    """How many faces a run's heatmaps are of, and what was set aside.

    >>> training_words({"faces": 900, "unusable": 3, "folded": 5})
    '900 faces, 3 without usable landmarks, 5 with a folded triangle'
    """
    return (
        f"{count(training['faces'])} faces, {count(training['unusable'])} without usable "
        f"landmarks, {count(training['folded'])} with a folded triangle"
    )


def heading(facts: Document) -> str:
    """How many heatmaps of what, in a line."""
    groups = ", ".join(name(group) for group in facts["groups"])
    return (
        f"{count(len(facts['heatmaps']))} heatmaps: {count(len(facts['trainings']))} runs, "
        f"test faces {groups}, {count(len(facts['expressions']))} expressions"
    )
