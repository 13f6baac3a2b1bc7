"""The sections of the page of all runs, as panels of a W&B workspace."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wandb_workspaces.reports.v2 import interface as wr
from wandb_workspaces.workspaces import Section, SectionLayoutSettings

from fer_lab.data.vocabulary import REGIONS
from fer_lab.metrics.headline import FAIRNESS_METRICS
from fer_lab.report.dashboard.figures import CURVES
from fer_lab.report.logged import group_figure
from fer_lab.report.wording import name
from fer_lab.report.workspace.logged import Logged

_MOST_ROWS = 4  # of panels on the screen; a section with more has pages
_ALL = 100  # bars; W&B draws ten unless it is told otherwise
_LEARNT = {"female", "male", "mixed", "mixed_matched"}

_READING = """\
**Bias score**: the mean over attributes of four gaps between groups, each for the class where it \
is largest; 0 is none. Groups drawn at random have gaps too: the bars beside it are the mean and \
the 95th percentile of shuffled groups.

**The line in the scatter plot** is the best accuracy at that bias score or below: runs on it are \
the Pareto front. A run that predicts two classes or fewer treats all groups alike: filter \
`{split}/collapsed` = 0 before believing the left end.

**Bars and curves** are means with one standard deviation over runs that are alike in {by}. Runs \
on other faces, with other classes or attributes, cannot be compared: filter them."""


def sections(logged: Logged) -> list[Section]:
    """The sections that the runs have something to show in."""
    panels = Panels(logged)
    found = [
        _section("Accuracy and bias", panels.headline(), columns=2),
        _section("Runs", [wr.RunComparer(diff_only=True)], columns=1),
        _section("Train × test gender", panels.genders(), columns=3),
        _section("Groups", panels.groups(), columns=2),
        _section("Fairness by attribute", panels.fairness(), columns=2),
        _section("Where models look", panels.regions(), columns=2),
        _section("Learning curves", panels.curves(), columns=2),
    ]
    return [section for section in found if section.panels]


def _section(title: str, panels: Sequence[Any], *, columns: int) -> Section:
    rows = max(1, min(_MOST_ROWS, math.ceil(len(panels) / columns)))
    layout = SectionLayoutSettings(columns=columns, rows=rows)
    return Section(name=title, panels=list(panels), is_open=True, layout_settings=layout)


@dataclass
class Panels:
    """Panels over what runs have logged; none over what no run has.

    Attributes:
        logged: what there is.
    """

    logged: Logged

    def headline(self) -> list[Any]:
        """Accuracy against bias with the front, bias beside its null, and how to read both."""
        split = self.logged.split
        accuracy, bias = f"{split}/accuracy", f"{split}/fairness/bias"
        scatter = wr.ScatterPlot(
            title="Accuracy against bias score",
            x=bias,
            y=accuracy,
            running_ymax=True,
        )
        by = self.logged.by
        words = _READING.format(split=split, by=f"`{by}`" if by else "their sweep")
        shuffled = [f"{split}/bias/{figure}" for figure in ("null_mean", "null_p95")]
        return [
            *[scatter] * ({accuracy, bias} <= self.logged.names),
            *self._bars("Bias score, and that of shuffled groups", [bias, *shuffled]),
            wr.MarkdownPanel(markdown=words),
        ]

    def genders(self) -> list[Any]:
        """Three panels of three bars: tested on women, men and all, by whom was learnt from."""
        if len(self.logged.learnt & _LEARNT) < 2:
            return []
        split = self.logged.split
        tested = [
            (f"tested on {name(group)}", group_figure(split, attribute, group))
            for attribute in self.logged.attributes
            if attribute.removesuffix(" (inferred)") == "gender"
            for group in ("female", "male")
        ]
        return [
            panel
            for title, figure in [*tested, ("tested on all faces", f"{split}/accuracy")]
            for panel in self._bars(f"Accuracy, {title}", [figure], by="choices.split")
        ]

    def groups(self) -> list[Any]:
        """Accuracy of each group, attribute by attribute, and the table of all groups."""
        split = self.logged.split
        found = []
        for attribute, groups in self.logged.attributes.items():
            figures = [group_figure(split, attribute, group) for group in groups]
            found += self._bars(f"Accuracy by {name(attribute)}", figures)
        return [*found, *self._table("tables/groups")]

    def fairness(self) -> list[Any]:
        """The four gaps of each attribute, its bias score by epoch, and the table of all gaps."""
        found: list[Any] = []
        for attribute in self.logged.attributes:
            place = f"fairness/{attribute}"
            gaps = [f"{self.logged.split}/{place}/{gap}" for gap in FAIRNESS_METRICS]
            found += self._bars(f"Gaps by {name(attribute)}", gaps)
            found += self._curve(f"val/{place}/bias")
        return [*found, *self._table("tables/gaps")]

    def regions(self) -> list[Any]:
        """IoR and lift of each region of the face, and the pictures of them."""
        split = self.logged.split
        pictures = self.logged.known(["figures/explanation", "figures/region_groups"])
        return [
            *self._bars("IoR by region", [f"{split}/ior/{region}" for region in REGIONS]),
            *self._bars("Lift by region", [f"{split}/lift/{region}" for region in REGIONS]),
            *[wr.MediaBrowser(title=each, media_keys=[each], num_columns=2) for each in pictures],
        ]

    def curves(self) -> list[Any]:
        """The learning curves of the page."""
        return [panel for curve in CURVES for panel in self._curve(curve)]

    def _bars(self, title: str, figures: Iterable[str], by: str | None = None) -> list[Any]:
        metrics: list[Any] = self.logged.known(figures)
        if not metrics:
            return []
        return [
            wr.BarPlot(
                title=title,
                metrics=metrics,
                max_runs_to_show=_ALL,
                max_bars_to_show=_ALL,
                **self._means(by or self.logged.by),
            )
        ]

    def _curve(self, figure: str) -> list[Any]:
        if figure not in self.logged.names:
            return []
        return [wr.LinePlot(title=figure, x="epoch", y=[figure], **self._means(self.logged.by))]

    def _table(self, table: str) -> list[Any]:
        return [wr.WeavePanelSummaryTable(table_name=each) for each in self.logged.known([table])]

    @staticmethod
    def _means(by: str | None) -> dict[str, Any]:
        """One bar or curve for the runs that are alike in a key of the configuration."""
        if by is None:
            return {}
        means = {"groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}
        return {"groupby": wr.Config(by), **means}
