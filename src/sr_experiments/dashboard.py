"""Build each paper's W&B workspace and report as code: ``python -m sr_experiments.dashboard``.

Both are made from the paper's file in ``sweeps/`` and from the names by which runs log. Without
``--entity`` nothing is sent: the specifications are written as files.
"""

import json
import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_experiments.core.cli import Parser, command
from sr_experiments.core.console import output
from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.metrics.log_names import (
    AXIS,
    GRADIENT,
    LOSS,
    RATE,
    SAMPLES,
    SPEED,
    metric_name,
)

if TYPE_CHECKING:
    from sr_experiments.report.evidence.table import Table
    from sr_experiments.report.render.document import Document

#: W&B allows so many characters in a report's title.
_TITLE = 128


@command()
def main(argv: list[str] | None = None) -> int:
    """Write the specifications of papers' dashboards, and send them if an entity is given.

    Returns:
        0, or 2 after a mistake of the user, which is printed in one line on stderr.
    """
    options = _parse(argv)
    from sr_experiments.report.evidence.collect import Collection, collect
    from sr_experiments.report.paper.load import load_paper, papers
    from sr_experiments.report.render.document import document

    _require()
    loaded = [load_paper(name) for name in options.papers or papers()]
    found = collect(options.runs) if options.runs.is_dir() else Collection([], [])
    console = output()
    for paper in loaded:
        report = document(paper, found, options.runs)
        entity = options.entity or ""
        view, page = workspace(report, entity, options.project), story(report, entity, options)
        for kind, made in (("workspace", view), ("report", page)):
            path = options.out / f"{paper.name}.{kind}.json"
            text = made._to_model().model_dump_json(by_alias=True, exclude_none=True)
            with atomic_write(path) as temporary:
                temporary.write_text(json.dumps(_stable(json.loads(text)), indent=1) + "\n")
            console.print(str(path), highlight=False, soft_wrap=True)
            if options.entity:
                console.print(_sent(made), highlight=False, soft_wrap=True)
    if not options.entity:
        console.print(
            "Nothing was sent. To save them in W&B: wandb login, wandb sync the runs, then the "
            "same command with --entity NAME.",
            highlight=False,
        )
    return 0


def _parse(argv: list[str] | None) -> Namespace:
    parser = Parser(prog="python -m sr_experiments.dashboard", description=__doc__)
    parser.add_argument("papers", nargs="*", metavar="PAPER", help="default: all papers")
    parser.add_argument("--entity", help="user or team in W&B; sends workspace and report there")
    parser.add_argument(
        "--project", default="sr_experiments", help="of the runs (default: %(default)s)"
    )
    parser.add_argument(
        "--runs",
        type=Path,
        default=Path(os.environ.get("SR_RUNS", "runs")),
        help="whose tables and verdicts the report quotes (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(os.environ.get("SR_REPORT", "report")) / "dashboards",
        help="folder of the specifications (default: %(default)s)",
    )
    return parser.parse_args(argv)


def _require() -> None:
    try:
        import wandb_workspaces  # noqa: F401
    except ImportError:
        raise UserError(
            "workspaces-missing",
            "the dashboard needs wandb-workspaces; pip install 'sr_experiments[dashboard]'",
        ) from None


def workspace(report: "Document", entity: str, project: str) -> Any:
    """A saved view of a project: a paper's runs, grouped by what its tables compare.

    Args:
        report: of the paper; data sets that its runs have scored, else the paper's.
        entity: user or team in W&B.
        project: of the runs.

    Returns:
        A :class:`wandb_workspaces.workspaces.Workspace`, not sent.
    """
    import wandb_workspaces.workspaces as ws

    paper = report.paper
    keys = dict.fromkeys(key for table in report.tables for key in compared(table))
    sections = [
        ws.Section(name=f"{table.source.title}: scores", panels=list(_bars(table)), is_open=True)
        for table in _tables(report)
    ]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"{paper.name}: {paper.reference.title}"[:_TITLE],
        sections=[
            ws.Section(name="Validation", panels=list(_curves(report.tables)), is_open=True),
            *sections,
            ws.Section(name="Training", panels=list(_training()), is_open=False),
            ws.Section(name="Images", panels=[_images()], is_open=False),
        ],
        settings=ws.WorkspaceSettings(x_axis=AXIS, max_runs=100),
        runset_settings=ws.RunsetSettings(
            filters=[ws.Metric("group").isin(list(paper.stages))],
            groupby=[ws.Config(key) for key in (*keys, "scale")],
        ),
    )


def story(report: "Document", entity: str, options: Namespace) -> Any:
    """A W&B report: for each table its curves, bars and images, then our tables and verdicts.

    Args:
        report: of the paper.
        entity: user or team in W&B.
        options: ``project`` of the runs.

    Returns:
        A :class:`wandb_workspaces.reports.v2.Report`, not sent.
    """
    import wandb_workspaces.reports.v2 as wr

    from sr_experiments.report.render.markdown import to_markdown

    blocks: list[Any] = [wr.TableOfContents()]
    for table in _tables(report):
        runs = wr.Runset(
            name=table.source.experiment,
            filters=f"Metric('group') == '{table.source.experiment}'",
            groupby=[f"config.{key}" for key in (*compared(table), "scale")],
        )
        panels = [*_curves([table]), *_bars(table), _images()]
        blocks += [wr.H2(table.source.title), wr.PanelGrid(runsets=[runs], panels=panels)]
    blocks += [wr.H2("Tables and verdicts"), wr.MarkdownBlock(to_markdown(report))]
    return wr.Report(
        entity=entity,
        project=options.project,
        title=report.paper.reference.title[:_TITLE],
        description="Our runs beside the published numbers; written by sr_experiments.dashboard.",
        blocks=blocks,
        width="fluid",
    )


def compared(table: "Table") -> list[str]:
    """The keys of a run's logged config in which the columns of a table differ."""
    columns = table.source.columns
    found = []
    for key in dict.fromkeys(key for column in columns for key in column.where):
        if len({repr(column.where.get(key)) for column in columns}) < 2:
            continue
        head, _, name = key.partition(".")
        found.append(name if head in ("choices", "settings") else "model")
    return list(dict.fromkeys(found))


def _tables(report: "Document") -> "list[Table]":
    """One of each table in print: those of several budgets share their panels."""
    return list({table.source.id: table for table in report.tables}.values())


def _curves(tables: "Sequence[Table]") -> Iterator[Any]:
    import wandb_workspaces.reports.v2 as wr

    names = {
        metric_name("val", "psnr", pair.psnr, column.weights): pair.psnr
        for table in tables
        for pair in (*table.source.datasets.values(), table.source.other_datasets)
        for column in table.source.columns
    }
    for name in names:
        title = f"{name}, validation images (dB)"
        yield wr.LinePlot(title=title, x=AXIS, y=[name], smoothing_factor=0)


def _bars(table: "Table") -> Iterator[Any]:
    """A bar for each group of runs: PSNR and SSIM of each data set, by the paper's protocols."""
    import wandb_workspaces.reports.v2 as wr

    scored = dict.fromkeys(row.dataset for row in table.rows if row.ours)
    average = table.source.average.label if table.source.average else None
    kinds = dict.fromkeys(column.weights for column in table.source.columns)
    for dataset in [name for name in scored or table.source.datasets if name != average]:
        pair = table.source.protocols(dataset)
        for quantity, protocol, unit in (("psnr", pair.psnr, " (dB)"), ("ssim", pair.ssim, "")):
            if protocol is not None:
                names = [
                    metric_name(f"benchmark/{dataset}", quantity, protocol, kind) for kind in kinds
                ]
                title = f"{dataset}: {quantity.upper()} by {protocol}{unit}"
                yield wr.BarPlot(title=title, metrics=list[Any](names), orientation="h")


def _training() -> Iterator[Any]:
    import wandb_workspaces.reports.v2 as wr

    for name in (LOSS, RATE, GRADIENT, SPEED):
        logarithmic = name in (LOSS, RATE, GRADIENT)
        yield wr.LinePlot(title=name, x=AXIS, y=[name], log_y=logarithmic, smoothing_factor=0)


def _images() -> Any:
    import wandb_workspaces.reports.v2 as wr

    return wr.MediaBrowser(title=SAMPLES.removeprefix("val/"), media_keys=[SAMPLES], num_columns=1)


def _stable(node: Any) -> Any:
    """Without the random names that the library gives each panel: the same runs, the same bytes."""
    if isinstance(node, dict):
        return {key: _stable(value) for key, value in node.items() if key != "__id__"}
    return [_stable(entry) for entry in node] if isinstance(node, list) else node


def _sent(made: Any) -> str:
    """Save in W&B; returns the address."""
    try:
        made.save()
    except Exception as error:  # the client raises bare exceptions of many kinds
        raise UserError(
            "dashboard-not-sent",
            "W&B did not take it ({reason}); check wandb login, --entity and --project",
            reason=" ".join(str(error).split()) or type(error).__name__,
        ) from None
    return f"  {made.url}"


if __name__ == "__main__":
    raise SystemExit(main())
