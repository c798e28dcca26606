"""A file of ``sweeps/``, typed: reference, networks, tables, figures, claims and remarks.

Types and keys are checked here, cross references in
:mod:`sr_experiments.report.paper.consistency`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from sr_experiments.report.paper.claims import Claim
from sr_experiments.report.paper.recipe import Recipe
from sr_experiments.report.paper.strict import (
    METRICS,
    Count,
    Metric,
    Name,
    PsnrProtocol,
    SsimProtocol,
    StrictModel,
    Text,
)

Decibel = Annotated[float, Field(strict=True, gt=0, lt=100)]
Similarity = Annotated[float, Field(strict=True, gt=0, le=1)]


def _psnr_and_ssim(data: Any) -> Any:
    """A PSNR on its own has no SSIM beside it."""
    return data if isinstance(data, list | tuple) else (data, None)


# A YAML sequence is a list, where strict mode wants a tuple: the pair alone is lenient.
Published = Annotated[
    tuple[Decibel, Similarity | None], Field(strict=False), BeforeValidator(_psnr_and_ssim)
]
Selected = str | bool | int | float | None


class Reference(StrictModel):
    """Bibliographic data."""

    title: Text
    original_title: Text | None = None
    authors: Annotated[list[Text], Field(min_length=1)]
    affiliation: Text | None = None
    venue: Text | None
    year: Count | None = None


class PaperNetwork(StrictModel):
    """A network that the paper used.

    Attributes:
        size: as in ``16x64``, residual blocks x features.
        parameters: by scale.
        why: the evidence that it is this network.
        in_print: the number of parameters as the paper prints it, if it does.
    """

    name: Text
    size: Text
    parameters: Annotated[dict[int, Count], Field(min_length=1)]
    why: Text
    in_print: Text | None = None


class ProtocolPair(StrictModel):
    """The protocols of a data set's PSNR and SSIM; None: it has no SSIM."""

    psnr: PsnrProtocol
    ssim: SsimProtocol | None = None


class PaperDataset(ProtocolPair):
    """A data set of a table; ``images`` is its size, where it is known."""

    images: Count | None = None


class AverageRow(StrictModel):
    """A row with the mean over data sets, each with equal weight."""

    label: Text
    over: Annotated[list[Text], Field(min_length=2)]


class Column(StrictModel):
    """A variant and the runs that fill it.

    Attributes:
        weights: which weights' scores are read.
        where: selectors. A key is a path into a run's result (``choices.activation``,
            ``network.size``, ``settings.scheduler.factor``; below ``settings.`` stand dotted
            keys of the config). A list means any of its values, null that a run lacks the key.
        network: one of the paper's; by default the table's.
        recipe: settings of this column alone, beside or in place of the table's.
    """

    id: Name
    label: Text
    weights: Literal["raw", "averaged"] = "raw"
    where: Annotated[dict[str, Selected | list[Selected]], Field(min_length=1)]
    network: Name | None = None
    recipe: Recipe = Field(default_factory=dict)


class BestOf(StrictModel):
    """Settings that were tuned: of their values, a column shows the one that validates best.

    Attributes:
        settings: the path of one, and those of others that follow from it.
        protocol: of the PSNR on the validation images.
    """

    settings: Annotated[list[Text], Field(min_length=1)]
    protocol: PsnrProtocol


class PaperTable(StrictModel):
    """A table of the paper, or without published numbers one that only gathers our runs.

    Attributes:
        experiment: whose runs fill it; a column takes those of others only if it has none of its
            own.
        network: one of the paper's; by default the first.
        psnr_digits: decimals in print.
        other_datasets: the protocols of data sets that the paper does not have.
        varies: what columns may differ in besides their selectors: a path, or the head of several
            (``network``, ``settings.training``).
        best_of: what was tuned for each column.
        recipe: settings of all columns as the paper has them, which our runs are compared with.
        mean_error: whether ours have a line with the mean error of images beside PSNR.
        published: scale -> data set -> column -> PSNR in dB, or (PSNR, SSIM).
    """

    id: Name
    title: Text
    experiment: Name
    network: Name | None = None
    psnr_digits: Annotated[int, Field(ge=2, le=4)] = 2
    datasets: Annotated[dict[str, PaperDataset], Field(min_length=1)]
    other_datasets: ProtocolPair
    average: AverageRow | None = None
    columns: Annotated[list[Column], Field(min_length=1)]
    varies: list[Text] = Field(default_factory=list)
    best_of: BestOf | None = None
    recipe: Recipe = Field(default_factory=dict)
    published: dict[int, dict[str, dict[str, Published]]] = Field(default_factory=dict)
    mean_error: bool = False
    note: Text | None = None

    def protocols(self, dataset: str) -> ProtocolPair:
        """The protocols of a data set, the paper's or ours."""
        return self.datasets.get(dataset, self.other_datasets)

    def column(self, name: str) -> Column:
        """A column by its id."""
        return next(column for column in self.columns if column.id == name)

    def recipe_of(self, column: Column) -> Recipe:
        """The whole recipe of a column."""
        return {**self.recipe, **column.recipe}

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The scores that it shows: PSNR, and SSIM if any data set has a protocol for it."""
        protocols = (*self.datasets.values(), self.other_datasets)
        return METRICS if any(pair.ssim is not None for pair in protocols) else METRICS[:1]


FigureKind = Literal["curve", "bars", "functions", "distributions"]
#: The kinds of figures that show columns of a table, and what of a run they are drawn from.
DRAWN_FROM: Mapping[FigureKind, str] = {"curve": "history", "bars": "score"}


class PaperFigure(StrictModel):
    """A figure of the paper, drawn from our runs.

    ``curve`` is validation PSNR against updates or epochs, ``bars`` the PSNR of each column; both
    show columns (by default all) of a table. ``functions`` (graphs of activations) and
    ``distributions`` (what initial values do to them) need no run.
    """

    id: Name
    title: Text
    kind: FigureKind
    table: Name | None = None
    columns: list[Name] = Field(default_factory=list)
    scales: list[Count] = Field(default_factory=list)
    protocol: PsnrProtocol | None = None
    x: Literal["update", "epoch"] = "update"
    note: Text | None = None


class UntestedClaim(StrictModel):
    """A claim that no run of ours tests; ``why`` says what is missing."""

    text: Text
    source: Text
    why: Text


class Paper(StrictModel):
    """One file of ``sweeps/``.

    Attributes:
        stages: its experiments (``conf/experiment``) in order.
        further: experiments that fill tables where they were run; ``reproduce`` runs only those
            that are a stage of another paper.
        headline: ids of the claims that a summary shows.
        untested: claims for which there is no run.
    """

    name: Name
    reference: Reference
    stages: Annotated[list[Name], Field(min_length=1)]
    further: list[Name] = Field(default_factory=list)
    networks: Annotated[dict[Name, PaperNetwork], Field(min_length=1)]
    tables: Annotated[list[PaperTable], Field(min_length=1)]
    figures: list[PaperFigure] = Field(default_factory=list)
    claims: list[Claim] = Field(default_factory=list)
    headline: list[Name] = Field(default_factory=list)
    untested: list[UntestedClaim] = Field(default_factory=list)
    remarks: list[Text] = Field(default_factory=list)

    def table(self, name: str) -> PaperTable:
        """A table by its id."""
        return next(table for table in self.tables if table.id == name)

    def network_of(self, table: PaperTable, column: Column | None = None) -> PaperNetwork:
        """The paper's network of a column, else of its table, else the first."""
        name = (column.network if column is not None else None) or table.network
        return self.networks[name or next(iter(self.networks))]
