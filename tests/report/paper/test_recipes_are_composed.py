"""At ``budget=paper`` each row of each table is composed as its paper's recipe says."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from sr_experiments.config.compose import compose, parent_config
from sr_experiments.config.instantiate import build_network
from sr_experiments.config.schema import RunConfig
from sr_experiments.core.errors import UserError
from sr_experiments.report.evidence.deviations import deviations
from sr_experiments.report.evidence.groups import BUDGETS, holds
from sr_experiments.report.paper.load import load_paper, papers
from sr_experiments.reproduce.experiments import stage_sweep
from sr_experiments.runs.identity import flat, relevant
from sr_experiments.runs.records import NetworkRecord, Run


def composed(experiment: str, budget: str = "paper") -> Iterator[tuple[Run, RunConfig]]:
    """The configs of an experiment's jobs, then of their parents, as runs without results."""
    configs = []
    for job in stage_sweep(experiment, [f"budget={budget}"]).jobs:
        try:
            configs.append(compose(job))
        except UserError:  # a combination of the sweep that cannot be
            continue
    for config in configs:  # which grows by the parents
        configs += [parent_config(config, "start")] if config.start else []
        if config.teacher and config.choices["method"] not in ("supervised", "none"):
            configs.append(parent_config(config, "teacher", method="supervised"))
        with torch.device("meta"):
            network = build_network(config.model)
        record = NetworkRecord(name=type(network).__name__, size=network.size, parameters=0)
        settings = flat(relevant(config))
        yield (
            Run(
                Path(), "", config.name, config.choices, settings, config.scale, 0, record, None,
                {}, datetime.now(UTC),
            ),
            config,
        )  # fmt: skip


@pytest.mark.parametrize("name", papers())
def test_each_row_is_composed_as_its_paper_says(name: str) -> None:
    paper, known = load_paper(name), {}
    for table in paper.tables:
        for column in table.columns:
            recipe = table.recipe_of(column)
            assert recipe, f"{table.id} {column.id} has no recipe"
            for experiment in dict.fromkeys([table.experiment, *paper.stages]):
                if experiment not in known:
                    known[experiment] = list(composed(experiment))
                rows = [config for run, config in known[experiment] if holds(run, column.where)]
                if rows:
                    break
            assert rows, f"{table.id}: no experiment trains {column.id}"
            for config in rows:
                found = deviations(recipe, config.plain(), config.scale)
                assert not found, f"{table.id} {column.id} x{config.scale}"


@pytest.mark.parametrize("budget", BUDGETS)
def test_columns_that_name_sizes_have_runs_at_each_budget(budget: str) -> None:
    runs = [run for run, _ in composed("distillation_sweep", budget)]
    for table in load_paper("distillation").tables:
        for column in table.columns:
            assert any(holds(run, column.where) for run in runs), (table.id, column.id)
