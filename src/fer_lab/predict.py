"""The prediction task: a trained model on photographs, as a table of probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from fer_lab.configuration import refuse_what_is_no_number
from fer_lab.errors import ConfigError, DataError
from fer_lab.interruptions import terminations_as_interrupts
from fer_lab.places import refuse_unwritable_file

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from numpy.typing import NDArray
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


@dataclass(frozen=True)
class Predicted:
    """What a model has made of photographs.

    Attributes:
        table: one row a photograph, or a box, see :func:`predict`.
        aside: ``id``, ``path`` and ``reason`` of what is not in it.
        left: how many were not looked at, since somebody stopped it.
        stopped: by what; None where nobody did.
    """

    table: pd.DataFrame
    aside: pd.DataFrame
    left: int = 0
    stopped: KeyboardInterrupt | None = None


def predict(cfg: DictConfig, folder: Path) -> pd.DataFrame:
    """Predict as configured; table, caveat and what was set aside are left as files.

    Ctrl-C and SIGTERM leave what is done by then as ``<output>_partial.csv``, to go on from.

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
        KeyboardInterrupt: when somebody stopped it.
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
    refuse_unwritable_file(output.with_name(f"{output.stem}_partial.csv"), "output")
    refuse_unwritable_file(output, "output")

    from fer_lab.data.photographs import find_photographs, with_boxes
    from fer_lab.data.predictions.partial import read_partial
    from fer_lab.models.prediction import torch_device
    from fer_lab.report.caveat import group_caveat
    from fer_lab.report.photographs import (
        say_photographs,
        say_stopped,
        why_set_aside,
        write_photographs,
    )

    photographs = find_photographs(given)
    if cfg.boxes is not None:
        photographs = with_boxes(photographs, str(cfg.boxes))
    trained = load_trained(trained_of)
    device = torch_device(str(cfg.device))
    same = _same(cfg, trained)
    earlier = None
    if cfg.partial is not None:
        earlier = read_partial(Path(str(cfg.partial)).expanduser(), photographs.frame, same)
    found = predict_photographs(trained, photographs, cfg.batch_size, device, earlier)
    caveat = group_caveat(trained.run, trained.path)
    caveat["text"].insert(0, _CROPPED if cfg.boxes is not None else _WHOLE)
    facts = _facts(cfg, trained, photographs, found) | same | {"caveat": caveat}
    table, aside = found.table, found.aside
    if found.stopped is not None:
        partial = output.with_name(f"{output.stem}_partial.csv")
        written = write_photographs(partial, table, aside, facts) if len(table) else []
        say_stopped(str(found.stopped) or "stopped by Ctrl-C", facts, written)
        raise found.stopped
    written = write_photographs(output, table, aside, facts)
    say_photographs(table, facts, written, cfg.top_k)
    if table.empty:
        raise DataError(
            f"none of the {len(aside):,} photographs can be used: {why_set_aside(facts)}",
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
    trained: Trained,
    photographs: Photographs,
    batch_size: int,
    device: torch.device,
    earlier: pd.DataFrame | None = None,
) -> Predicted:
    """Class probabilities of photographs.

    Args:
        trained: the model.
        photographs: what to look at.
        batch_size: rows in a batch.
        device: where the model computes.
        earlier: rows that are done, of :func:`~fer_lab.data.predictions.partial.read_partial`.

    Raises:
        DataError: when the model's answers are no numbers.
    """
    import numpy as np
    import pandas as pd

    from fer_lab.models.prediction import class_probabilities

    whole, classes = photographs.frame, trained.classes
    todo = np.ones(len(whole), dtype=bool)
    if earlier is not None:
        todo[earlier["position"]] = False
    frame = whole[todo]
    batches: list[tuple[NDArray[np.float32], list[str]]] = []
    stopped = None
    try:
        with terminations_as_interrupts():
            for batch in class_probabilities(
                trained.model,
                frame,
                image_size=trained.image_size,
                batch_size=batch_size,
                device=device,
            ):
                batches.append(batch)  # noqa: PERF402 - what is there when it is stopped is kept
    except KeyboardInterrupt as error:
        stopped = error
    why = np.array([reason for _, reasons in batches for reason in reasons], dtype=object)
    read, seen = why == "", frame.iloc[: len(why)]
    names = [name for name in frame.columns if name != "box"]
    table = pd.DataFrame(seen.loc[read, names])
    table.attrs = {}
    parts = [shares.reshape(-1, len(classes)) for shares, _ in batches]
    probabilities = np.concatenate([np.empty((0, len(classes)), dtype=np.float32), *parts])
    table["prediction"] = np.array(classes, dtype=object)[probabilities.argmax(axis=1)]
    table["confidence"] = probabilities.max(axis=1, initial=0)
    for place, name in enumerate(classes):
        table[f"prob_{name}"] = probabilities[:, place]
    if earlier is not None:
        table = pd.concat([earlier.set_index("position"), table]).sort_index()
    unread = pd.DataFrame(seen.loc[~read, ["id", "path"]]).assign(reason=why[~read])
    unread.attrs = {}
    aside = pd.concat([photographs.aside, unread], ignore_index=True)
    return Predicted(table.reset_index(drop=True), aside, len(frame) - len(why), stopped)


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
    found: Predicted,
) -> dict[str, Any]:
    """What stands beside the table, without the caveat."""
    from fer_lab.record import command_line
    from fer_lab.report.caveat import training_facts

    predicted = found.table["prediction"]
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
        "boxes_of_other_photographs": photographs.unmatched,
        "predicted": len(predicted),
        "predictions": {name: int((predicted == name).sum()) for name in trained.classes},
        "not_looked_at": found.left,
        "set_aside": {str(k): int(n) for k, n in found.aside["reason"].value_counts().items()},
        "other_files": photographs.others,
        "columns": columns,
    }


def _same(cfg: DictConfig, trained: Trained) -> dict[str, Any]:
    """What a table can be gone on with: the model, and what it looks at."""
    from fer_lab.files import file_digest

    return {
        "checkpoint_sha256": file_digest(trained.path),
        "classes": trained.classes,
        "image_size": trained.image_size,
        "boxes": None if cfg.boxes is None else str(cfg.boxes),
    }
