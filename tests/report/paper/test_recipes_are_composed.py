"""At ``budget=paper`` each row of each table is composed as its paper's recipe says."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sr_experiments.config.compose import compose
from sr_experiments.core.errors import UserError
from sr_experiments.report.evidence.deviations import deviations
from sr_experiments.report.evidence.groups import holds
from sr_experiments.report.paper.load import load_paper, papers
from sr_experiments.reproduce.experiments import stage_sweep
from sr_experiments.runs.identity import flat, relevant
from sr_experiments.runs.records import Run


def composed(experiment):
    """The configs of an experiment's jobs, each as a run without results."""
    for job in stage_sweep(experiment, ["budget=paper"]).jobs:
        try:
            config = compose(job)
        except UserError:  # a combination of the sweep that cannot be
            continue
        settings = flat(relevant(config))
        run = Run(
            Path(), "", config.name, config.choices, settings, config.scale, 0, None, None, {},
            datetime.now(UTC),
        )  # fmt: skip
        yield run, config


@pytest.mark.parametrize("name", papers())
def test_each_row_is_composed_as_its_paper_says(name):
    paper, known = load_paper(name), {}
    for table in paper.tables:
        for column in table.columns:
            recipe = table.recipe_of(column)
            if not recipe:
                continue
            where = {k: v for k, v in column.where.items() if not k.startswith(("network", "train"))}
            for experiment in dict.fromkeys([table.experiment, *paper.stages]):
                if experiment not in known:
                    known[experiment] = list(composed(experiment))
                rows = [config for run, config in known[experiment] if holds(run, where)]
                if rows:
                    break
            assert rows, f"{table.id}: no experiment trains {column.id}"
            for config in rows:
                found = deviations(recipe, config.plain(), config.scale)
                assert not found, f"{table.id} {column.id} x{config.scale}"
    assert known, "no recipe was compared"
