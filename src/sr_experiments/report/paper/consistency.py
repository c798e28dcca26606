"""Cross references within a paper's file, which types cannot check."""

from collections.abc import Iterable, Iterator

from sr_experiments.core.errors import Message
from sr_experiments.report.paper.claims import BICUBIC, Claim
from sr_experiments.report.paper.definition import DRAWN_FROM, Paper, PaperFigure, PaperTable
from sr_experiments.report.paper.recipe import HEADS, Recipe

#: Mapping keys and sequence indices, from the top of the file down to a mistake.
Location = tuple[str | int, ...]
Problems = Iterator[tuple[Location, Message]]

#: What a selector may begin with.
SELECTABLE = ("experiment", "choices", "settings", "network", "training", "scale")


def inconsistencies(paper: Paper) -> Problems:
    """Find names that are used but not declared, duplicate ids, and cells that are missing.

    Yields:
        The location and the problem.
    """
    for kind, items in (("tables", paper.tables), ("figures", paper.figures)):
        yield from _duplicates((kind,), [item.id for item in items])
    yield from _duplicates(("claims",), [claim.id for claim in paper.claims])
    for index, table in enumerate(paper.tables):
        yield from _table(paper, ("tables", index), table)
    for index, figure in enumerate(paper.figures):
        yield from _figure(paper, ("figures", index), figure)
    for index, claim in enumerate(paper.claims):
        yield from _claim(paper, ("claims", index), claim)
    for index, name in enumerate(paper.headline):
        ids = [claim.id for claim in paper.claims]
        yield from _undeclared(("headline", index), "claim", name, ids)


def _duplicates(at: Location, ids: list[str]) -> Problems:
    for index, name in enumerate(ids):
        if name in ids[:index]:
            yield (
                (*at, index, "id"),
                Message(
                    "paper-duplicate-id",
                    "two {kind} are called {name}; rename one",
                    {"kind": at[-1], "name": name},
                ),
            )


def _undeclared(at: Location, kind: str, name: str | None, declared: Iterable[str]) -> Problems:
    declared = list(declared)
    if name is not None and name not in declared:
        yield (
            at,
            Message(
                "paper-undeclared-name",
                "{name} is not declared as a {kind} of this paper; choose {declared}",
                {"kind": kind, "name": name, "declared": ", ".join(declared)},
            ),
        )


def _table(paper: Paper, at: Location, table: PaperTable) -> Problems:
    known = [*paper.stages, *paper.further]
    yield from _undeclared((*at, "experiment"), "stage", table.experiment, known)
    yield from _undeclared((*at, "network"), "network", table.network, paper.networks)
    yield from _duplicates((*at, "columns"), [column.id for column in table.columns])
    yield from _recipe((*at, "recipe"), table.recipe)
    for index, column in enumerate(table.columns):
        yield from _recipe((*at, "columns", index, "recipe"), column.recipe)
    selectors: list[tuple[Location, str]] = [
        ((*at, "varies", index), key) for index, key in enumerate(table.varies)
    ]
    if table.best_of is not None:
        selectors += [
            ((*at, "best_of", "settings", index), key)
            for index, key in enumerate(table.best_of.settings)
        ]
    for index, column in enumerate(table.columns):
        here = (*at, "columns", index)
        if column.id == BICUBIC:
            yield (
                (*here, "id"),
                Message(
                    "paper-reserved-column",
                    "{name} is the reference that every table shows; choose another id",
                    {"name": BICUBIC},
                ),
            )
        yield from _undeclared((*here, "network"), "network", column.network, paper.networks)
        selectors += [((*here, "where", key), key) for key in column.where]
    for place, key in selectors:
        if key.split(".")[0] not in SELECTABLE:
            yield (
                place,
                Message(
                    "paper-unknown-selector",
                    "a selector begins with one of {known}",
                    {"known": ", ".join(SELECTABLE)},
                ),
            )
    yield from _published(at, table)


def _recipe(at: Location, recipe: Recipe) -> Problems:
    for path in recipe:
        if path.split(".")[0] not in HEADS:
            yield (
                (*at, path),
                Message(
                    "paper-unknown-setting",
                    "a setting begins with one of {known}",
                    {"known": ", ".join(HEADS)},
                ),
            )


def _published(at: Location, table: PaperTable) -> Problems:
    ids = [column.id for column in table.columns]
    rows = list(table.datasets)
    if table.average is not None:
        for index, name in enumerate(table.average.over):
            yield from _undeclared((*at, "average", "over", index), "data set", name, rows)
        rows = [*rows, table.average.label]
    for scale, by_row in table.published.items():
        for name, cells in by_row.items():
            here = (*at, "published", scale, name)
            yield from _undeclared(here, "data set", name, rows)
            for key, (psnr, ssim) in cells.items():
                yield from _undeclared((*here, key), "column", key, ids)
                if round(psnr, table.psnr_digits) != psnr:
                    yield (
                        (*here, key),
                        Message(
                            "paper-too-many-decimals",
                            "{psnr} has more decimals than psnr_digits={digits}",
                            {"psnr": psnr, "digits": table.psnr_digits},
                        ),
                    )
                if ssim is not None and name in table.datasets and not table.protocols(name).ssim:
                    yield (
                        (*here, key),
                        Message(
                            "paper-ssim-without-protocol",
                            "an SSIM, but {dataset} has no protocol for it",
                            {"dataset": name},
                        ),
                    )
            for missing in [key for key in ids if key not in cells]:
                yield (
                    here,
                    Message(
                        "paper-missing-cell", "column {column} has no number", {"column": missing}
                    ),
                )


def _figure(paper: Paper, at: Location, figure: PaperFigure) -> Problems:
    if figure.table is None:
        if figure.kind in DRAWN_FROM:
            yield (
                at,
                Message(
                    "paper-figure-without-table",
                    "a figure of kind {kind} needs the table that it takes its columns from",
                    {"kind": figure.kind},
                ),
            )
        return
    columns: list[tuple[Location, str]] = [
        ((*at, "columns", index), name) for index, name in enumerate(figure.columns)
    ]
    yield from _columns_of(paper, at, figure.table, columns)
    if figure.kind == "curve" and figure.protocol is None:
        yield at, Message("paper-curve-without-protocol", "a curve needs the protocol of its PSNR")


def _claim(paper: Paper, at: Location, claim: Claim) -> Problems:
    columns: list[tuple[Location, str]] = [((*at, "column"), claim.column)]
    columns += [((*at, "over"), name) for name in claim.others if name != BICUBIC]
    yield from _columns_of(paper, at, claim.table, columns)
    for table in paper.tables:
        if table.id == claim.table:
            for index, name in enumerate(claim.datasets):
                yield from _undeclared((*at, "datasets", index), "data set", name, table.datasets)


def _columns_of(
    paper: Paper, at: Location, table: str, columns: Iterable[tuple[Location, str]]
) -> Problems:
    declared = {source.id: [column.id for column in source.columns] for source in paper.tables}
    yield from _undeclared((*at, "table"), "table", table, declared)
    for place, name in columns if table in declared else ():
        yield from _undeclared(place, "column", name, declared[table])
