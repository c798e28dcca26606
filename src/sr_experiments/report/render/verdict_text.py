"""Verdicts as text, before any layout."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sr_experiments.report.evidence.verdicts import Outcome, Verdict
from sr_experiments.report.paper.claims import PublishedEffect
from sr_experiments.report.paper.definition import Paper
from sr_experiments.report.paper.strict import Metric
from sr_experiments.report.render.table_text import LABELS, fixed

#: The outcomes in their order, as a verb for one claim and for several.
OUTCOMES: Mapping[Outcome, tuple[str, str]] = {
    "holds": ("holds", "hold"),
    "does not hold": ("does not hold", "do not hold"),
    "undecided": ("is undecided", "are undecided"),
    "no runs": ("has no runs", "have no runs"),
}
#: Decimals of an effect by its unit.
DIGITS = {"dB": 3, "SSIM": 4, "%": 2, "x": 2}

LEGEND = (
    "Ours: the effect in our runs with its 95 % confidence interval over images. A claim holds, or "
    "does not, only where the whole interval says so; otherwise it is undecided. A verdict below "
    "budget=paper, or with another network than the paper's, is about our runs, not about the "
    "published numbers."
)


@dataclass(frozen=True)
class VerdictText:
    """A verdict as texts; a field with nothing to say is empty."""

    claim: str
    source: str
    outcome: str
    effect: str
    interval: str
    published: str
    evidence: str
    budget: str
    by_dataset: str
    note: str


def verdict_text(verdict: Verdict, paper: Paper) -> VerdictText:
    """The texts of a verdict on a claim of a paper."""
    effect, interval = "", ""
    if verdict.effect is not None:
        effect = _amount(verdict.effect, verdict.unit)
    if verdict.interval is not None:
        low, high = (_number(value, verdict.unit) for value in verdict.interval)
        interval = f"[{low}, {high}]"
    notes = ["; ".join(map(str, verdict.notes)), verdict.claim.note or ""]
    return VerdictText(
        claim=" ".join(verdict.claim.text.split()),
        source=verdict.claim.source,
        outcome=verdict.outcome,
        effect=effect,
        interval=interval,
        published=_published(verdict.published or getattr(verdict.claim, "published", None)),
        evidence=_evidence(verdict, paper),
        budget=", ".join(f"budget={budget}" for budget in verdict.budgets),
        by_dataset=_by_dataset(verdict),
        note=" ".join(_sentence(note) for note in notes if note),
    )


def tally(verdicts: Sequence[Verdict]) -> str:
    """``2 hold, 1 does not hold, 3 have no runs``."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    return ", ".join(
        f"{counts[name]} {words[counts[name] != 1]}"
        for name, words in OUTCOMES.items()
        if counts[name]
    )


def score_and_protocol(verdict: Verdict, paper: Paper) -> str:
    """``PSNR by y``; empty for a claim on curves, whose ``where`` names the protocol."""
    metric: Metric | None = getattr(verdict.claim, "metric", None)
    if metric is None:
        return ""
    table = paper.table(verdict.claim.table)
    names = {getattr(table.protocols(part.dataset), metric): None for part in verdict.parts}
    return f"{LABELS[metric]} by {' and '.join(filter(None, names))}" if names else LABELS[metric]


def _published(effect: PublishedEffect | None) -> str:
    """The paper's effect with the digits that its file gives; percentages with two at least."""
    if effect is None:
        return ""
    on = f" on {effect.of}" if effect.of else ""
    digits = len(str(effect.value).partition(".")[2])
    if effect.unit == "%":  # YAML drops the zero of -8.50
        digits = max(2, digits)
    return f"{effect.value:+.{digits}f} {effect.unit}{on}"


def _evidence(verdict: Verdict, paper: Paper) -> str:
    """What a verdict rests on, besides the budget: data, protocol, images, seeds, networks."""
    if verdict.outcome == "no runs":
        return ""
    parts = [text for text in (verdict.where, score_and_protocol(verdict, paper)) if text]
    if verdict.n_images:
        parts.append(_count(verdict.n_images, "image"))
    if verdict.win_rate is not None and verdict.unit != "share":
        parts.append(f"higher on {100 * verdict.win_rate:.0f} %")
    if verdict.seeds:
        spread = ""
        if verdict.seed_spread is not None:
            spread = f" (spread {_number(verdict.seed_spread, verdict.unit).lstrip('+')})"
        parts.append(_count(len(verdict.seeds), "seed") + spread)
    networks = " and ".join(verdict.networks)
    if networks:
        parts.append(networks if verdict.same_size else f"{networks}, not the paper's size")
    parts += [f"{key}={value}" for key, value in verdict.distinct.items()]
    return "; ".join(parts)


def _by_dataset(verdict: Verdict) -> str:
    """The effect on each data set, where there are several."""
    if len(verdict.parts) < 2:
        return ""
    return ", ".join(
        f"x{part.scale} {part.dataset} {_number(part.effect, verdict.unit)}"
        for part in verdict.parts
    )


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    first = text.split()[0]
    if not first[1:2].isdigit() and "=" not in first:  # x2 and budget=smoke stay as they are
        text = text[0].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def _amount(value: float, unit: str) -> str:
    if unit == "share":
        return f"{100 * value:.0f} % of images"
    if unit == "x":
        return f"{_number(value, unit)} times"
    return f"{_number(value, unit)} {unit}".strip()


def _number(value: float, unit: str) -> str:
    if unit == "share":
        return f"{100 * value:.0f} %"
    return fixed(value, DIGITS.get(unit, 3), sign=unit != "x")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
