"""Planted effects in folders of runs, and what is said of them."""

import itertools
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import fisher_exact

from sr_experiments.report.evidence.collect import collect
from sr_experiments.report.evidence.intervals import holm, share
from sr_experiments.report.evidence.table import build_tables
from sr_experiments.report.evidence.training_effects import fisher
from sr_experiments.report.evidence.verdicts import Verdict, judge
from sr_experiments.report.paper.definition import Paper
from sr_experiments.report.paper.load import load_paper
from sr_experiments.report.render.provenance import disclaimer, heading
from sr_experiments.report.render.verdict_text import tally, verdict_text

Writer = Callable[..., Path]
#: Standard deviation over images of the difference of two trainings: B100 on EDSR shows about this.
IMAGE_NOISE = 0.06
#: Of the mean of a training.
SEED_NOISE = 0.02
SIZES = {"Set5": 5, "Set14": 14, "B100": 100, "Urban100": 100}


def scores(
    effect: float = 0.0, seed: int = 0, sets: Sequence[str] = ("Set5", "Set14", "B100"), **of: float
) -> dict[str, dict[str, tuple[float, float]]]:
    """Images of different difficulty, the same for every run, with an effect and noise on top."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for name in sets:
        n = SIZES.get(name, 4)
        base = np.random.default_rng(n).normal(32, 4, n)
        noise = np.random.default_rng([seed, n]).normal(0, IMAGE_NOISE, n)
        found[name] = {
            f"i{k}": (float(base[k] + noise[k] + of.get(name, effect)), 0.9) for k in range(n)
        }
    return found


def verdict(paper: Paper, tmp_path: Path, claim: str) -> Verdict:
    (found,) = [v for v in judge(paper, collect(tmp_path / "runs").runs) if v.claim.id == claim]
    return found


def paper_with(name: str, claim: str, **changes: Any) -> Paper:
    """A paper with a claim of its own changed."""
    paper = load_paper(name)
    claims = [c.model_copy(update=changes) if c.id == claim else c for c in paper.claims]
    return paper.model_copy(update={"claims": claims})


def distilled(write_run: Writer, method: str, seed: int = 0, **more: Any) -> None:
    choices = {"model": "edsr_baseline", "method": method} | more.pop("choices", {})
    write_run(
        more.pop("scores"), seed=seed, choices=choices, size="16x64", parameters=1_369_859, **more
    )


def trainings(
    write_run: Writer, method: str, effect: float, number: int, seeds: int = 5, **more: Any
) -> None:
    """Trainings of a method: images have their own difference, and each seed its own shift."""
    shifts = np.random.default_rng(number).normal(0, SEED_NOISE, seeds)
    of = {name: more.pop(name) for name in SIZES if name in more}
    sets = more.pop("sets", ("Set5", "Set14", "B100"))
    for seed, shift in enumerate(shifts):
        shifted = {name: value + shift for name, value in of.items()}
        distilled(
            write_run, method, seed, scores=scores(effect + shift, number, sets, **shifted), **more
        )


@pytest.mark.parametrize(
    ("effect", "outcome"), [(0.1, "holds"), (0.0, "undecided"), (-0.1, "does not hold")]
)
def test_a_planted_effect_is_found_and_nothing_else(
    tmp_path: Path, write_run: Writer, effect: float, outcome: str
) -> None:
    trainings(write_run, "contrastive_cosine", 0.0, 11)
    trainings(write_run, "contrastive_l1", effect, 12)
    found = verdict(load_paper("distillation"), tmp_path, "l1_beats_cosine")
    assert found.outcome == outcome
    assert found.effect is not None
    assert found.interval is not None
    assert found.interval[0] < effect < found.interval[1]
    assert found.p is not None and found.adjusted == found.p  # no other claim has runs
    assert (
        (found.p <= 0.05)
        == (outcome != "undecided")
        == (not found.interval[0] < 0 < found.interval[1])
    )
    assert found.detectable is not None and 0.03 < found.detectable < 0.1
    assert found.effect == pytest.approx(np.mean([part.effect for part in found.parts]))
    assert [(p.dataset, p.n_images) for p in found.parts] == list(SIZES.items())[:3]
    assert (found.n_images, found.unit, found.seeds) == (119, "dB", [0, 1, 2, 3, 4])
    assert (found.budgets, found.networks) == (["quick"], ["EDSR 16x64"])
    assert found.same_size
    assert found.published is not None
    assert found.published.value == 0.023
    assert found.size == {0.1: "larger", 0.0: "undecided", -0.1: "reversed"}[effect]
    assert found.where == "x2 Set5, Set14, B100"
    assert "x2: without Urban100" in "; ".join(found.notes)
    assert found.reason == found.scope == ""


@pytest.mark.parametrize("effect", [0.5, -0.5])
def test_one_seed_decides_nothing_and_shows_the_direction(
    tmp_path: Path, write_run: Writer, effect: float
) -> None:
    trainings(write_run, "contrastive_cosine", 0.0, 11, seeds=1)
    trainings(write_run, "contrastive_l1", effect, 12, seeds=1)
    found = verdict(load_paper("distillation"), tmp_path, "l1_beats_cosine")
    assert (found.outcome, found.reason, found.p) == ("undecided", "one seed", None)
    assert found.leaning == ("holds" if effect > 0 else "does not hold")
    assert found.effect == pytest.approx(effect, abs=0.1)
    assert (found.size, found.detectable) == ("undecided", None)
    text = verdict_text(found, load_paper("distillation"))
    assert text.verdict == "undecided (one seed)"
    assert text.aside == ("leans to the claim" if effect > 0 else "leans against it")


@pytest.mark.parametrize(("seeds", "outcome"), [(3, "undecided"), (4, "holds")])
def test_other_columns_tell_the_noise_of_one_seed(
    tmp_path: Path, write_run: Writer, seeds: int, outcome: str
) -> None:
    """Three columns of four seeds have nine degrees of freedom, of three seeds six."""
    trainings(write_run, "contrastive_cosine", 0.0, 11, seeds=1)
    trainings(write_run, "contrastive_l1", 0.3, 12, seeds=1)
    for number, method in enumerate(("supervised", "fakd", "lsfd"), start=13):
        trainings(write_run, method, 0.0, number, seeds=seeds)
    found = verdict(load_paper("distillation"), tmp_path, "l1_beats_cosine")
    assert found.outcome == outcome
    assert (found.reason == "one seed") == (seeds == 3)
    assert ("9 degrees of freedom" in "; ".join(found.notes)) == (seeds == 4)


def test_columns_of_one_claim_are_corrected_for_the_others(
    tmp_path: Path, write_run: Writer
) -> None:
    paper = load_paper("distillation")
    trainings(write_run, "contrastive_cosine", 0.0, 11, seeds=3)
    trainings(write_run, "contrastive_l1", 0.065, 12, seeds=3)
    alone = verdict(paper, tmp_path, "l1_beats_cosine")
    assert alone.outcome == "holds"
    assert alone.p is not None and 0.005 < alone.p <= 0.05
    for number, method in enumerate(("supervised", "fakd", "lsfd"), start=13):
        trainings(write_run, method, 0.05, number, seeds=3)
    found = judge(paper, collect(tmp_path / "runs").runs)
    tested = [v for v in found if v.p is not None]
    assert len(tested) >= 4
    adjusted = holm([v.p for v in tested if v.p is not None])
    assert [v.adjusted for v in tested] == adjusted
    (corrected,) = [v for v in tested if v.claim.id == "l1_beats_cosine"]
    assert corrected.p == alone.p
    assert (corrected.outcome, corrected.reason) == ("undecided", "after Holm's correction")


@pytest.mark.parametrize(
    ("effect", "size"),
    [(0.025, "as printed"), (0.3, "larger"), (0.002, "smaller"), (-0.3, "reversed")],
)
def test_the_size_is_a_verdict_of_its_own(
    tmp_path: Path, write_run: Writer, effect: float, size: str
) -> None:
    """Printed are 0.023 dB."""
    for seed in range(3):
        for method, planted in (("contrastive_cosine", 0.0), ("contrastive_l1", effect)):
            distilled(write_run, method, seed, scores=scores(planted + 1e-5 * seed, 7))
    found = verdict(load_paper("distillation"), tmp_path, "l1_beats_cosine")
    assert found.size == size
    assert found.outcome == ("holds" if effect > 0 else "does not hold")


def test_an_arm_below_bicubic_decides_nothing(tmp_path: Path, write_run: Writer) -> None:
    trainings(write_run, "contrastive_cosine", -3.0, 11, seeds=3)
    trainings(write_run, "contrastive_l1", 0.065, 12, seeds=3)
    write_run(scores(-1.0, 13), bicubic=True)
    found = verdict(load_paper("distillation"), tmp_path, "l1_beats_cosine")
    assert (found.outcome, found.reason, found.p) == ("undecided", "arm below bicubic", None)
    assert "Contrastive, cosine is 1.99 dB below bicubic" in "; ".join(found.notes)
    failing = paper_with("distillation", "l1_beats_cosine", may_fail=True)
    assert verdict(failing, tmp_path, "l1_beats_cosine").outcome == "holds"


def test_a_photograph_at_several_scales_counts_once(tmp_path: Path, write_run: Writer) -> None:
    """Differences that the scales repeat to the bit make nothing surer."""
    paper = load_paper("platform")
    only = paper_with("platform", "vdsr_beats_srcnn", scales=[2])
    for scale in (2, 3, 4):
        for model, number in (("srcnn", 1), ("vdsr", 2)):
            for seed in range(3):
                shift = np.random.default_rng([number, seed]).normal(0, SEED_NOISE)
                write_run(
                    scores(shift + 0.05 * number, number, ("Set14",)),
                    scale=scale,
                    seed=seed,
                    choices={"model": model, "method": "squared_error"},
                    settings={"model.residual": True} if model == "vdsr" else {},
                    network=model.upper(),
                    also=["y_first"],
                )
    once, thrice = (verdict(p, tmp_path, "vdsr_beats_srcnn") for p in (only, paper))
    assert (once.n_images, thrice.n_images) == (14, 14)
    assert thrice.effect == pytest.approx(once.effect)
    assert thrice.interval == pytest.approx(once.interval)
    assert len(thrice.parts) == 3
    assert verdict(paper, tmp_path, "success_rate").outcome == "no runs"


def test_seeds_are_averaged_by_image_and_their_spread_is_told(
    tmp_path: Path, write_run: Writer
) -> None:
    per_seed = {0: 0.10, 1: -0.02, 2: 0.07}
    for seed, effect in per_seed.items():
        distilled(write_run, "contrastive_cosine", seed, scores=scores(0.0, seed=7))
        distilled(write_run, "contrastive_l1", seed, scores=scores(effect, seed=7))
    distilled(write_run, "contrastive_l1", 9, scores=scores(9.0))  # a seed that cosine has not
    found = verdict(load_paper("distillation"), tmp_path, "l1_beats_cosine")
    assert found.effect == pytest.approx(0.05)
    assert found.seeds == [0, 1, 2]
    assert found.seed_spread == pytest.approx(np.std(list(per_seed.values()), ddof=1))
    assert "the seeds disagree in direction" in "; ".join(found.notes)


@pytest.mark.parametrize(
    ("urban", "outcome"), [(0.3, "holds"), (0.0, "undecided"), (-0.3, "does not hold")]
)
def test_on_every_data_set_means_on_every_data_set(
    tmp_path: Path, write_run: Writer, urban: float, outcome: str
) -> None:
    sets = ("Set14", "B100", "Urban100")
    trainings(write_run, "fakd", 0.0, 21, sets=sets)
    trainings(write_run, "contrastive_l1", 0.3, 22, sets=sets, Urban100=urban)
    found = verdict(load_paper("distillation"), tmp_path, "l1_beats_fakd")
    assert found.outcome == outcome
    assert found.effect is not None
    assert found.effect > 0.05  # so the mean alone would hold
    only = verdict(load_paper("distillation"), tmp_path, "gain_on_urban100")
    assert only.outcome == outcome
    assert [part.dataset for part in only.parts] == ["Urban100"]


def test_without_the_papers_data_sets_others_are_taken_and_said(
    tmp_path: Path, write_run: Writer
) -> None:
    for method, effect in (("fakd", 0.0), ("contrastive_l1", 0.5)):
        trainings(write_run, method, effect, 3, sets=("embedded",))
    found = verdict(load_paper("distillation"), tmp_path, "gain_on_urban100")
    assert found.where == "x2 embedded"
    assert "x2: on embedded in place of Urban100" in "; ".join(found.notes)
    assert found.outcome == "holds"


def test_percentages_are_of_the_papers_reference(tmp_path: Path, write_run: Writer) -> None:
    flat = {"Set5": {f"i{k}": (30.0, 0.9) for k in range(5)}}
    less = {"Set5": {f"i{k}": (27.0, 0.9) for k in range(5)}}
    for seed in (0, 1):
        write_run(flat, seed=seed)
        write_run(less, seed=seed, activation="leaky_relu")
    found = verdict(load_paper("activation"), tmp_path, "leaky_relu_fails_x2")
    assert (found.effect, found.unit) == (pytest.approx(10.0), "%")  # of ReLU, the column
    found = verdict(load_paper("activation"), tmp_path, "leaky_relu_not_better_x2")
    assert found.effect == pytest.approx(-10.0)  # of ReLU, the other
    assert found.outcome == "holds"
    assert not found.same_size


@pytest.mark.parametrize(
    ("effect", "not_better", "equal"),
    [
        (-0.2, "holds", "does not hold"),
        (0.0, "holds", "holds"),
        (0.05, "undecided", "undecided"),
        (0.2, "does not hold", "does not hold"),
    ],
)
def test_not_better_and_no_difference(
    tmp_path: Path, write_run: Writer, effect: float, not_better: str, equal: str
) -> None:
    """As good or better allows 0.05 dB; the other claim is given the same margin."""
    for word, planted in (("plain", 0.0), ("deconvolution", effect)):
        for seed in range(5):
            shift = np.random.default_rng([len(word), seed]).normal(0, 0.01)
            choices = {"convolution": word}
            sizes = scores(planted + shift, 7, ("Set14", "B100"))
            write_run(sizes, seed=seed, choices=choices, size="16x64")
    paper = load_paper("deconvolution")
    assert verdict(paper, tmp_path, "edsr_not_better").outcome == not_better
    (claim,) = [c for c in paper.claims if c.id == "edsr_not_better"]
    data = claim.model_dump(exclude={"published", "margin"})
    same = Paper.model_validate(
        paper.model_dump() | {"claims": [data | {"kind": "no_difference", "margin": 0.05}]}
    )
    assert verdict(same, tmp_path, "edsr_not_better").outcome == equal
    percent = {"value": -0.1, "unit": "%"}
    relative = Paper.model_validate(
        paper.model_dump() | {"claims": [data | {"published": percent}]}
    )
    assert verdict(relative, tmp_path, "edsr_not_better").outcome == not_better


def swa_run(write_run: Writer, factor: float, raw: dict, mean: dict, **more: Any) -> None:
    choices = {"model": "rcan", "averaging": "swa", "scheduler": "constant"}
    write_run(
        raw,
        averaged=mean,
        choices=choices,
        network="RCAN",
        settings={"scheduler.factor": factor},
        **more,
    )


def test_raw_and_averaged_weights_of_one_run_are_two_columns(
    tmp_path: Path, write_run: Writer
) -> None:
    swa_run(write_run, 0.5, scores(0.0, 1), scores(0.1, 1))
    swa_run(write_run, 0.1, scores(9.0, 1), scores(0.3, 1))
    paper = load_paper("swa")
    alone = verdict(paper, tmp_path, "averaging_alone")
    assert alone.effect == pytest.approx(0.1)
    # One training, two kinds of its weights: the images decide, and no more than that is said.
    assert (alone.outcome, alone.scope) == ("holds", "of this training")
    assert verdict_text(alone, paper).verdict == "direction holds, of this training"
    assert verdict(paper, tmp_path, "swa_3_gains").reason == "one seed"
    assert verdict(paper, tmp_path, "swa_3_gains").effect == pytest.approx(0.3)
    assert verdict(paper, tmp_path, "smaller_rate").effect == pytest.approx(0.2)


def curve(speed: float, seed: int, looks: int = 40) -> list[tuple]:
    """A validation curve that nears 33 dB at a speed, with a little noise."""
    noise = np.random.default_rng(seed).normal(0, 0.002, looks)
    return [
        (k, 25 * k, float(33 - 4 * np.exp(-speed * k / 8) + noise[k - 1]), None)
        for k in range(1, looks + 1)
    ]


def convergence_runs(
    write_run: Writer, curves: Callable[[str, int], list[tuple]], seeds: int
) -> None:
    for model, network in (("srcnn", "SRCNN"), ("edsr_baseline", "EDSR")):
        for word in ("plain", "deconvolution"):
            for seed in range(seeds):
                write_run(
                    scores(0.0),
                    seed=seed,
                    choices={"model": model, "convolution": word},
                    network=network,
                    also=["rgb_div2k"],
                    history=curves(word, seed),
                )


@pytest.mark.parametrize(
    ("speed", "seeds", "srcnn", "edsr"),
    [
        (2.0, 1, "undecided", "undecided"),
        (2.0, 3, "holds", "does not hold"),
        (1.25, 3, "holds", "does not hold"),
        (1.0, 3, "does not hold", "holds"),
        (0.5, 1, "undecided", "undecided"),
        (0.5, 3, "does not hold", "holds"),
    ],
)
def test_convergence(
    tmp_path: Path, write_run: Writer, speed: float, seeds: int, srcnn: str, edsr: str
) -> None:
    def curves(word: str, seed: int) -> list[tuple]:
        fast = speed if word == "deconvolution" else 1.0
        return curve(fast, seed=10 * seed + int(4 * fast))

    convergence_runs(write_run, curves, seeds)
    paper = load_paper("deconvolution")
    found = verdict(paper, tmp_path, "srcnn_faster")
    assert found.outcome == srcnn
    assert found.unit == "x"
    assert found.effect == pytest.approx(speed, rel=0.1)
    assert (found.interval is None) == (found.seed_spread is None) == (seeds == 1)
    assert found.reason == ("one seed" if seeds == 1 else "")
    assert verdict(paper, tmp_path, "edsr_not_faster").outcome == edsr


@pytest.mark.parametrize(
    ("ahead", "srcnn", "bound"),
    [("deconvolution", "holds", "at least"), ("plain", "does not hold", "at most")],
)
def test_who_never_gets_there_is_slower_by_a_bound(
    tmp_path: Path, write_run: Writer, ahead: str, srcnn: str, bound: str
) -> None:
    def curves(word: str, seed: int) -> list[tuple]:
        lower = 0.0 if word == ahead else 8.0
        return [(e, u, psnr - lower, mean) for e, u, psnr, mean in curve(1.0, seed)]

    convergence_runs(write_run, curves, 3)
    found = verdict(load_paper("deconvolution"), tmp_path, "srcnn_faster")
    assert (found.outcome, found.bound) == (srcnn, bound)
    assert found.effect == pytest.approx(40 if bound == "at least" else 1 / 40)
    assert found.interval is not None
    assert (found.interval[1] == np.inf) == (bound == "at least")
    assert "never reaches the other's first validation" in "; ".join(found.notes)
    text = verdict_text(found, load_paper("deconvolution"))
    assert text.effect.startswith(bound)
    assert ("no end" in text.interval) == (bound == "at least")


def test_a_run_without_a_curve_is_undecided(tmp_path: Path, write_run: Writer) -> None:
    for word in ("plain", "deconvolution"):
        write_run(scores(0.0), choices={"model": "srcnn", "convolution": word})
    found = verdict(load_paper("deconvolution"), tmp_path, "srcnn_faster")
    assert (found.outcome, found.effect) == ("undecided", None)
    assert "no validation curves" in "; ".join(found.notes)


@pytest.mark.parametrize(("calm", "outcome"), [(0.2, "holds"), (1.0, "does not hold")])
def test_averaged_weights_are_steadier(
    tmp_path: Path, write_run: Writer, calm: float, outcome: str
) -> None:
    jumps = np.random.default_rng(5).normal(0, 0.05, 50).tolist()
    lines = [(k, 10 * k, 33 + jumps[k], None if k < 5 else 33 + calm * jumps[k]) for k in range(50)]
    swa_run(write_run, 0.5, scores(), scores(), history=lines)
    found = verdict(load_paper("swa"), tmp_path, "steadier")
    assert found.outcome == outcome
    assert found.effect == pytest.approx(1 / calm, rel=1e-6)
    assert not found.counted
    said = tally([found])
    assert said == "1 true by construction, not counted"


@pytest.mark.parametrize(
    ("better", "outcome"), [(100, "holds"), (83, "undecided"), (60, "does not hold")]
)
def test_share_of_improved_images(
    tmp_path: Path, write_run: Writer, better: int, outcome: str
) -> None:
    reference = {"B100": {f"i{k}": (30.0, 0.9) for k in range(100)}}
    ours = {"B100": {f"i{k}": (31.0 if k < better else 30.0, 0.9) for k in range(100)}}
    write_run(reference, bicubic=True, also=["y_first"], choices={"budget": "smoke"}, seed=5)
    for seed in (0, 1, 2):
        write_run(
            ours,
            seed=seed,
            choices={"model": "vdsr", "method": "squared_error"},
            settings={"model.residual": True},
            network="VDSR",
            size="20x64",
            also=["y_first"],
        )
    found = verdict(load_paper("platform"), tmp_path, "success_rate")
    assert (found.outcome, found.unit) == (outcome, "share")
    assert found.effect == found.win_rate == pytest.approx(better / 100)
    assert found.budgets == ["quick"]
    assert found.same_size


def test_too_few_images_for_a_share_are_said(tmp_path: Path, write_run: Writer) -> None:
    needed = "a share of 80 % takes 16 images, even if all are better"
    trained = {
        "choices": {"model": "vdsr", "method": "squared_error"},
        "settings": {"model.residual": True},
        "network": "VDSR",
    }
    for images, said in ((15, [needed]), (16, [])):
        for psnr, more in ((30.0, {"bicubic": True}), (31.0, trained)):
            names = [f"i{k}" for k in range(images)]
            write_run({"B100": dict.fromkeys(names, (psnr, 0.9))}, also=["y_first"], **more)
        low, _ = share(np.ones((1, images))).interval
        assert (low > 0.8) == (images == 16)
        found = verdict(load_paper("platform"), tmp_path, "success_rate")
        assert [note for note in found.notes if "takes" in note] == said
        shutil.rmtree(tmp_path / "runs")


def test_the_size_is_that_of_each_column(tmp_path: Path, write_run: Writer) -> None:
    for model, network, size in (("srcnn", "SRCNN", "9-1-5 (64-32)"), ("vdsr", "VDSR", "20x64")):
        settings = {"model.residual": True} if model == "vdsr" else {}
        choices = {"model": model, "method": "squared_error", "budget": "paper"}
        write_run(
            scores(),
            choices=choices,
            network=network,
            size=size,
            settings=settings,
            also=["y_first"],
        )
    found = verdict(load_paper("platform"), tmp_path, "vdsr_beats_srcnn")
    assert found.networks == ["SRCNN 9-1-5 (64-32)", "VDSR 20x64"]
    assert found.same_size
    table = build_tables(load_paper("platform"), collect(tmp_path / "runs").runs)[0]
    said = dict(heading(table))
    assert said["Network, ours"].startswith("SRCNN 9-1-5 (64-32), parameters 12,345; VDSR 20x64,")
    assert "not the size" not in said["Network, ours"]
    assert said["Network, paper"].startswith("SRCNN: SRCNN 9-1-5 (64-32), parameters 8,129.")
    assert "VDSR, VDSR without residual learning: VDSR 20x64" in said["Network, paper"]
    assert "SSIM" not in said
    assert "the paper prints no numbers" in disclaimer(table)


def test_budgets_and_recipes_are_judged_apart(tmp_path: Path, write_run: Writer) -> None:
    for budget, effect in (("quick", -0.3), ("study", 0.3), ("smoke", 0.3)):
        for method, planted in (("fakd", 0.0), ("contrastive_l1", effect)):
            trainings(write_run, method, planted, 1, seeds=2, choices={"budget": budget})
    distilled(write_run, "contrastive_l1", scores=scores(5.0, 1), settings={"optimizer.lr": 0.5})
    runs = collect(tmp_path / "runs").runs
    paper = load_paper("distillation")
    found = [v for v in judge(paper, runs) if v.claim.id == "l1_beats_fakd"]
    assert [(list(v.budgets), v.outcome) for v in found] == [
        (["study"], "holds"),
        (["quick"], "does not hold"),
        (["smoke"], "holds"),
    ]
    assert "its numbers mean nothing" in "; ".join(found[2].notes)
    assert not any("reproduc" in f"{v.notes} {v.outcome} {v.where}" for v in found)
    (study,) = [v for v in judge(paper, runs, "study") if v.claim.id == "l1_beats_fakd"]
    assert study.budgets == ["study"]
    without = [v for v in judge(paper, runs) if v.claim.id == "l1_beats_lsfd"]
    assert [(v.outcome, v.effect) for v in without] == [("no runs", None)]


def test_columns_may_have_what_their_words_stand_for(tmp_path: Path, write_run: Writer) -> None:
    """Optimisers with settings of their own share a table; another recipe does not join it."""
    vdsr = {"settings": {"model.residual": True}, "network": "VDSR", "also": ["y_first"]}
    for word, lr, planted in (("sgd", 0.1, 0.0), ("adam", 0.001, 0.5), ("momentum", 0.1, 0.2)):
        own = {"optimizer._target_": word, "optimizer.lr": lr, "training.lr": lr}
        settings = vdsr["settings"] | own
        choices = {"model": "vdsr", "method": "squared_error", "optimizer": word}
        write_run(scores(planted), choices=choices, **vdsr | {"settings": settings})
    paper = load_paper("platform")
    claim = {
        "id": "adam",
        "text": "t",
        "source": "s",
        "kind": "difference",
        "table": "optimizer",
        "column": "adam",
        "over": "sgd",
        "scales": [2],
    }
    mine = Paper.model_validate(paper.model_dump() | {"claims": [claim]})
    assert verdict(mine, tmp_path, "adam").effect == pytest.approx(0.5)


def test_an_arm_that_diverged_is_named_and_spoils_no_other(
    tmp_path: Path, write_run: Writer
) -> None:
    for method, number in (("contrastive_cosine", 11), ("supervised", 12)):
        trainings(write_run, method, 0.0, number)
    for seed in range(5):
        distilled(write_run, "contrastive_l1", seed, scores={}, diverged_at=40 + seed)
    paper = load_paper("distillation")
    found = verdict(paper, tmp_path, "l1_beats_cosine")
    assert (found.outcome, found.reason, found.effect) == ("undecided", "arm diverged", None)
    assert any("seed 3: diverged at update 43" in note for note in found.notes)
    tables = build_tables(paper, collect(tmp_path / "runs").runs)
    table = next(table for table in tables if table.source.id == "table2")
    assert any("seed 0: diverged at update 40" in note for note in table.notes)
    row = next(row for row in table.rows if row.dataset == "Set5")
    assert {"contrastive_cosine", "supervised"} == set(row.ours) and row.images == 5


@pytest.mark.parametrize(
    ("of_none", "of_adjustable", "seeds", "outcome", "p"),
    [
        # Tables of Fisher's exact test: 2 / C(2 n, n) where all stand against none.
        (5, 0, 5, "holds", 2 / 252),
        (3, 0, 3, "undecided", 2 / 20),
        (1, 0, 1, "undecided", None),
        # As many as without clipping; a sign test of one half for the rest: 2 / 2^n for none of n.
        (0, 0, 6, "does not hold", 2 / 64),
        (5, 5, 5, "undecided", 2 / 32),
        (2, 0, 6, "undecided", 44 / 64),
    ],
)
def test_trainings_that_diverge_are_counted(
    tmp_path, write_run, of_none, of_adjustable, seeds, outcome, p
):
    for clipping, diverged in (("none", of_none), ("adjustable", of_adjustable)):
        for seed in range(seeds):
            write_run(
                scores(0.0) if seed >= diverged else {},
                seed=seed,
                choices={"model": "vdsr", "method": "squared_error", "clipping": clipping},
                settings={"model.residual": True, "training.lr": 0.1},
                network="VDSR",
                experiment="platform_clipping",
                also=["y_first"],
                diverged_at=7 if seed < diverged else None,
            )
    found = verdict(load_paper("platform"), tmp_path, "clipping_is_needed")
    assert found.outcome == outcome
    assert found.effect == (of_none - of_adjustable) / seeds
    assert found.p == (p if p is None else pytest.approx(p))
    assert found.reason == ("one seed" if seeds == 1 else "")
    none, adjustable = f"{of_none} of {seeds}", f"{of_adjustable} of {seeds}"
    assert found.where == f"diverged: No clipping {none}, Adjustable clipping {adjustable}"


def test_fishers_exact_test_is_scipys() -> None:
    for first, of_first, second, of_second in itertools.product(range(5), (4, 6), range(4), (3, 5)):
        table = [[first, of_first - first], [second, of_second - second]]
        expected = pytest.approx(fisher_exact(table).pvalue)
        assert fisher(first, of_first, second, of_second) == expected
