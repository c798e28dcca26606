"""Randomly chosen finished runs computed again, and compared bit by bit.

``python drills/rerun.py --runs results/desk --count 2 --seed 0`` composes every run that trained
something from its experiment, budget and seed, and names those that would be other runs today. Of
the others it draws some, and computes them with their parents on one thread, in a folder that is
removed. Equal bits are promised for one type of processor and one version of PyTorch; elsewhere
the largest difference in PSNR is what counts. Exits 1 if a run would be another one today, could
not be computed, or differs.
"""

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from common import places

from sr_experiments.core.errors import UserError
from sr_experiments.report.evidence.collect import collect
from sr_experiments.reproduce.experiments import Survey
from sr_experiments.runs.plan import Plan
from sr_experiments.runs.records import HISTORY, SCORES, Run
from sr_experiments.runs.run import run


def main() -> int:
    """Run the drill."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("results/desk"))
    parser.add_argument("--count", type=int, default=2, help="runs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice (default: %(default)s)")
    arguments = parser.parse_args()
    trained = [run for run in collect(arguments.runs).runs if run.training]
    if not trained:
        parser.error(f"--runs {arguments.runs}: holds no finished run that trained anything")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(os.environ.get("SR_DATA", "data")).resolve()
        os.environ.update(places(Path(folder)) | {"SR_DATA": str(data)})
        plans = planned(trained)
        current = [run for run in trained if run.identity in plans]
        for run in trained:
            if run.identity not in plans:
                print(f"{run.directory}: other images, or its config has changed since")
        drawn = random.Random(arguments.seed).sample(current, min(arguments.count, len(current)))
        print(f"{len(drawn)} of {len(current)} runs, drawn with seed {arguments.seed}")
        equal = [compare(before, plans[before.identity]) for before in drawn]
    print(f"{sum(equal)} of {len(equal)} equal bit by bit")
    return 0 if all(equal) and len(current) == len(trained) else 1


def planned(runs: Sequence[Run]) -> dict[str, Plan]:
    """All runs of the experiments, budgets and seeds of these, as composed today, by identity."""
    survey, found = Survey(), {}
    for experiment, budget, seed in sorted({(r.experiment, r.budget, r.seed) for r in runs}):
        words = [f"budget={budget}", f"seed={seed}", "logger=csv", "trainer.threads=1"]
        found |= survey.stage(experiment, words).runs
    return found


def compare(before: Run, plan: Plan) -> bool:
    """Compute a run again; whether all its numbers are the same."""
    name = f"{before.directory.parent.name}/{before.directory.name}"
    try:
        directory = run(plan.config).directory
    except UserError as error:
        print(f"{name}: {error}")
        return False
    files = [file for file in (SCORES, HISTORY) if (before.directory / file).exists()]
    if all((before.directory / f).read_bytes() == (directory / f).read_bytes() for f in files):
        print(f"{name}: equal ({', '.join(files)})")
        return True
    after = next(r for r in collect(directory.parents[1]).runs if r.identity == before.identity)
    furthest = max(
        (
            abs(score.psnr - after.scores[key][image].psnr)
            for key, images in before.scores.items()
            for image, score in images.items()
        ),
        default=float("nan"),
    )
    print(f"{name}: differs, by at most {furthest:.2g} dB of an image's PSNR")
    return False


if __name__ == "__main__":
    sys.exit(main())
