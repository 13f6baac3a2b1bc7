"""The prediction task: a trained model on photographs, as a table of probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from fer_lab.configuration import refuse_what_is_no_number
from fer_lab.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from pytorch_lightning import LightningModule

    from fer_lab.data.photographs import Photographs
    from fer_lab.report.run import Run

_WHOLE = (
    "Photographs were not cropped to a face: there is no face detection yet. The model saw each "
    "of them whole, brought to a square; boxes=FILE crops."
)
_CROPPED = "Each face was cropped to its given box, widened by 30 % as the boxes of datasets are."


@dataclass(frozen=True)
class Trained:
    """A checkpoint's model with where it comes from.

    Attributes:
        model: on the CPU, in evaluation mode; its classes are known.
        path: the checkpoint.
        run: the run whose folder it lies in, None where it lies in none.
    """

    model: LightningModule
    path: Path
    run: Run | None

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of the logits."""
        return list(map(str, self.model.classes))  # type: ignore[arg-type]

    @property
    def image_size(self) -> int:
        """Height and width of the images that it takes, in pixels."""
        return int(self.model.image_size)  # type: ignore[arg-type]


def predict(cfg: DictConfig, folder: Path) -> pd.DataFrame:
    """Predict as configured; table, caveat and what was set aside are left as files.

    Args:
        cfg: the composed configuration of ``conf/predict.yaml``.
        folder: where the files go, unless ``output`` says otherwise.

    Returns:
        One row a photograph, or a box: ``id``, ``path``, the box, ``prediction``,
        ``confidence`` (its probability) and ``prob_<class>``, in [0, 1].

    Raises:
        ConfigError: for an option that cannot work.
        DataError: for a checkpoint or a list of boxes that cannot be read, and where there is no
            photograph that can be.
    """
    refuse_what_is_no_number(cfg)
    trained_of, given = str(cfg.checkpoint or ""), given_photographs(cfg)
    if not trained_of:
        raise ConfigError(
            "name the model that predicts",
            where="checkpoint=null",
            hint="fer-lab predict checkpoint=FILE image=FOLDER; a run's folder, or last",
        )
    output = Path(str(cfg.output)).expanduser() if cfg.output else folder / "predictions.csv"
    if output.suffix.lower() != ".csv":
        raise ConfigError(f"{output.name} is no .csv", where=f"output={cfg.output}")

    from fer_lab.data.photographs import find_photographs, with_boxes
    from fer_lab.models.prediction import torch_device
    from fer_lab.report.caveat import group_caveat

    photographs = find_photographs(given)
    if cfg.boxes is not None:
        photographs = with_boxes(photographs, str(cfg.boxes))
    trained = load_trained(trained_of)
    device = torch_device(str(cfg.device))
    table, aside = predict_photographs(trained, photographs, cfg.batch_size, device)
    caveat = group_caveat(trained.run, trained.path)
    caveat["text"].insert(0, _CROPPED if cfg.boxes is not None else _WHOLE)
    facts = _facts(cfg, trained, photographs, table, aside) | {"caveat": caveat}
    written = _write(output, table, aside, facts)
    _say(cfg, table, facts, written)
    if table.empty:
        raise DataError(
            f"none of the {len(aside):,} photographs can be used: {_reasons(aside)}",
            where=aside["path"].iloc[0] if len(aside) else ", ".join(given),
            hint=f"the list is {written[-1]}",
        )
    return table


def load_trained(wanted: str) -> Trained:
    """The model of a checkpoint file, of a run's folder, or of the newest run (``last``).

    Raises:
        ConfigError: when no run has a checkpoint.
        DataError: when there is none, it cannot be read, or it does not name its classes.
    """
    from fer_lab.models.checkpoints import load_checkpoint
    from fer_lab.record import find_checkpoint
    from fer_lab.report.caveat import trained_run

    path = find_checkpoint(wanted)
    run = trained_run(path)
    configured = run is not None and (run.path / ".hydra" / "config.yaml").is_file()
    named = run.config.get("model", {}).get("_target_") if run is not None and configured else None
    model = load_checkpoint(path, named)
    if getattr(model, "classes", None) is None:
        raise DataError("the checkpoint does not name its classes", where=path)
    return Trained(model, path, run)


def predict_photographs(
    trained: Trained, photographs: Photographs, batch_size: int, device: torch.device
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Class probabilities of photographs.

    Args:
        trained: the model.
        photographs: what to look at.
        batch_size: rows in a batch.
        device: where the model computes.

    Returns:
        The table of :func:`predict`, and ``id``, ``path`` and ``reason`` of what is not in it.

    Raises:
        DataError: when the model's answers are no numbers.
    """
    import numpy as np
    import pandas as pd

    from fer_lab.models.prediction import class_probabilities

    frame, classes = photographs.frame, trained.classes
    shares, reasons = class_probabilities(
        trained.model,
        frame,
        num_classes=len(classes),
        image_size=trained.image_size,
        batch_size=batch_size,
        device=device,
    )
    read = reasons == ""
    names = [name for name in frame.columns if name != "box"]
    table = pd.DataFrame(frame.loc[read, names]).reset_index(drop=True)
    table.attrs = {}
    table["prediction"] = np.array(classes, dtype=object)[shares[read].argmax(axis=1)]
    table["confidence"] = shares[read].max(axis=1, initial=0)
    for place, name in enumerate(classes):
        table[f"prob_{name}"] = shares[read, place]
    unread = pd.DataFrame(frame.loc[~read, ["id", "path"]]).assign(reason=reasons[~read])
    unread.attrs = {}
    return table, pd.concat([photographs.aside, unread], ignore_index=True)


def given_photographs(cfg: DictConfig) -> list[str]:
    """The files and folders that ``image`` names.

    Raises:
        ConfigError: when it names none.
    """
    from fer_lab.data.splitting.selection import plain

    value = plain(cfg.image)
    words = [value] if isinstance(value, str | int | float) else value
    if not isinstance(words, list) or not words or not all(words):
        raise ConfigError(
            "name the photographs",
            where=f"image={cfg.image}",
            hint="image=FILE or image=FOLDER, or several: image=[one.jpg,two.jpg]",
        )
    return list(map(str, words))


def _facts(
    cfg: DictConfig,
    trained: Trained,
    photographs: Photographs,
    table: pd.DataFrame,
    aside: pd.DataFrame,
) -> dict[str, Any]:
    """What stands beside the table, without the caveat."""
    from fer_lab.record import command_line
    from fer_lab.report.caveat import training_facts

    columns = {
        "id": "path below the folder that was given, with #n for the n-th of several boxes",
        "path": "the file",
        **({"left, top, right, bottom": "the box, in pixels"} if cfg.boxes is not None else {}),
        "prediction": "the class of the highest probability",
        "confidence": "that probability; how often such answers are right is another question",
        "prob_<class>": "probability of each class, in [0, 1]; a row adds up to 1",
    }
    return {
        "command": command_line(),
        "checkpoint": str(trained.path.absolute()),
        "training": training_facts(trained.run),
        "classes": trained.classes,
        "image_size": trained.image_size,
        "boxes": None if cfg.boxes is None else str(cfg.boxes),
        "boxes_of_other_photographs": photographs.unmatched,
        "predicted": len(table),
        "predictions": {name: int((table["prediction"] == name).sum()) for name in trained.classes},
        "set_aside": {str(k): int(n) for k, n in aside["reason"].value_counts().items()},
        "other_files": photographs.others,
        "columns": columns,
    }


def _write(
    output: Path, table: pd.DataFrame, aside: pd.DataFrame, facts: Mapping[str, Any]
) -> list[Path]:
    """Leave the table, the facts and the list of what was set aside; their paths."""
    from fer_lab.files import atomic_path, write_json

    written = [output, output.with_suffix(".json")]
    with atomic_path(output) as temporary:
        table.to_csv(temporary, index=False)
    write_json(written[1], facts)
    unread = output.with_name(f"{output.stem}_set_aside.csv")
    unread.unlink(missing_ok=True)  # of an earlier time
    if len(aside):
        with atomic_path(unread) as temporary:
            aside.to_csv(temporary, index=False)
        written.append(unread)
    return written


def _reasons(aside: pd.DataFrame) -> str:
    counts = aside["reason"].value_counts().items()
    return ", ".join(f"{count:,} {reason}" for reason, count in counts)


def _say(
    cfg: DictConfig, table: pd.DataFrame, facts: Mapping[str, Any], written: list[Path]
) -> None:
    """What the terminal shows: one photograph's likeliest classes, or counts of many."""
    from rich.console import Console

    from fer_lab.report.wording import name, printable

    lines = []
    if len(table) == 1:
        row = table.iloc[0]
        ordered = sorted(facts["classes"], key=lambda each: -row[f"prob_{each}"])
        lines += [printable(row["id"])]
        lines += [f"  {name(each):<14}{row[f'prob_{each}']:7.1%}" for each in ordered[: cfg.top_k]]
    elif len(table):
        counts = sorted(facts["predictions"].items(), key=lambda each: -each[1])
        listed = ", ".join(f"{name(each)} {count:,}" for each, count in counts if count)
        what = "boxes" if cfg.boxes is not None else "photographs"
        lines += [f"{len(table):,} {what}: {listed}"]
    for reason, count in facts["set_aside"].items():
        lines += [f"set aside: {count:,} {reason}"]
    if facts["other_files"]:
        kinds = ", ".join(f"{kind} {n:,}" for kind, n in list(facts["other_files"].items())[:5])
        lines += [f"no images by their names: {printable(kinds)}"]
    if facts["boxes_of_other_photographs"]:
        lines += [f"boxes of no photograph here: {facts['boxes_of_other_photographs']:,}"]
    seen = (
        "faces in given boxes"
        if cfg.boxes is not None
        else "whole photographs, no face detection yet"
    )
    lines += [f"caveat: {seen}; {facts['caveat']['line']}"]
    lines += [f"written: {', '.join(map(str, written))}"]
    Console().print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)
