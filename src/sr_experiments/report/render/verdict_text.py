"""Verdicts as text, before any layout."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sr_experiments.report.evidence.verdicts import Outcome, Verdict
from sr_experiments.report.paper.claims import NotBetter, PublishedEffect
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
    "Ours: the effect in our runs with its 95 % confidence interval over images and seeds, which "
    "are crossed; a photograph at several scales counts once. A claim holds, or does not, only "
    "where p is at most 0.05 after Holm's correction over the paper's claims at this budget; "
    "otherwise it is undecided, and one seed decides nothing. Where the paper prints an effect, "
    "its direction and its size are two verdicts: the size is as printed if the whole interval, "
    "uncorrected, lies between half and twice the printed value. 'As good as' allows 0.05 dB. "
    "'Could see': the effect that such runs find with a chance of 80 %. A verdict below "
    "budget=paper, or with another network than the paper's, is about our runs, not about the "
    "published numbers."
)
#: The second verdict in words.
SIZES: Mapping[str, str] = {
    "as printed": "size as printed",
    "smaller": "size smaller than printed",
    "larger": "size larger than printed",
    "reversed": "size: of the other sign",
    "undecided": "size undecided",
}


@dataclass(frozen=True)
class VerdictText:
    """A verdict as texts; a field with nothing to say is empty.

    ``outcome`` is one of four; ``verdict`` says it with its reason or limits, ``aside`` what else
    is known: the direction of what is undecided, and the size; ``basis`` is the evidence in short.
    """

    claim: str
    source: str
    outcome: str
    verdict: str
    aside: str
    effect: str
    interval: str
    published: str
    evidence: str
    basis: str
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
        interval = f"[{low}, {high}]".replace(", inf]", ", no end]")
    if effect and verdict.bound:
        effect = f"{verdict.bound} {effect}"
    notes = ["; ".join(map(str, verdict.notes)), verdict.claim.note or ""]
    return VerdictText(
        claim=" ".join(verdict.claim.text.split()),
        source=verdict.claim.source,
        outcome=verdict.outcome,
        verdict=_verdict(verdict),
        aside=_aside(verdict),
        effect=effect,
        interval=interval,
        published=_published(verdict.published or getattr(verdict.claim, "published", None)),
        evidence=_evidence(verdict, paper),
        basis=_basis(verdict),
        budget=", ".join(f"budget={budget}" for budget in verdict.budgets),
        by_dataset=_by_dataset(verdict),
        note=" ".join(_sentence(note) for note in notes if note),
    )


def tally(verdicts: Sequence[Verdict]) -> str:
    """``2 hold, 1 does not hold, 3 have no runs; sizes: 1 as printed, 2 smaller``."""
    counts = Counter(verdict.outcome for verdict in verdicts if verdict.counted)
    text = ", ".join(
        f"{counts[name]} {words[counts[name] != 1]}"
        for name, words in OUTCOMES.items()
        if counts[name]
    )
    sizes: Counter[str] = Counter(
        verdict.size for verdict in verdicts if verdict.counted and verdict.size
    )
    parts = [text] if text else []
    if sizes:
        told = ", ".join(f"{sizes[name]} {name}" for name in SIZES if sizes[name])
        parts.append(f"sizes: {told}")
    apart = sum(not verdict.counted for verdict in verdicts)
    if apart:
        parts.append(f"{apart} true by construction, not counted")
    return "; ".join(parts)


def _verdict(verdict: Verdict) -> str:
    text: str = verdict.outcome
    if verdict.outcome == "undecided" and verdict.reason:
        text = f"undecided ({verdict.reason})"
    elif verdict.outcome in ("holds", "does not hold"):
        text = f"direction {text}" if verdict.size else text
        text += f", {verdict.scope}" if verdict.scope else ""
    return text if verdict.counted else f"{text}: true by construction, not counted"


def _aside(verdict: Verdict) -> str:
    parts = []
    if verdict.outcome == "undecided" and verdict.effect is not None:
        leans = {"holds": "leans to the claim", "does not hold": "leans against it"}
        parts.append(leans.get(verdict.leaning, ""))
    if verdict.size != "undecided" or not parts:
        parts.append(SIZES.get(verdict.size, ""))
    return "; ".join(filter(None, parts))


def probability(p: float) -> str:
    """``p = 0.012``, or below what three decimals show."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


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
    if isinstance(verdict.claim, NotBetter):
        unit = "dB" if verdict.claim.metric == "psnr" else "SSIM"
        parts.append(f"margin {verdict.claim.tolerance:g} {unit}")
    if verdict.p is not None:
        text = probability(verdict.p)
        if verdict.adjusted is not None:
            text += f", after Holm {probability(verdict.adjusted).removeprefix('p ')}"
        parts.append(text.replace("Holm = ", "Holm "))
    if verdict.detectable is not None:
        parts.append(f"could see {_amount(verdict.detectable, verdict.unit).lstrip('+')}")
    networks = " and ".join(verdict.networks)
    if networks:
        parts.append(networks if verdict.same_size else f"{networks}, not the paper's size")
    parts += [f"{key}={value}" for key, value in verdict.distinct.items()]
    return "; ".join(parts)


def _basis(verdict: Verdict) -> str:
    """The evidence in a few words: budget, networks, seeds, images, power."""
    if verdict.outcome == "no runs":
        return ""
    parts = [*(f"budget={budget}" for budget in verdict.budgets), " and ".join(verdict.networks)]
    parts.append(_count(len(verdict.seeds), "seed") if verdict.seeds else "")
    parts.append(_count(verdict.n_images, "image") if verdict.n_images else "")
    if verdict.detectable is not None:
        parts.append(f"could see {_amount(verdict.detectable, verdict.unit).lstrip('+')}")
    return ", ".join(filter(None, parts))


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
    if unit == "trainings":
        return f"{100 * value:+.0f} % of trainings"
    if unit == "x":
        return f"{_number(value, unit)} times"
    return f"{_number(value, unit)} {unit}".strip()


def _number(value: float, unit: str) -> str:
    if unit == "share":
        return f"{100 * value:.0f} %"
    return fixed(value, DIGITS.get(unit, 3), sign=unit != "x")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
