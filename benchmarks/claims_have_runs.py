"""Whether the columns of every claim of `sweeps/` are trained by its paper's experiments.

`python benchmarks/claims_have_runs.py [BUDGET ...]` composes all jobs, which takes minutes, trains
nothing, and prints each claim whose columns do not meet in one table at each of its scales.
"""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import torch

from sr_experiments.config.compose import compose, parent_config
from sr_experiments.config.schema import RunConfig
from sr_experiments.core.errors import UserError
from sr_experiments.report.evidence.groups import holds, split
from sr_experiments.report.paper.claims import BICUBIC
from sr_experiments.report.paper.load import load_paper, papers
from sr_experiments.reproduce.experiments import stage_sweep
from sr_experiments.runs.assembly import network_of
from sr_experiments.runs.identity import flat, relevant
from sr_experiments.runs.records import NetworkRecord, Run, TrainingRecord


def configs(experiment: str, budget: str) -> Iterator[RunConfig]:
    """Those of an experiment's jobs and of the parents that they begin with or learn from."""
    for overrides in stage_sweep(experiment, [f"budget={budget}"]).jobs:
        try:
            config = compose(overrides)
        except UserError:  # a combination that the sweep contains and that cannot be
            continue
        yield config
        for role in ("start", "teacher"):
            if getattr(config, role):
                yield parent_config(config, role)


def as_run(config: RunConfig) -> Run:
    """A run without scores, as the report would read it."""
    with torch.device("meta"):
        network = network_of(config.model, "model")
    training = TrainingRecord(
        data="data",
        images=1,
        updates=config.updates,
        batch_size=config.training.batch_size,
        patch_size=config.training.patch_size,
        precision=config.trainer.precision,
    )
    return Run(
        directory=Path(),
        identity=repr(relevant(config)),
        experiment=config.name,
        choices=config.choices,
        settings=flat(relevant(config)),
        scale=config.scale,
        seed=config.seed,
        network=NetworkRecord(
            name=type(network).__name__, size=network.size, parameters=network.parameter_count
        ),
        training=training if config.is_trained else None,
        scores={},
        ended=datetime.now(UTC),
    )


def unmet(name: str, budget: str) -> Iterator[str]:
    """Claims of a paper, each with its scales and those at which its columns meet."""
    paper = load_paper(name)
    runs = {
        (run.identity, run.experiment): run
        for experiment in (*paper.stages, *paper.further)
        for run in map(as_run, configs(experiment, budget))
    }.values()
    for claim in paper.claims:
        table = paper.table(claim.table)
        columns = [c for c in (claim.column, *claim.others) if c != BICUBIC]
        matched = {c.id: [r for r in runs if holds(r, c.where)] for c in table.columns}
        if table.best_of is not None:  # which is best only curves tell; any one stands for it
            matched = {
                c: list({r.scale: r for r in found}.values()) for c, found in matched.items()
            }
        found = {
            scale
            for group in split(table, matched)
            for scale in claim.scales
            if all(any(r.scale == scale for r in group.runs.get(c, ())) for c in columns)
        }
        if found != set(claim.scales):
            yield f"{name}: {claim.id}: scales {claim.scales}, found {sorted(found)}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("budgets", nargs="*", default=["paper"], metavar="BUDGET")
    budgets = parser.parse_args().budgets
    lines = [line for budget in budgets for name in papers() for line in unmet(name, budget)]
    print("\n".join(lines) or "every claim has its runs")
    raise SystemExit(bool(lines))
