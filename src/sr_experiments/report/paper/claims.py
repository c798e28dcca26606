"""What a paper claims, as data: ``claims`` of a file of ``sweeps/``.

Every claim sets a ``column`` of a table against another one, its ``over``, which may be
``bicubic``. What our runs say of it is :mod:`sr_experiments.report.evidence.verdicts`.
"""

from typing import Annotated, Literal

from pydantic import Field

from sr_experiments.report.paper.strict import Metric, Name, PsnrProtocol, Strict, Text

#: The reference that every table has beside its columns.
BICUBIC = "bicubic"

Unit = Literal["dB", "%", "SSIM"]
Scale = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Margin = Annotated[float, Field(ge=0)]


class Effect(Strict):
    """A difference in print; ``of`` says of what where it is not of all data sets."""

    value: float
    unit: Unit
    of: Text | None = None


class _Claim(Strict):
    """What all claims have.

    Attributes:
        id: its name within the paper.
        text: what the paper says, in English.
        source: where it says so.
        table: the table whose columns are set against each other.
        column: the one that the claim is about.
        over: the other one.
        scales: of the runs; several are pooled.
        datasets: those of the table it speaks of; without, all of them.
        note: what has to be known to judge it.
    """

    id: Name
    text: Text
    source: Text
    table: Name
    column: Name
    over: Name
    scales: Annotated[list[Scale], Field(min_length=1)]
    datasets: list[Text] = Field(default_factory=list)
    note: Text | None = None


class _Effective(_Claim):
    """A claim on a difference of scores, measured in the published unit.

    A percentage is of the mean score of ``percent_of``: the column that the paper sets as 100.
    """

    metric: Metric = "psnr"
    percent_of: Literal["over", "column"] = "over"
    published: Effect | None = None

    @property
    def unit(self) -> Unit:
        """The unit of the published effect; without one, that of the metric."""
        if self.published is not None:
            return self.published.unit
        return "dB" if self.metric == "psnr" else "SSIM"


class Difference(_Effective):
    """``column`` scores higher than ``over``; with ``each``, on every single data set."""

    kind: Literal["difference"]
    each: bool = False


class NoDifference(_Effective):
    """The two differ by less than ``margin``, in the unit of the claim."""

    kind: Literal["no_difference"]
    margin: Annotated[float, Field(gt=0)]


class NotBetter(_Effective):
    """``column`` does not score more than ``margin`` above ``over``."""

    kind: Literal["not_better"]
    margin: Margin = 0.0


class Convergence(_Claim):
    """``column`` needs fewer updates than ``over`` to a PSNR on the validation images, or does not.

    Less than ``margin`` (0.1: a tenth of the updates) counts as no gain.
    """

    kind: Literal["convergence"]
    expect: Literal["faster", "not_faster"]
    protocol: PsnrProtocol
    margin: Margin = 0.1


class Stability(_Claim):
    """The PSNR of ``column`` on the validation images changes less between epochs than ``over``'s.

    Less than ``margin`` (0.1: a tenth of the change) counts as no gain.
    """

    kind: Literal["stability"]
    protocol: PsnrProtocol
    margin: Margin = 0.1


class Share(_Claim):
    """``column`` scores higher than ``over`` on at least ``threshold`` of the images."""

    kind: Literal["share"]
    metric: Metric = "psnr"
    threshold: Fraction


EffectClaim = Difference | NoDifference | NotBetter
CurveClaim = Convergence | Stability
ScoreClaim = EffectClaim | Share
Claim = Annotated[EffectClaim | CurveClaim | Share, Field(discriminator="kind")]
