"""A run's config beside its paper's recipe: what differs is found, and what is missing is said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from sr_experiments.config.compose import compose
from sr_experiments.core.errors import UserError
from sr_experiments.core.paths import shipped
from sr_experiments.report.evidence.collect import collect
from sr_experiments.report.evidence.deviations import compare_recipes, deviations
from sr_experiments.report.evidence.table import build_tables
from sr_experiments.report.paper.load import load_paper, papers
from sr_experiments.report.paper.recipe import ASPECTS, Setting, untold
from sr_experiments.report.render.design_text import recipe_deviations, recipe_summary

Writer = Callable[..., Path]
BATCH = Setting(value=16, source="printed", section="2")
RECIPE = {
    "training.batch_size": BATCH,
    "optimizer.betas": Setting(value=[0.9, 0.999], source="inferred", section="3"),
    "start.scale": Setting(value={2: None, 4: 2}, source="inferred", section="4"),
    "model.bias": Setting(value=True, source="chosen"),
}
CONFIG: dict[str, Any] = {
    "training": {"batch_size": 16, "lr": 1.0},
    "optimizer": {"betas": [0.9, 0.999]},
    "start": None,
    "model": {"bias": True},
}


@pytest.mark.parametrize(
    ("changes", "scale", "found"),
    [
        ({}, 2, []),
        ({}, 3, []),  # the recipe tells nothing of x3
        ({}, 4, ["start.scale"]),
        ({"start": {"scale": 2}}, 4, []),
        ({"start": {"scale": 2}}, 2, ["start.scale"]),
        ({"training": {"batch_size": 16.0}}, 2, []),
        ({"training": {"batch_size": 32}}, 2, ["training.batch_size"]),
        ({"training": {}}, 2, ["training.batch_size"]),
        ({"optimizer": {"betas": [0.9]}}, 2, ["optimizer.betas"]),
        ({"optimizer": {"betas": (0.9, 0.999)}}, 2, []),
        ({"model": {"bias": 1}}, 2, ["model.bias"]),
    ],
)
def test_a_config_beside_a_recipe(changes: dict, scale: int, found: list[str]) -> None:
    nested = deviations(RECIPE, CONFIG | changes, scale)
    assert [deviation.path for deviation in nested] == found


def test_a_setting_names_its_place_unless_it_is_ours() -> None:
    with pytest.raises(ValidationError, match="names its section"):
        Setting(value=1, source="printed")
    assert set(untold({"training.lr": BATCH})) == set(ASPECTS) - {"learning rate"}


def test_a_table_says_which_settings_differ_in_which_runs(
    tmp_path: Path, write_run: Writer
) -> None:
    paper = load_paper("activation")
    (source,) = paper.tables
    for activation, epochs in (("relu", 300), ("mish", 6)):
        recipe = source.recipe_of(source.column(activation))
        config = {path: setting.at(2)[1] for path, setting in recipe.items()}
        folder = write_run({"Set5": {"baby": (38.0, 0.9)}}, activation=activation)
        text = yaml.safe_dump(config | {"training.epochs": epochs, "training.lr": 0.5})
        (folder / "config.yaml").write_text(text)
    (table,) = build_tables(paper, collect(tmp_path / "runs").runs)
    found = compare_recipes(table)
    assert not found.to_the_letter
    assert [(d.path, d.ours, at) for d, at in found.deviations] == [
        ("training.lr", 0.5, ""),
        ("training.epochs", 6, "Mish x2"),
    ]
    assert sum(found.equal.values()) == len(source.recipe) + 1 - 2
    assert "; 2 differ" in recipe_summary(table)
    assert recipe_deviations(table)[1].startswith("training.epochs (Mish x2): 6; paper 300 (inf")
    (folder / "config.yaml").write_text("[")
    (table,) = build_tables(paper, collect(tmp_path / "runs").runs)
    assert compare_recipes(table).unread == [folder.name]


@pytest.mark.parametrize("name", papers())
def test_settings_of_the_papers_are_keys_of_a_config(name: str) -> None:
    """Every dotted path is one that some choice of ``conf/`` has, so a comparison finds it."""
    known = {"weights", "start", "start_optimizer", "start.scale", "start.training.epochs"}
    known |= {"start.scheduler.factor", "start.averaging", "data.train.source"}
    known |= {"start.method", "start.training.scales"}
    known |= {"teacher.model.n_resblocks", "teacher.model.n_feats", "clipping.algorithm"}
    text = {
        folder.name: "\n".join(file.read_text("utf-8") for file in folder.glob("*.yaml"))
        for folder in shipped("conf").iterdir()
        if folder.is_dir()
    }
    text["training"] = (shipped("conf") / "config.yaml").read_text("utf-8") + text["budget"]
    for table in load_paper(name).tables:
        for column in table.columns:
            for path in table.recipe_of(column).keys() - known:
                group, *_, key = path.split(".")
                assert f"{key}:" in text[group], path
            json.dumps({p: s.value for p, s in table.recipe_of(column).items()})


ROWS = [
    ("activation", "relu", 2, "activation_sweep", "activation=relu"),
    ("activation", "leaky_relu", 4, "activation_sweep", "activation=leaky_relu"),
    ("activation", "swish", 4, "activation_sweep", "activation=swish"),
    ("activation", "mish", 2, "activation_sweep", "activation=mish"),
    ("deconvolution", "plain", 2, "deconvolution_sweep", "convolution=plain"),
    ("deconvolution", "deconvolution", 3, "deconvolution_sweep", "convolution=deconvolution"),
    ("swa", "baseline", 2, "swa_sweep", "scheduler.factor=0.5"),
    ("swa", "swa_3", 2, "swa_sweep", "scheduler.factor=0.1"),
    *(
        ("distillation", method, 2, "distillation_sweep", f"method={method}")
        for method in ("supervised", "fakd", "lsfd", "contrastive_cosine", "contrastive_l1")
    ),
    ("platform", "srcnn", 2, "platform_methods", "recipe=srcnn"),
    ("platform", "vdsr", 3, "platform_methods", "recipe=vdsr"),
]


@pytest.mark.parametrize(("paper", "column", "scale", "experiment", "choice"), ROWS)
def test_at_budget_paper_a_row_is_composed_as_its_paper_has_it(
    paper: str, column: str, scale: int, experiment: str, choice: str
) -> None:
    columns = ((t, c) for t in load_paper(paper).tables for c in t.columns if c.id == column)
    table, found = next(columns)
    recipe = table.recipe_of(found)
    overrides = [f"+experiment={experiment}", choice, f"scale={scale}", "budget=paper"]
    assert deviations(recipe, compose(overrides).model_dump(), scale) == []
    small = compose([*overrides[:-1], "budget=quick"]).model_dump()
    assert deviations(recipe, small, scale)


def test_a_setting_of_another_part_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = (shipped("sweeps") / "swa.yaml").read_text("utf-8")
    path.write_text(text.replace("      training.lr:", "      trainer.lr:"), "utf-8")
    with pytest.raises(UserError, match=r"recipe.trainer.lr: a setting begins with one of data"):
        load_paper(path)
