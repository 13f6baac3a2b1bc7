"""The document of an audit with where its groups come from: people, a drawing, or a model."""

from __future__ import annotations

from typing import Any

from fer_lab.data.predictions import Predictions, is_inferred
from fer_lab.metrics.predictions import audit_predictions


def audit_document(predictions: Predictions, split: str, **options: Any) -> dict[str, Any]:
    """What ``metrics/<split>.json`` holds, the only way it is made.

    Beside the figures each attribute says its ``source`` and whether it is ``inferred``, and
    ``inferred`` lists the attributes that are.

    Args:
        predictions: the samples.
        split: what they are of, ``val`` or ``test``.
        **options: of `fer_lab.metrics.predictions.audit_predictions`.
    """
    facts = audit_predictions(
        predictions.frame,
        attributes=predictions.groups,
        classes=predictions.classes,
        **options,
    )
    for attribute, section in facts["attributes"].items():
        section["source"] = predictions.sources[attribute]
        section["inferred"] = is_inferred(section["source"])
    inferred = [name for name, section in facts["attributes"].items() if section["inferred"]]
    facts["worst_group"]["inferred"] = facts["worst_group"]["attribute"] in inferred
    return {"split": split, **facts, "inferred": inferred}
