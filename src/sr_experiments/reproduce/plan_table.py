"""What papers come to, as tables: runs, networks, updates and time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from sr_experiments.config.choices import default_choices
from sr_experiments.core.console import duration
from sr_experiments.models.complexity import HEIGHT, WIDTH
from sr_experiments.reproduce.estimate import TimeEstimate
from sr_experiments.reproduce.experiments import StagePlan
from sr_experiments.runs.plan import Plan

_COLUMNS = (  # heading, width, whether a number
    ("Network", 22, False),
    ("Method", 18, False),
    ("Done", 7, True),
    ("Parameters", 10, True),
    ("Mult-adds", 9, True),
    ("Updates", 9, True),
    ("ms/update", 13, True),
    ("Time", 12, True),
)
_WIDTH = 116  # what they need; a log is as wide as that


@dataclass(frozen=True)
class PaperWork:
    """The stages of one paper; ``refused`` says of a stage why there is nothing to plan."""

    name: str
    stages: Sequence[StagePlan]
    refused: Mapping[str, str]

    @property
    def runs(self) -> dict[str, Plan]:
        """Each run that it needs once."""
        return {key: work for stage in self.stages for key, work in stage.runs.items()}

    @property
    def ahead(self) -> dict[str, Plan]:
        """Of these, those to be computed."""
        return {key: work for stage in self.stages for key, work in stage.ahead.items()}


def show(
    papers: Sequence[PaperWork],
    estimate: TimeEstimate,
    budget: str,
    missing: Sequence[str],
    console: Console,
) -> None:
    """Measure what is measured, and print it all.

    Args:
        papers: in the order in which they would be carried out.
        estimate: for the device.
        budget: its word.
        missing: which images are not there, one line each.
        console: where to.
    """
    bars = console
    if not console.is_terminal:
        console = Console(width=max(_WIDTH, console.width))
    runs = {key: work for paper in papers for key, work in paper.runs.items()}
    ahead = {key: work for paper in papers for key, work in paper.ahead.items()}
    with Progress(console=bars, transient=True, disable=not bars.is_terminal) as progress:
        bar = progress.add_task("timing networks", total=1)
        for done in estimate.measure(runs, ahead):
            progress.update(bar, completed=done)
    for paper in papers:
        _paper(paper, estimate, console)
    _all(papers, estimate, budget, console)
    for remark in estimate.remarks(ahead):
        console.print(Text(remark), soft_wrap=True)
    for reason in missing:
        text = f"Not here, so that neither their runs nor their scoring are known: {reason}"
        console.print(Text(text), soft_wrap=True)


def _paper(paper: PaperWork, estimate: TimeEstimate, console: Console) -> None:
    console.print(Text(f"\n{paper.name}", style="bold"))
    for name, reason in paper.refused.items():
        console.print(Text(f"{name}: {reason}"), soft_wrap=True)
    counted: set[str] = set()
    for stage in paper.stages:
        own = {key: work for key, work in stage.runs.items() if key not in counted}
        shared = len(stage.runs) - len(own)
        counted |= own.keys()
        jobs = len(stage.jobs) + len(stage.refused)
        done = sum(job.done for job in stage.jobs)
        text = f"{stage.name}: {jobs} jobs ({done} done), {len(stage.runs)} runs with their parents"
        text += f", {shared} of an earlier stage" if shared else ""
        console.print(Text(text), soft_wrap=True)
        for reason in stage.refused:
            console.print(Text(f"  refused: {reason}"), soft_wrap=True)
        console.print(_table(own, stage.ahead, estimate))


def _table(runs: Mapping[str, Plan], ahead: Mapping[str, Plan], estimate: TimeEstimate) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, padding=(0, 1))
    for heading, width, number in _COLUMNS:
        justify = "right" if number else "left"
        table.add_column(heading, min_width=width, no_wrap=True, justify=justify)  # type: ignore[arg-type]
    groups: dict[tuple[str, str, str], list[Plan]] = {}
    for work in runs.values():
        name, parameters = _word(work), "-"
        if not estimate.is_refused(work):
            facts = estimate.network(work)
            name = f"{facts.name} {facts.size}".strip()
            parameters = f"{facts.parameters:,}"
        key = (f"{name} x{work.config.scale}", _method(work), parameters)
        groups.setdefault(key, []).append(work)
    for (name, method, parameters), works in groups.items():
        # Runs that were finished before are not measured again.
        built = [w for w in works if not estimate.is_refused(w)]
        waiting = [w for w in built if w.identity in ahead]
        known = [estimate.network(w) for w in built]
        updates = [estimate.update(w) for w in waiting]
        table.add_row(
            name,
            method,
            f"{sum(work.done for work in works)} of {len(works)}",
            parameters,
            _span([(facts.multiply_adds or 0) / 1e9 for facts in known], "{:,.0f} G"),
            _span([work.config.updates for work in works if work.trained], "{:,.0f}"),
            _span([1000 * one for one in updates if one is not None], "{:,.0f}"),
            duration(sum(estimate.seconds(work) for work in waiting)),
        )
    return table


def _all(
    papers: Sequence[PaperWork],
    estimate: TimeEstimate,
    budget: str,
    console: Console,
) -> None:
    table = Table("Paper", box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left")
    for heading in ("Stages", "Jobs", "Runs", "Done", "Updates ahead", "Time"):
        table.add_column(heading, justify="right")
    for paper in papers:
        jobs = sum(len(stage.jobs) + len(stage.refused) for stage in paper.stages)
        stages = len(paper.stages) + len(paper.refused)
        table.add_row(paper.name, str(stages), str(jobs), *_sums([paper], estimate))
    if len(papers) > 1:
        table.add_section()
        jobs = sum(len(s.jobs) + len(s.refused) for paper in papers for s in paper.stages)
        stages = sum(len(paper.stages) + len(paper.refused) for paper in papers)
        table.add_row("together", str(stages), str(jobs), *_sums(papers, estimate))
    console.print()
    console.print(table)
    seconds = sum(estimate.seconds(work) for work in _waiting(papers, estimate))
    which = f"These {len(papers)} papers" if len(papers) > 1 else f"The paper {papers[0].name}"
    text = (
        f"{which} at budget={budget}: {duration(seconds)} on {estimate.name}, one run after another"
        ". A run that several need is counted once. Mult-adds are those of one image enlarged to "
        f"{WIDTH}x{HEIGHT}."
    )
    console.print(Text(text))


def _sums(papers: Iterable[PaperWork], estimate: TimeEstimate) -> tuple[str, str, str, str]:
    papers = list(papers)
    runs = {key: work for paper in papers for key, work in paper.runs.items()}
    waiting = _waiting(papers, estimate)
    return (
        str(len(runs)),
        str(sum(work.done for work in runs.values())),
        f"{sum(work.config.updates for work in waiting):,}",
        duration(sum(estimate.seconds(work) for work in waiting)),
    )


def _waiting(papers: Iterable[PaperWork], estimate: TimeEstimate) -> list[Plan]:
    ahead = {key: work for paper in papers for key, work in paper.ahead.items()}
    return [work for work in ahead.values() if not estimate.is_refused(work)]


def _word(work: Plan) -> str:
    return work.config.choices["model"]


def _method(work: Plan) -> str:
    choices = work.config.choices
    if not work.trained:
        return "none"
    groups = ("method", "convolution", "averaging")
    told = [choices[group] for group in groups if choices[group] != default_choices()[group]]
    return ", ".join(told) or choices["method"]


def _span(values: Sequence[float], form: str) -> str:
    """One text for all values, ``low-high`` where they differ in it, ``-`` for none."""
    texts = dict.fromkeys(form.format(value) for value in sorted(values))
    return "-".join([next(iter(texts)), next(reversed(texts))][: len(texts)]) if texts else "-"
