"""The tasks of the command line, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Task:
    """What the command line says of a task.

    Attributes:
        summary: the task in a line.
        often: what is often set, as lines of the help.
        more: further words, as lines of the help.
        flags: words that stand for an override.
        things: the override that words without ``=`` are gathered in, where there is one.
        module: where its function is, if not in a module of its name.
    """

    summary: str
    often: str
    more: str = ""
    flags: Mapping[str, str] = field(default_factory=dict)
    things: str | None = None
    module: str | None = None


TASKS = {
    "train": Task(
        "train a classifier, audit it, test it, write its report",
        """\
  model.optimizer.lr=1e-3     trainer.max_epochs=10      recipe.batch_size=64
  dataset.root=FOLDER         split.where.race=[black]   attributes=[gender,age]
  seed=2                      name=my-run                logger.mode=online
  callbacks.checkpoint.monitor=val/fairness/bias         explain.max_samples=99
  callbacks.checkpoint.floor={val/accuracy:0.5}
  callbacks.early_stopping.epochs=5                      find.lr=true
  model.scheduler={name: cosine, warmup: 0.05}           find.batch_size=true
  model.optimizer.layer_decay=0.75                       find.max_memory=8
  trainer.precision=bf16-mixed      trainer.gradient_clip_val=1
  callbacks.averaging.decay=0.999   trainer.accumulate_grad_batches=4
  deterministic=true                compile=true      (docs/training.md)""",
        "  resume=FOLDER | resume=last     go on with a run that was interrupted\n"
        "  --multirun split=female,male    a sweep: a run for each combination\n"
        "    hydra/launcher=joblib         several at once; submitit_local,\n"
        "                                  submitit_slurm, ray\n"
        "    hydra/sweeper=optuna          a search: accuracy up, bias score down\n"
        "  --multirun resume=FOLDER        go on with a sweep, or resume=last\n"
        "                                  (docs/sweeps.md)\n",
        flags={"hydra/sweeper=optuna": "hydra/sweeper=search"},
    ),
    "evaluate": Task(
        "audit a model on any dataset, or a table of predictions",
        """\
  predictions=FILE            a .csv or .parquet file (docs/predictions.md)
    columns={label:truth}     labels={0:happy,1:sad}  attributes=[gender,site]
    classes=7                 demographics_source=deepface
  checkpoint=FILE             or a run's folder, or last: with dataset=…
    dataset.root=FOLDER       rows=all (test, val)    test_split.where.age=[54+]
  callbacks.fairness.min_count=10   callbacks.fairness.resamples=5000""",
    ),
    "explain": Task(
        "where a model looks, on any dataset, and how far to believe it",
        """\
  checkpoint=FILE             or a run's folder, or last: with dataset=…
    dataset.root=FOLDER       rows=all (test, val)    test_split.where.age=[54+]
  explain.layer=NAME          explain.max_test_samples=500
  explain.check_samples=99    explain.intensity=false
  explain.merged_by=age       explain.parser=bisenet  (docs/regions.md)
  maps=FOLDER                 people's maps in face space, compared with it""",
        module="explaining",
    ),
    "predict": Task(
        "classify photographs of anybody's: a file, or a folder of them",
        """\
  checkpoint=FILE             or a run's folder, or last
  image=FILE                  or a folder, or several: [a.jpg,folder]
  boxes=FILE                  .csv: path,left,top,right,bottom; crops
  output=FILE.csv             device=cpu (auto, cuda)    batch_size=64
  partial=FILE.csv            what a time that was stopped has left
  top_k=3                     of one photograph: classes listed""",
        things="image",
    ),
    "ask": Task(
        "ask a vision-language model about a dataset's faces, and audit it",
        """\
  server.base_url=URL         server.model=NAME       (docs/vision_language.md)
  server.key_variable=NAME    environment variable that holds the key
  dataset.root=FOLDER         rows=all (test, val)       max_samples=200
  budget.dollars=5            budget.input_price=0.4     budget.output_price=1.6
  journal=FILE                answers of earlier runs, never paid twice
  server.concurrency=8        server.requests_per_minute=60
  question.text='…{classes}…' question.max_tokens=50     image_size=224""",
    ),
    "export": Task(
        "write a trained model as a file that runs without fer_lab",
        """\
  checkpoint=FILE             or a run's folder, or last
  format=torch_export         (onnx)                     output=FILE.pt2
  image=FOLDER                photographs to check it with, too""",
    ),
    "heatmaps": Task(
        "merged heatmaps of several runs: distances, tree, differences",
        """\
  RUN RUN …                   run folders, or folders of runs such as a sweep's
  split=test                  groups=[female,male]    min_images=30
  resamples=200               seed=1""",
        things="runs",
    ),
    "compare": Task(
        "what differs between two runs, on the same samples",
        """\
  A B                         run folders, or .csv and .parquet files: B - A
  split=val                   of runs: the samples of which split
  attributes=[gender]         min_count=10               resamples=5000""",
        things="runs",
    ),
    "audit": Task(
        "measure the bias of a dataset's labels against its demographics",
        """\
  dataset.root=FOLDER         rows=train (all, val, test)
  attributes=[gender,age]     classes=8                  variant=published""",
    ),
    "shards": Task(
        "write a dataset into shards, to stream from a folder or URL",
        """\
  dataset.root=FOLDER         output=FOLDER              shard_mb=256
  image_size=64               of faces that are no files (docs/shards.md)""",
    ),
    "table": Task(
        "put runs side by side: Markdown, LaTeX and CSV",
        """\
  runs=FOLDER                 rows=[model,split]         columns=[accuracy]
  values=accuracy             digits=2 percent=true      format=latex""",
        things="runs",
    ),
    "models": Task(
        "what model=… can be: size, input, explained layer, LRP, source",
        """\
  NAME                        one of them, with its recipe and options
  format=markdown             (csv, json) for files""",
        things="name",
        module="models_table",
    ),
    "report": Task(
        "write one page over all runs, complete in itself",
        """\
  runs=FOLDER                 output=report.html         title='Six models'
  workspace=file              as a W&B workspace, too; workspace=save sends it
    project=ENTITY/NAME       where runs name several""",
        things="runs",
        module="reporting",
    ),
    "runs": Task(
        "list runs on the terminal",
        """\
  runs=FOLDER                 sort=bias reverse=true     limit=20
  'where={model: resnet50, status: [failed, interrupted]}'""",
        things="runs",
        module="listing",
    ),
    "check": Task(
        "count a dataset's images, find duplicates and unreadable files",
        """\
  dataset.root=FOLDER         split.where.race=[black]   attributes=[gender,age]
  classes=8                   radius=4 (radius=null: exact duplicates alone)""",
        "  --strict (or strict=true)       exit code 1 when a split leaks into another\n",
        flags={"--strict": "strict=true"},
    ),
}
