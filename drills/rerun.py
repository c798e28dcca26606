"""Randomly chosen finished runs computed again, and compared bit by bit.

``python drills/rerun.py --runs results/desk --count 2 --seed 0`` draws runs that trained something,
composes each from its experiment, budget and seed, and computes it with its parents on one thread,
in a folder that is removed. Equal bits are promised for one type of processor and one version of
PyTorch; elsewhere the largest difference in PSNR is what counts. Exits 1 if a run could not be
computed, or differs.
"""

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

from common import places

from sr_experiments.core.errors import UserError
from sr_experiments.report.evidence.collect import collect
from sr_experiments.reproduce.experiments import Survey
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
    drawn = random.Random(arguments.seed).sample(trained, min(arguments.count, len(trained)))
    print(f"{len(drawn)} of {len(trained)} runs in {arguments.runs}, seed {arguments.seed}")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(os.environ.get("SR_DATA", "data")).resolve()
        os.environ.update(places(Path(folder)) | {"SR_DATA": str(data)})
        equal = [compare(before) for before in drawn]
    print(f"{sum(equal)} of {len(equal)} equal bit by bit")
    return 0 if all(equal) else 1


def compare(before: Run) -> bool:
    """Compute a run again; whether all its numbers are the same."""
    name = f"{before.directory.parent.name}/{before.directory.name}"
    words = [f"budget={before.budget}", f"seed={before.seed}", "logger=csv", "trainer.threads=1"]
    try:
        planned = Survey().stage(before.experiment, words).runs
        if before.identity not in planned:
            print(f"{name}: other images, or the config has changed since; not compared")
            return False
        directory = run(planned[before.identity].config).directory
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
