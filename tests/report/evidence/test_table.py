"""Cells of known scores: what is averaged, what is kept apart, and what stays empty."""

import re
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from sr_experiments.core.errors import UserError
from sr_experiments.report.evidence.collect import collect
from sr_experiments.report.evidence.groups import holds
from sr_experiments.report.evidence.table import Row, Table, build_tables
from sr_experiments.report.evidence.verdicts import judge
from sr_experiments.report.paper.load import load_paper
from sr_experiments.report.render.provenance import disclaimer

Writer = Callable[..., Path]
PAPER = load_paper("activation")


def tables(tmp_path: Path, budget: str | None = None) -> list[Table]:
    return build_tables(PAPER, collect(tmp_path / "runs").runs, budget)


def row(table: Table, scale: int, dataset: str) -> Row:
    (found,) = [r for r in table.rows if (r.scale, r.dataset) == (scale, dataset)]
    return found


def one(psnr: float, ssim: float = 0.9, dataset: str = "Set5") -> dict:
    """Scores of a data set of two images whose means are these."""
    return {dataset: {"a": (psnr - 1, ssim - 0.01), "b": (psnr + 1, ssim + 0.01)}}


def psnrs(table: Table, scale: int = 2, dataset: str = "Set5") -> dict[str, float]:
    ours = row(table, scale, dataset).ours
    return {column: pytest.approx(cells["psnr"].mean) for column, cells in ours.items()}


def test_a_cell_is_the_mean_over_images_then_seeds_of_its_own_protocol(
    tmp_path: Path, write_run: Writer
) -> None:
    values = {0: (30.0, 0.90), 1: (30.3, 0.92), 5: (30.1, 0.93)}
    for seed, (psnr, ssim) in values.items():
        write_run(one(psnr, ssim), seed=seed)
    write_run(one(33.0), activation="mish")
    write_run(one(25.0, 0.8), bicubic=True, choices={"budget": "smoke"})
    (table,) = tables(tmp_path)
    found = row(table, 2, "Set5")
    assert found.images == 2
    assert set(found.ours) == {"relu", "mish"}
    for index, metric in enumerate(("psnr", "ssim")):
        cell = found.ours["relu"][metric]
        expected = [pair[index] for pair in values.values()]
        assert cell.by_seed == pytest.approx(dict(zip(values, expected, strict=True)))
        assert cell.mean == pytest.approx(statistics.mean(expected))
        assert cell.spread == pytest.approx(statistics.stdev(expected))
        assert cell.n == 3
    assert found.ours["mish"]["psnr"].spread is None
    assert found.bicubic["psnr"].mean == pytest.approx(25.0)
    assert found.published["mish"] == {"psnr": 38.19, "ssim": 0.9447}
    # Nothing of ours leaks into rows that were not scored.
    assert not row(table, 4, "Set5").ours
    assert not row(table, 2, "Set14").ours
    assert not row(table, 4, "Set5").bicubic


def test_what_must_not_meet_has_tables_of_its_own(tmp_path: Path, write_run: Writer) -> None:
    write_run(one(30.0))
    write_run(one(30.5), activation="mish")
    write_run(one(20.0), choices={"budget": "smoke"}, seed=1)
    write_run(one(31.0), choices={"budget": "study"}, seed=2)
    write_run(one(31.5), choices={"budget": "study"}, seed=2, size="16x64", parameters=1_369_859)
    found = tables(tmp_path)
    assert [(t.budget, t.group.members[0].network.size) for t in found] == [
        ("study", "16x64"),
        ("study", "4x16"),
        ("quick", "4x16"),
        ("smoke", "4x16"),
    ]
    assert [psnrs(t) for t in found] == [
        {"relu": 31.5},
        {"relu": 31.0},
        {"relu": 30.0, "mish": 30.5},
        {"relu": 20.0},
    ]
    (quick,) = tables(tmp_path, budget="quick")
    assert psnrs(quick) == {"relu": 30.0, "mish": 30.5}
    with pytest.raises(UserError) as error:
        tables(tmp_path, budget="paper")
    assert error.value.code == "budget-without-runs"
    assert error.value.message.fields["budgets"] == "study, quick, smoke"


OTHERS = [
    ({"updates": 3000}, "training.updates"),
    ({"choices": {"clipping": "adjustable"}}, "choices.clipping"),
    ({"settings": {"optimizer.lr": 0.01}}, "settings.optimizer.lr"),
]


@pytest.mark.parametrize(("other", "key"), OTHERS)
def test_another_recipe_is_no_other_seed(
    tmp_path: Path, write_run: Writer, other: dict, key: str
) -> None:
    write_run(one(30.0), seed=0)
    write_run(one(31.0), seed=1, **other)
    found = tables(tmp_path)
    assert sorted(psnrs(t)["relu"].expected for t in found) == pytest.approx([30.0, 31.0])
    assert all(list(t.group.distinct) == [key] for t in found)


@pytest.mark.parametrize(
    ("other", "key"), [*OTHERS, ({"size": "16x64"}, None), ({"choices": {"budget": "study"}}, None)]
)
def test_columns_differ_in_the_activation_only(
    tmp_path: Path, write_run: Writer, other: dict, key: str | None
) -> None:
    write_run(one(30.0))
    write_run(one(31.0), activation="mish", **other)
    found = tables(tmp_path)
    assert sorted(list(psnrs(t)) for t in found) == [["mish"], ["relu"]]
    assert all(list(t.group.distinct) == ([key] if key else []) for t in found)


def test_runs_of_another_question_make_no_table(tmp_path: Path, write_run: Writer) -> None:
    write_run(one(30.0))
    write_run(one(31.0), activation="mish", choices={"model": "edsr_baseline"})  # the same network
    write_run(one(32.0), size="8x32")  # somebody's teacher
    write_run(one(33.0), choices={"budget": "study"})
    study, quick = tables(tmp_path)
    assert (psnrs(study), psnrs(quick)) == ({"relu": 33.0}, {"relu": 30.0, "mish": 31.0})


def test_scales_may_have_recipes_of_their_own(tmp_path: Path, write_run: Writer) -> None:
    write_run(one(30.0))
    write_run(one(28.0), scale=4, updates=3000, parameters=23_456)
    (table,) = tables(tmp_path)
    assert (psnrs(table), psnrs(table, scale=4)) == ({"relu": 30.0}, {"relu": 28.0})


def test_another_experiment_fills_the_scales_that_are_asked_for_alone(
    tmp_path: Path, write_run: Writer
) -> None:
    write_run(one(30.0))
    for scale, psnr in ((3, 29.0), (4, 28.0)):  # the paper prints x2 and x4
        write_run(one(psnr), scale=scale, experiment="deconvolution_sweep")
    (table,) = tables(tmp_path)
    assert {run.scale for run in table.group.members} == {2, 4}
    write_run(one(29.5), scale=3, seed=1)  # x3 of its own sweep
    (table,) = tables(tmp_path)
    assert {run.scale for run in table.group.members} == {2, 3, 4}


def test_runs_that_fit_no_column_are_left_out(tmp_path: Path, write_run: Writer) -> None:
    write_run(one(30.0), choices={"convolution": "deconvolution"})
    write_run(one(30.0), choices={"method": "fakd"})
    write_run(one(30.0), activation="gelu")
    write_run(one(30.0), choices={"model": "rcan"})
    (table,) = tables(tmp_path)
    assert table.budget is None
    assert len(table.rows) == 12
    assert not any(r.ours for r in table.rows)


def test_average_only_of_all_data_sets(tmp_path: Path, write_run: Writer) -> None:
    names = PAPER.tables[0].average.over
    whole = {n: one(30.0 + i, 0.8 + i / 50, n)[n] for i, n in enumerate(names)}
    write_run(whole | one(99.0, dataset="embedded"))
    write_run({n: whole[n] for n in names[1:]}, activation="mish")
    (table,) = tables(tmp_path)
    average = row(table, 2, "Average")
    assert set(average.ours) == {"relu"}
    assert average.ours["relu"]["psnr"].mean == pytest.approx(32.0)
    assert average.ours["relu"]["ssim"].mean == pytest.approx(0.84)
    assert average.published["relu"] == {"psnr": 34.80, "ssim": 0.9203}
    ours_alone = row(table, 2, "embedded")
    assert not ours_alone.published
    assert ours_alone.ours["relu"]["psnr"].mean == pytest.approx(99.0)
    assert "x2 B100: ours are of 2 images, the set has 100" in table.notes


def test_no_average_where_a_data_set_has_no_row(tmp_path: Path, write_run: Writer) -> None:
    (source,) = PAPER.tables
    at_x2 = {name: cells for name, cells in source.published[2].items() if name != "DIV2K"}
    narrow = source.model_copy(update={"published": {2: at_x2}})
    write_run({name: one(30.0, dataset=name)[name] for name in at_x2 if name != "Average"})
    runs = collect(tmp_path / "runs").runs
    (table,) = build_tables(PAPER.model_copy(update={"tables": [narrow]}), runs)
    assert not row(table, 2, "Average").ours
    assert "x2 Average: not given for ours, without DIV2K" in table.notes


def test_a_row_is_of_the_same_images(tmp_path: Path, write_run: Writer) -> None:
    write_run(one(30.0), activation="relu")
    write_run({"Set5": {"a": (50.0, 0.99)}}, activation="mish", folder="fewer")
    write_run({"Set5": {"a": (60.0, 0.99)}}, bicubic=True)
    (table,) = tables(tmp_path)
    assert psnrs(table) == {"relu": 30.0}
    assert not row(table, 2, "Set5").bicubic
    assert any("fewer is left out: it scored 1 images" in note for note in table.notes)


def test_the_same_seed_counts_once(tmp_path: Path, write_run: Writer) -> None:
    later, earlier = "2026-01-02T12:00:00", "2026-01-02T11:00:00"
    write_run(one(31.0), folder="new", ended=later, choices={"benchmarks": "all"})
    write_run(one(30.0), folder="old", ended=earlier)
    (table,) = tables(tmp_path)
    assert psnrs(table) == {"relu": 31.0}
    assert row(table, 2, "Set5").ours["relu"]["psnr"].n == 1
    assert any("new replaces old" in note for note in table.notes)


def test_a_variant_below_bicubic_is_said(tmp_path: Path, write_run: Writer) -> None:
    write_run(one(24.0))
    write_run(one(26.0), activation="swish")
    write_run(one(25.0), bicubic=True)
    (table,) = tables(tmp_path)
    below = [note for note in table.notes if "bicubic" in note]
    assert below == ["x2 Set5: ReLU is below bicubic"]


@pytest.mark.parametrize(
    ("value", "wanted", "same"),
    [
        (0.1 * 3, 0.3, True),
        (1, 1.0, True),
        (True, 1, False),
        (0, False, False),
        (False, False, True),
        ("a", ["b", "a"], True),
        (None, None, True),
        (None, 0.0, False),
    ],
)
def test_settings_are_selected_by_value(
    tmp_path: Path, write_run: Writer, value: object, wanted: object, same: bool
) -> None:
    write_run(one(30.0), settings={} if value is None else {"model.depth": value})
    (run,) = collect(tmp_path / "runs").runs
    assert holds(run, {"settings.model.depth": wanted}) == same


def test_without_published_numbers_a_table_only_compares(tmp_path: Path, write_run: Writer) -> None:
    """A run of another table's recipe that fits one column has nothing beside it."""
    paper = load_paper("platform")
    for word, init in (("sgd", "he"), ("adam", "he"), ("sgd", "xavier")):
        write_run(
            one(30.0),
            choices={"model": "vdsr", "method": "squared_error", "optimizer": word, "init": init},
            settings={"model.residual": True, "init._target_": init, "optimizer.lr": 0.1},
            also=["y_first"],
        )
    found = {t.source.id: t for t in build_tables(paper, collect(tmp_path / "runs").runs)}
    assert set(found["optimizer"].group.runs) == {"sgd", "adam"}
    assert set(found["initializer"].group.runs) == {"he", "xavier"}
    assert row(found["optimizer"], 2, "Set5").ours["adam"]["psnr"].mean == pytest.approx(30.0)
    assert len([t for t in build_tables(paper, collect(tmp_path / "runs").runs) if t.rows]) == 5


def test_a_table_takes_the_runs_of_its_own_experiment_first(
    tmp_path: Path, write_run: Writer
) -> None:
    """Each method has its own optimiser, although another experiment varies that of one."""
    paper = load_paper("platform")
    for experiment, model, optimizer, psnr in (
        ("platform_methods", "srcnn", "srcnn", 29.0),
        ("platform_methods", "vdsr", "momentum", 30.0),
        ("platform_optimizer", "vdsr", "adam", 31.0),
    ):
        choices = {"model": model, "method": "squared_error", "optimizer": optimizer}
        write_run(
            one(psnr),
            experiment=experiment,
            choices=choices,
            network=model,
            settings={"model.residual": model == "vdsr"},
            also=["y_first"],
        )
    found = {t.source.id: t for t in build_tables(paper, collect(tmp_path / "runs").runs)}
    methods = row(found["methods"], 2, "Set5").ours
    assert {k: v["psnr"].mean for k, v in methods.items()} == {"srcnn": 29.0, "vdsr": 30.0}
    assert set(row(found["optimizer"], 2, "Set5").ours) == {"momentum", "adam"}


def test_of_tuned_rates_the_one_that_validates_best_counts(
    tmp_path: Path, write_run: Writer
) -> None:
    """Though another scores higher on the images of the table; all stand in the grid."""
    paper = load_paper("platform")

    def tried(optimizer: str, lr: float, psnr: float, validation: float | None) -> None:
        for seed, more in enumerate((-0.1, 0.1)):
            write_run(
                one(psnr),
                experiment="platform_optimizer",
                seed=seed,
                choices={"model": "vdsr", "method": "squared_error", "optimizer": optimizer},
                settings={"model.residual": True, "training.lr": lr, "optimizer.lr": lr},
                also=["y_first"],
                history=[]
                if validation is None
                else [(0, 500, 40.0, None), (1, 1000, validation + more, None)],
            )

    for lr, psnr, validation in ((0.1, 31.0, 29.0), (0.01, 30.0, 29.5), (0.001, 32.0, None)):
        tried("sgd", lr, psnr, validation)
    tried("momentum", 0.1, 33.0, None)
    tried("momentum", 0.01, 34.0, None)
    tried("adam", 0.001, 30.5, None)
    runs = collect(tmp_path / "runs").runs
    found = {t.source.id: t for t in build_tables(paper, runs)}
    best, grid = found["optimizer"], found["optimizer_rates"]
    assert psnrs(best) == {"sgd": 30.0, "adam": 30.5}
    assert psnrs(grid) == {
        **{"sgd_1": 31.0, "sgd_2": 30.0, "sgd_3": 32.0},
        **{"momentum_1": 33.0, "momentum_2": 34.0, "adam_3": 30.5},
    }
    assert [note for note in best.notes if "SGD" in note] == [
        "x2, SGD: training.lr=0.01, the best on our validation images at the end of training (PSNR "
        "by y_first, mean over seeds) of 0.1 (29.00 dB), 0.01 (29.50 dB), 0.001 (unknown); scored "
        "images had no say"
    ]
    assert "x2, Momentum is left out: no validation curve tells the best training.lr" in best.notes
    (verdict,) = [v for v in judge(paper, runs) if v.claim.id == "momentum_beats_sgd"]
    assert verdict.outcome == "no runs"


@pytest.mark.parametrize(
    ("paper", "number", "said"),
    [
        ("deconvolution", 0, r"\(experiment deconvolution_sweep\): published numbers only\."),
        ("deconvolution", 1, r"\(experiment srcnn_deconvolution_sweep\): and the paper prints no"),
        ("platform", 2, r"\(experiment platform_optimizer\): and the paper prints no numbers\."),
    ],
)
def test_a_table_without_runs_names_its_own_experiment(paper: str, number: int, said: str) -> None:
    assert re.search(said, disclaimer(build_tables(load_paper(paper), [])[number]))


def test_numbers_without_ssim(tmp_path: Path, write_run: Writer) -> None:
    paper = load_paper("deconvolution")
    write_run(one(30.0, dataset="DIV2K"), also=["rgb_div2k"], choices={"model": "edsr_baseline"})
    table = build_tables(paper, collect(tmp_path / "runs").runs, "quick")[0]
    assert table.source.metrics == ("psnr",)
    found = row(table, 2, "DIV2K")
    assert found.published["plain"] == {"psnr": 34.670}
    assert list(found.ours["plain"]) == ["psnr"]
    with pytest.raises(UserError) as error:
        build_tables(paper, collect(tmp_path / "runs").runs, "paper")
    assert (error.value.code, error.value.message.fields["budgets"]) == (
        "budget-without-runs",
        "quick",
    )
    with pytest.raises(UserError) as error:
        build_tables(paper, [], "paper")
    assert error.value.code == "paper-without-runs"
