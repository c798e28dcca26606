"""What a paper claims, typed: the ``claims`` of a file of ``sweeps/``.

Every claim compares a ``column`` of a table with a second one, ``over``, which may be ``bicubic``,
or with the mean of several.
:mod:`sr_experiments.report.evidence.verdicts` decides what our runs say about it.
"""

from typing import Annotated, Literal

from pydantic import Field

from sr_experiments.report.paper.strict import Count, Metric, Name, PsnrProtocol, StrictModel, Text

#: The reference that every table shows beside its columns.
BICUBIC = "bicubic"

Unit = Literal["dB", "%", "SSIM", "x"]
#: What a run records of its cost.
Quantity = Literal[
    "seconds_per_update", "training_seconds", "peak_memory", "multiply_adds", "parameters"
]
Margin = Annotated[float, Field(ge=0)]


#: What "as good as" allows: about twice what trainings of one recipe differ by; in dB, and the SSIM
#: that goes with it.
AS_GOOD: dict[Metric, float] = {"psnr": 0.05, "ssim": 0.0005}


class PublishedEffect(StrictModel):
    """A printed difference; ``of`` names what it was measured on, by default all data sets.

    Ours is as large as printed between ``value / factor`` and ``value * factor``.
    """

    value: float
    unit: Unit
    of: Text | None = None
    factor: Annotated[float, Field(gt=1)] = 2.0


class _ClaimBase(StrictModel):
    """The fields of every claim.

    Attributes:
        id: unique within the paper.
        text: the claim in English.
        source: where the paper makes it.
        table: the table whose columns are compared.
        column: the column that the claim is about.
        over: the column it is compared with, or several, whose mean counts.
        scales: several are pooled.
        datasets: of the table; by default all.
        by_construction: it is true whatever is trained: it is shown, and not counted.
        may_fail: it says that a column fails, so that one below bicubic decides it as well.
        note: a caveat for the reader of the verdict.
    """

    id: Name
    text: Text
    source: Text
    table: Name
    column: Name
    over: Name | Annotated[list[Name], Field(min_length=2)]
    scales: Annotated[list[Count], Field(min_length=1)]
    datasets: list[Text] = Field(default_factory=list)
    by_construction: bool = False
    may_fail: bool = False
    note: Text | None = None

    @property
    def others(self) -> list[str]:
        """The columns that ``column`` is compared with: one, or those of a mean."""
        return self.over if isinstance(self.over, list) else [self.over]


class _ScoreDifference(_ClaimBase):
    """A claim on a difference of scores, in the published unit.

    A percentage is relative to the mean score of ``percent_of``. The direction is one verdict; the
    size, where one is published, is another.
    """

    metric: Metric = "psnr"
    percent_of: Literal["over", "column"] = "over"
    published: PublishedEffect | None = None

    @property
    def unit(self) -> Unit:
        """The unit of the published effect, or of the metric where none is published."""
        if self.published is not None:
            return self.published.unit
        return "dB" if self.metric == "psnr" else "SSIM"


class Difference(_ScoreDifference):
    """``column`` scores higher than ``over``; with ``each``, on every single data set."""

    kind: Literal["difference"]
    each: bool = False


class NoDifference(_ScoreDifference):
    """The two differ by less than ``margin``, in the unit of the claim."""

    kind: Literal["no_difference"]
    margin: Annotated[float, Field(gt=0)]


class NotBetter(_ScoreDifference):
    """``over`` is as good as ``column`` or better: not worse by more than ``margin``.

    The margin is in dB, or SSIM, whatever unit the effect is published in; by default
    :data:`AS_GOOD`.
    """

    kind: Literal["not_better"]
    margin: Margin | None = None

    @property
    def tolerance(self) -> float:
        """The margin, or the default of the metric."""
        return AS_GOOD[self.metric] if self.margin is None else self.margin


class Convergence(_ClaimBase):
    """``column`` reaches a validation PSNR in fewer updates than ``over``, or does not.

    A gain below ``margin`` counts as none; 0.1 is a tenth of the updates.
    """

    kind: Literal["convergence"]
    expect: Literal["faster", "not_faster"]
    protocol: PsnrProtocol
    margin: Margin = 0.1


class Stability(_ClaimBase):
    """The validation PSNR of ``column`` varies less from epoch to epoch than that of ``over``.

    A gain below ``margin`` counts as none; 0.1 is a tenth of the variation.
    """

    kind: Literal["stability"]
    protocol: PsnrProtocol
    margin: Margin = 0.1


class Share(_ClaimBase):
    """``column`` scores higher than ``over`` on at least a share ``threshold`` of the images."""

    kind: Literal["share"]
    metric: Metric = "psnr"
    threshold: Annotated[float, Field(gt=0, lt=1)]


class CostClaim(_ClaimBase):
    """``column`` costs more than ``over``, less, or little more.

    ``more`` and ``less`` mean a ratio beyond 1 + ``margin`` (or its inverse), ``little_more`` one
    up to 1 + ``margin``. ``training_seconds`` are those of all updates together.
    """

    kind: Literal["cost"]
    quantity: Quantity
    expect: Literal["more", "less", "little_more"]
    margin: Margin = 0.05
    published: PublishedEffect | None = None


class Divergence(_ClaimBase):
    """Trainings of ``over`` diverge, more than half of them, and those of ``column`` do not."""

    kind: Literal["divergence"]


EffectClaim = Difference | NoDifference | NotBetter
CurveClaim = Convergence | Stability
ScoreClaim = EffectClaim | Share
Claim = Annotated[
    EffectClaim | CurveClaim | Share | CostClaim | Divergence, Field(discriminator="kind")
]
