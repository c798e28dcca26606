"""``python -m sr_experiments.reproduce``: the stages of the papers, in order, and their report.

Each stage is a process of its own, ``python -m sr_experiments -m +experiment=STAGE OVERRIDES``: one
that fails, crashes or is killed does not end the others.
"""

import argparse
import shlex
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_experiments.core.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from sr_experiments.report.paper.definition import Paper
    from sr_experiments.reproduce.stages import StageRun

PROGRAM = "python -m sr_experiments.reproduce"
DESCRIPTION = "Carry out papers: train and score what their tables need, and write the report."
EPILOG = f"""examples:
  {PROGRAM}                              all papers at budget=quick
  {PROGRAM} activation swa budget=smoke
  {PROGRAM} --plan budget=paper          what that would take; trains nothing
  {PROGRAM} budget=paper hydra/launcher=slurm hydra.launcher.partition=gpu

What is finished is skipped, and what was interrupted goes on: say the same again.
"""
_PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "soft_wrap": True}
#: Keys that this command says itself.
_OWN = ("experiment", "paper", "hydra.sweep.dir", "hydra.mode")


@dataclass(frozen=True)
class Where:
    """What all stages have in common."""

    runs: Path
    report: Path
    budget: str | None  # None where the overrides sweep over it
    accelerator: str


def main(argv: list[str] | None = None) -> int:
    """Carry out papers, or say what that would take.

    Returns:
        0 if every run has its result, 1 if any has not, 2 after a mistake of the user's, which is
        told in one line on stderr, and 130 after an interruption.
    """
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="PAPER | KEY=VALUE",
        help="papers, by name or YAML file (default: every paper), and overrides for all runs",
    )
    parser.add_argument("--plan", action="store_true", help="say what it would take; train nothing")
    given = sys.argv[1:] if argv is None else argv
    arguments = parser.parse_intermixed_args(given)

    from rich.console import Console
    from rich.text import Text

    overrides = [word for word in arguments.words if "=" in word or word.startswith("~")]
    names = [word for word in arguments.words if word not in overrides]
    try:
        if arguments.plan:
            return _plan(names, overrides, Console())
        return _reproduce(names, overrides, Console())
    except UserError as error:
        line = str(error).splitlines()[0]
        Console(stderr=True).print(Text(f"error: {line}"), soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        text = "interrupted"
        if not arguments.plan:
            text += f"; this goes on where it stopped: {PROGRAM} {shlex.join(given)}".rstrip()
        Console(stderr=True).print(Text(text), soft_wrap=True)
        return 130


def _papers(names: Sequence[str]) -> "list[tuple[str, Paper]]":
    """The papers with the words by which they were asked for."""
    from sr_experiments.report.paper.load import load_paper, papers

    return [(name, load_paper(name)) for name in dict.fromkeys(names or papers())]


def _where(overrides: Sequence[str]) -> Where:
    """Where runs and report lie, and which budget is asked for.

    Raises:
        UserError: an override that no config takes, or that this command says itself.
    """
    from sr_experiments.reproduce.experiments import common

    given, swept = common(overrides, refused=_OWN)
    budget = None if {"budget", "budget.name"} & swept else given.budget.name
    paths = given.paths
    return Where(paths.runs, paths.report, budget, given.trainer.accelerator)


def _plan(names: Sequence[str], overrides: Sequence[str], console: "Console") -> int:
    """Print what the papers' stages come to."""
    from rich.progress import track

    from sr_experiments.reproduce.experiments import Survey

    papers, where, survey = _papers(names), _where(overrides), Survey()
    found: dict[str, dict[str, Any]] = {paper.name: {} for _, paper in papers}
    refused: dict[str, dict[str, str]] = {paper.name: {} for _, paper in papers}
    first: UserError | None = None
    stages = [(paper.name, stage) for _, paper in papers for stage in paper.stages]
    for paper, stage in track(stages, "counting", console=console, transient=True):
        try:
            found[paper][stage] = survey.stage(stage, overrides)
        except UserError as error:
            first = first or error
            refused[paper][stage] = str(error).splitlines()[0]
    if first is not None and not any(found.values()):
        raise first

    from sr_experiments.reproduce.estimate import here  # imports torch
    from sr_experiments.reproduce.plan_table import PaperWork, show

    work = [PaperWork(n, list(stages.values()), refused[n]) for n, stages in found.items()]
    show(work, here(where.accelerator), where.budget or "?", survey.missing, console)
    return 0


def _reproduce(names: Sequence[str], overrides: Sequence[str], console: "Console") -> int:
    """Run all stages, write the report and sum up."""
    from sr_experiments.report.paper.load import papers as known
    from sr_experiments.report.write import write_reports
    from sr_experiments.reproduce.stages import carry_out, ready

    papers, where = _papers(names), _where(overrides)
    stages = {paper.name: [ready(s, overrides) for s in paper.stages] for _, paper in papers}
    every = [stage for some in stages.values() for stage in some]
    if every and every[0].refused is not None and all(stage.refused for stage in every):
        raise every[0].refused
    for name, some in stages.items():
        for number, stage in enumerate(some, 1):
            title = f"{name}: {stage.name} (stage {number} of {len(some)}, {stage.jobs} runs)"
            console.rule(title, align="left")
            if stage.trouble is None:
                carry_out(stage, overrides, where.runs)
            else:
                console.print(stage.trouble, **_PLAIN)
    written: list[Path] = []
    trouble = None
    if any(stage.states["finished"] + stage.states["skipped"] for stage in every):
        console.rule("report", align="left")
        asked = [name for name, _ in papers]
        others = [name for name in known() if name not in stages]
        try:
            written = write_reports(
                asked, where.runs, where.report, console, shown=where.budget, others=others
            )
        except UserError as error:
            trouble = str(error)
        except Exception as error:  # a defect must not hide what hours of training came to
            traceback.print_exc()
            trouble = f"{type(error).__name__}: {error}"
    _sum_up([paper for _, paper in papers], stages, written, console)
    if trouble is not None:
        console.print(f"no report: {trouble}", **_PLAIN)
    return 0 if trouble is None and all(stage.well for stage in every) else 1


def _sum_up(
    papers: "Sequence[Paper]",
    stages: "dict[str, list[StageRun]]",
    written: Sequence[Path],
    console: "Console",
) -> None:
    from rich import box
    from rich.table import Table

    from sr_experiments.core.console import duration

    console.rule("summary", align="left")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Paper", min_width=max(len(paper.name) for paper in papers))
    columns = ("Stages", "Runs", "Computed", "Already there", "Failed", "Tables", "Time")
    for heading in columns:
        table.add_column(heading, justify="right")
    names = {path.stem for path in written}
    for paper in papers:
        some = stages[paper.name]
        states = sum((stage.states for stage in some), Counter[str]())
        table.add_row(
            paper.name,
            str(len(some)),
            str(sum(stage.jobs for stage in some)),
            str(states["finished"]),
            str(states["skipped"]),
            str(sum(stage.failed for stage in some)),
            str(len(paper.tables) if paper.name in names else 0),
            duration(sum(stage.seconds for stage in some)),
        )
    console.print(table)
    for name, some in stages.items():
        for stage in some:
            if not stage.well:
                text = f"{name}: {stage.name}: "
                if stage.jobs and stage.failed:
                    text += f"{stage.failed} of {stage.jobs} runs have no result"
                    text += "; " if stage.trouble else ", for the reasons above"
                console.print(text + (stage.trouble or ""), **_PLAIN)
    if written:
        console.print(f"report: {written[-1]}", **_PLAIN)


if __name__ == "__main__":
    raise SystemExit(main())
