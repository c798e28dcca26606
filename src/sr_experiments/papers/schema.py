"""What a file of ``sweeps/`` may say: a paper's reference, network, tables and remarks.

The models are strict: an unknown key, a missing one or a wrong type is an error. Reading the
files, with the line of a mistake, is :mod:`sr_experiments.papers.load`.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

#: The two scores of a cell, in the order of a table's sub-columns.
Metric = Literal["psnr", "ssim"]
METRICS: tuple[Metric, Metric] = ("psnr", "ssim")

PsnrProtocol = Literal["y", "y_rounded", "rgb", "rgb_div2k", "y_first"]
SsimProtocol = Literal["y", "y_rounded", "rgb", "y_first"]

Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Count = Annotated[int, Field(gt=0)]
Decibel = Annotated[float, Field(strict=True, gt=0, lt=100)]
Similarity = Annotated[float, Field(strict=True, gt=0, le=1)]
# A YAML sequence is a list; strict mode would want a tuple, so only the pair itself is lenient.
Published = Annotated[tuple[Decibel, Similarity], Field(strict=False)]

#: Where a key of a problem stands: mapping keys and sequence indices from the top of the file.
Location = tuple[str | int, ...]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys_only(cls, data: Any) -> Any:
        """Pydantic's own refusal does not say which keys there are."""
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    known = ", ".join(cls.model_fields)
                    raise PydanticCustomError(
                        "unknown_key",
                        "unknown key; known are {known}",
                        {"key": str(key), "known": known},
                    )
        return data


class Reference(_Strict):
    """Who wrote it, and where it stands."""

    title: Text
    original_title: Text | None = None
    authors: Annotated[list[Text], Field(min_length=1)]
    affiliation: Text | None = None
    venue: Text | None
    year: Count | None = None


class Network(_Strict):
    """The network that the paper used; ``parameters`` by scale; ``why`` it is taken to be that."""

    name: Text
    size: Text
    parameters: dict[int, Count]
    why: Text


class Protocols(_Strict):
    """The named rules behind the two scores of a data set."""

    psnr: PsnrProtocol
    ssim: SsimProtocol


class Dataset(Protocols):
    """A data set of a table; ``images`` is how many it holds, where that is known."""

    images: Count | None = None


class Average(_Strict):
    """A row that is the mean over data sets, every set with equal weight."""

    label: Text
    over: Annotated[list[Text], Field(min_length=2)]


class Column(_Strict):
    """A variant: its name and which runs fill it.

    Every key of ``where`` is a path into a run's result (``words.activation``, ``network.size``);
    a list means one of these. ``weights`` says which weights' scores are read.
    """

    id: Name
    label: Text
    weights: Literal["raw", "averaged"] = "raw"
    where: Annotated[dict[str, str | int | list[str | int]], Field(min_length=1)]


class PaperTable(_Strict):
    """A table of the paper: ``published`` is scale -> data set -> column -> (PSNR, SSIM)."""

    id: Name
    title: Text
    datasets: Annotated[dict[str, Dataset], Field(min_length=1)]
    other_datasets: Protocols
    average: Average | None = None
    columns: Annotated[list[Column], Field(min_length=1)]
    published: Annotated[dict[int, dict[str, dict[str, Published]]], Field(min_length=1)]

    def protocols(self, dataset: str) -> Protocols:
        """The rules for a data set, the paper's or ours."""
        return self.datasets.get(dataset, self.other_datasets)


class Paper(_Strict):
    """One file of ``sweeps/``."""

    name: Name
    reference: Reference
    experiment: Name
    network: Network
    tables: Annotated[list[PaperTable], Field(min_length=1)]
    remarks: list[Text] = []


#: What a column may select on: the first part of a ``where`` key.
SELECTABLE = ("experiment", "words", "network", "training", "scale")


def contradictions(paper: Paper) -> Iterator[tuple[Location, str]]:
    """What no type can say: names that are used but not declared, cells that are missing.

    Yields:
        Where, and what is wrong there.
    """
    for index, table in enumerate(paper.tables):
        here: Location = ("tables", index)
        ids = [column.id for column in table.columns]
        for number, column in enumerate(table.columns):
            if column.id in ids[:number]:
                yield (*here, "columns", number, "id"), f"two columns are called {column.id}"
            for key in column.where:
                if key.split(".")[0] not in SELECTABLE:
                    message = f"selects on none of {', '.join(SELECTABLE)}"
                    yield (*here, "columns", number, "where", key), message
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
                for unknown in [key for key in cells if key not in ids]:
                    yield (*place, unknown), f"no column of this table; it has {', '.join(ids)}"
                for missing in [key for key in ids if key not in cells]:
                    yield place, f"column {missing} has no number"
