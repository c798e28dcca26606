"""What a file of ``sweeps/`` may say: a paper's reference, networks, tables, figures, remarks.

The models are strict: an unknown key, a missing one or a wrong type is an error. Reading the
files, with the line of a mistake, is :mod:`sr_experiments.report.paper.load`; what a paper claims
is typed in :mod:`sr_experiments.report.paper.claims`.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from sr_experiments.report.paper.claims import BICUBIC, Claim
from sr_experiments.report.paper.strict import (
    METRICS,
    Metric,
    Name,
    PsnrProtocol,
    SsimProtocol,
    Strict,
    Text,
)

Count = Annotated[int, Field(gt=0)]
Decibel = Annotated[float, Field(strict=True, gt=0, lt=100)]
Similarity = Annotated[float, Field(strict=True, gt=0, le=1)]


def _pair(data: Any) -> Any:
    """A PSNR that stands alone has no SSIM beside it."""
    return data if isinstance(data, list | tuple) else (data, None)


# A YAML sequence is a list; strict mode would want a tuple, so only the pair itself is lenient.
Published = Annotated[
    tuple[Decibel, Similarity | None], Field(strict=False), BeforeValidator(_pair)
]
Selected = str | bool | int | float | None

#: Where a key of a problem stands: mapping keys and sequence indices from the top of the file.
Location = tuple[str | int, ...]


class Reference(Strict):
    """Who wrote it, and where it stands."""

    title: Text
    original_title: Text | None = None
    authors: Annotated[list[Text], Field(min_length=1)]
    affiliation: Text | None = None
    venue: Text | None
    year: Count | None = None


class Network(Strict):
    """A network that the paper used; ``parameters`` by scale; ``why`` it is taken to be that.

    ``in_print`` is the size as the paper writes it, where it does.
    """

    name: Text
    size: Text
    parameters: Annotated[dict[int, Count], Field(min_length=1)]
    why: Text
    in_print: Text | None = None


class Protocols(Strict):
    """The named rules behind the scores of a data set; without one for SSIM it has none."""

    psnr: PsnrProtocol
    ssim: SsimProtocol | None = None


class Dataset(Protocols):
    """A data set of a table; ``images`` is how many it holds, where that is known."""

    images: Count | None = None


class Average(Strict):
    """A row that is the mean over data sets, every set with equal weight."""

    label: Text
    over: Annotated[list[Text], Field(min_length=2)]


class Column(Strict):
    """A variant: its name and which runs fill it.

    Every key of ``where`` is a path into a run's result (``words.activation``, ``network.size``,
    ``settings.scheduler.factor``: what follows ``settings.`` is the dotted key of the config); a
    list means one of these, null that the run has no such key. ``weights`` says which weights'
    scores are read. ``network`` is one of the paper's; without, the table's.
    """

    id: Name
    label: Text
    weights: Literal["raw", "averaged"] = "raw"
    where: Annotated[dict[str, Selected | list[Selected]], Field(min_length=1)]
    network: Name | None = None


class PaperTable(Strict):
    """A table of the paper: ``published`` is scale -> data set -> column -> PSNR or (PSNR, SSIM).

    A table without published numbers gathers ours for a figure, or for a claim in the text.

    Attributes:
        experiment: the stage that fills it; a column takes runs of others only for lack of its own.
        network: one of the paper's, without, the first.
        psnr_digits: decimals that the paper prints.
        varies: what may differ between columns besides that which they select on: a path, or the
            head of several (``network``, ``settings.training``).
    """

    id: Name
    title: Text
    experiment: Name
    network: Name | None = None
    psnr_digits: Annotated[int, Field(ge=2, le=4)] = 2
    datasets: Annotated[dict[str, Dataset], Field(min_length=1)]
    other_datasets: Protocols
    average: Average | None = None
    columns: Annotated[list[Column], Field(min_length=1)]
    varies: list[Text] = Field(default_factory=list)
    published: dict[int, dict[str, dict[str, Published]]] = Field(default_factory=dict)
    note: Text | None = None

    def protocols(self, dataset: str) -> Protocols:
        """The rules for a data set, the paper's or ours."""
        return self.datasets.get(dataset, self.other_datasets)

    def column(self, name: str) -> Column:
        """A column by its id."""
        return next(column for column in self.columns if column.id == name)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The scores that it shows: PSNR, and SSIM if any of its data sets has a rule for it."""
        rules = (*self.datasets.values(), self.other_datasets)
        return METRICS if any(rule.ssim is not None for rule in rules) else METRICS[:1]


class PaperFigure(Strict):
    """A figure of the paper, to be drawn from our runs.

    ``curve`` is PSNR on the validation images against updates or epochs, ``bars`` the PSNR of
    each column; both take their columns (without, all of them) from a table. ``functions`` and
    ``distributions`` need no run: graphs of activations, and what initial values do to them.
    """

    id: Name
    title: Text
    kind: Literal["curve", "bars", "functions", "distributions"]
    table: Name | None = None
    columns: list[Name] = Field(default_factory=list)
    scales: list[Count] = Field(default_factory=list)
    protocol: PsnrProtocol | None = None
    x: Literal["update", "epoch"] = "update"
    note: Text | None = None


class Paper(Strict):
    """One file of ``sweeps/``; ``stages`` are its experiments (``conf/experiment``) in order."""

    name: Name
    reference: Reference
    stages: Annotated[list[Name], Field(min_length=1)]
    networks: Annotated[dict[Name, Network], Field(min_length=1)]
    tables: Annotated[list[PaperTable], Field(min_length=1)]
    figures: list[PaperFigure] = Field(default_factory=list)
    claims: list[Claim] = Field(default_factory=list)
    remarks: list[Text] = Field(default_factory=list)

    @property
    def network(self) -> Network:
        """The first network, which is that of tables that name none."""
        return next(iter(self.networks.values()))

    def table(self, name: str) -> PaperTable:
        """A table by its id."""
        return next(table for table in self.tables if table.id == name)

    def network_of(self, table: PaperTable, column: Column | None = None) -> Network:
        """The paper's network of a table, or of one of its columns."""
        name = (column.network if column is not None else None) or table.network
        return self.networks[name] if name is not None else self.network


#: What a column may select on: the first part of a ``where`` key.
SELECTABLE = ("experiment", "words", "settings", "network", "training", "scale")


def contradictions(paper: Paper) -> Iterator[tuple[Location, str]]:
    """What no type can say: names that are used but not declared, cells that are missing.

    Yields:
        Where, and what is wrong there.
    """
    yield from _twice(("tables",), [table.id for table in paper.tables])
    yield from _twice(("figures",), [figure.id for figure in paper.figures])
    yield from _twice(("claims",), [claim.id for claim in paper.claims])
    for index, table in enumerate(paper.tables):
        here: Location = ("tables", index)
        if table.experiment not in paper.stages:
            yield (*here, "experiment"), f"no stage of this paper: {', '.join(paper.stages)}"
        yield from _unknown_network(paper, here, table.network)
        yield from _columns(paper, here, table)
        yield from _cells(here, table)
    for index, figure in enumerate(paper.figures):
        yield from _figure(paper, ("figures", index), figure)
    for index, claim in enumerate(paper.claims):
        yield from _claim(paper, ("claims", index), claim)


def _twice(here: Location, ids: list[str]) -> Iterator[tuple[Location, str]]:
    for number, name in enumerate(ids):
        if name in ids[:number]:
            yield (*here, number, "id"), f"two {here[-1]} are called {name}"


def _unknown_network(
    paper: Paper, here: Location, name: str | None
) -> Iterator[tuple[Location, str]]:
    if name is not None and name not in paper.networks:
        yield (*here, "network"), f"no network of this paper; it has {', '.join(paper.networks)}"


def _columns(paper: Paper, here: Location, table: PaperTable) -> Iterator[tuple[Location, str]]:
    yield from _twice((*here, "columns"), [column.id for column in table.columns])
    for number, column in enumerate(table.columns):
        place = (*here, "columns", number)
        if column.id == BICUBIC:
            yield (*place, "id"), "the reference has this name; every table shows it by itself"
        yield from _unknown_network(paper, place, column.network)
        for key in column.where:
            if not _selectable(key):
                message = f"selects on none of {', '.join(SELECTABLE)}"
                yield (*place, "where", key), message
    for number, key in enumerate(table.varies):
        if not _selectable(key):
            yield (*here, "varies", number), f"is none of {', '.join(SELECTABLE)}"


def _selectable(key: str) -> bool:
    return key.split(".")[0] in SELECTABLE


def _cells(here: Location, table: PaperTable) -> Iterator[tuple[Location, str]]:
    ids = [column.id for column in table.columns]
    rows = list(table.datasets)
    if table.average is not None:
        for number, name in enumerate(table.average.over):
            if name not in table.datasets:
                message = f"{name} is no data set of this table"
                yield (*here, "average", "over", number), message
        rows.append(table.average.label)
    for scale, published in table.published.items():
        for name, cells in published.items():
            place = (*here, "published", scale, name)
            if name not in rows:
                yield place, f"no data set of this table; it declares {', '.join(rows)}"
            for key, (psnr, ssim) in cells.items():
                if key not in ids:
                    yield (*place, key), f"no column of this table; it has {', '.join(ids)}"
                if round(psnr, table.psnr_digits) != psnr:
                    yield (
                        (*place, key),
                        f"{psnr} has more decimals than psnr_digits={table.psnr_digits}",
                    )
                if ssim is not None and name in table.datasets and not table.protocols(name).ssim:
                    yield (*place, key), f"an SSIM, but {name} has no protocol for it"
            for missing in [key for key in ids if key not in cells]:
                yield place, f"column {missing} has no number"


def _figure(paper: Paper, here: Location, figure: PaperFigure) -> Iterator[tuple[Location, str]]:
    drawn = figure.kind in ("curve", "bars")
    if figure.table is None:
        if drawn:
            yield here, f"a figure of kind {figure.kind} takes its columns from a table: name it"
        return
    yield from _unknown_columns(
        paper, here, figure.table, [("columns", i, c) for i, c in enumerate(figure.columns)]
    )
    if figure.kind == "curve" and figure.protocol is None:
        yield here, "a curve needs the protocol of its PSNR"


def _claim(paper: Paper, here: Location, claim: Claim) -> Iterator[tuple[Location, str]]:
    named: list[tuple[str | int, ...]] = [("column", claim.column)]
    if claim.over != BICUBIC:
        named.append(("over", claim.over))
    yield from _unknown_columns(paper, here, claim.table, named)
    for table in paper.tables:
        if table.id == claim.table:
            for number, name in enumerate(claim.datasets):
                if name not in table.datasets:
                    yield (*here, "datasets", number), f"{name} is no data set of {table.id}"


def _unknown_columns(
    paper: Paper, here: Location, table: str, named: Sequence[tuple[str | int, ...]]
) -> Iterator[tuple[Location, str]]:
    """``named`` holds, for each column, the rest of its place and its id."""
    found = [source for source in paper.tables if source.id == table]
    if not found:
        tables = ", ".join(source.id for source in paper.tables)
        yield (*here, "table"), f"no table of this paper; it has {tables}"
        return
    ids = [column.id for column in found[0].columns]
    for *place, name in named:
        if name not in ids:
            yield (*here, *place), f"{name} is no column of {table}; it has {', '.join(ids)}"
