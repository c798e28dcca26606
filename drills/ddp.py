"""Every technique, trained by one process and by two that share its batch.

``python drills/ddp.py`` trains each for 50 updates and compares the loss of every update, all
scores and the files. Exits 1 if a loss differs by more than 1e-5 of itself, a PSNR by more than
1e-4 dB, or a file is missing or left over. In double precision: in single precision rounding alone
grows to 2e-5 within 50 updates of VDSR's recipe, whose rate is 0.1.
"""

import argparse
import csv
import sys
import tempfile
from pathlib import Path

from common import command

#: Loss, as a share of itself; PSNR in dB.
LOSS, PSNR = 1e-5, 1e-4
UPDATES = 50
EACH = [
    *(
        "trainer.precision=64-true",
        "budget=smoke",
        "logger=csv",
        "trainer.threads=1",
        "benchmarks.save_images=false",
    ),
    *("training.updates_per_epoch=1", f"training.epochs={UPDATES}", "training.batch_size=4"),
    *(f"training.validate_every={UPDATES}", "training.lr=1e-3"),
]
TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
TEACHER = ["teacher={seed: 1}"]
TECHNIQUES = {
    "plain": [],
    "mish": ["activation=mish"],
    "deconvolution": ["convolution=deconvolution"],
    "weight averaging": ["averaging=swa", "averaging.begin=0"],
    "moving average": ["averaging=ema", "averaging.decay=0.9"],
    "averaging with deconvolution": [
        "averaging=swa",
        "averaging.begin=0",
        "convolution=deconvolution",
    ],
    "contrastive, L1": ["method=contrastive_l1", *TEACHER],
    "contrastive, cosine": ["method=contrastive_cosine", *TEACHER],
    "FAKD": ["method=fakd", *TEACHER],
    "LSFD": ["method=lsfd", *TEACHER],
    "FitNet": ["method=fitnet", *TEACHER],
    "output L1": ["method=output_l1", *TEACHER],
    "adjustable clipping": ["recipe=vdsr", "training.lr=0.1"],
    "clipping by norm": ["clipping=norm", "clipping.value=0.1"],
    "SRCNN by its recipe": ["recipe=srcnn"],
    "batch normalisation": ["model.batch_norm=true"],
    "RCAN": ["model=rcan"],
    "accumulated": ["training.accumulate=2"],
}


def main() -> int:
    """Run the drill."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="techniques (default: all)")
    names = parser.parse_args().names or list(TECHNIQUES)
    good = 0
    for name in names:
        with tempfile.TemporaryDirectory(prefix="sr-drill-") as folder:
            trouble = compare(Path(folder), TECHNIQUES[name])
        good += not trouble
        print(f"{name:30} {trouble or 'the same'}", flush=True)
    print(f"{good} of {len(names)} techniques train the same in two processes")
    return 0 if good == len(names) else 1


def compare(folder: Path, words: list[str]) -> str:
    """What differs between one process and two; empty if nothing does."""
    runs = []
    for place, more in (("one", ["trainer=cpu"]), ("two", TWO)):
        outcome = command([*EACH, *words, *more], folder / place)
        if outcome.returncode:
            return f"{place}: {outcome.stderr.strip().splitlines()[-1]}"
        runs.append(sorted((folder / place / "runs").glob("*/*/result.json")))
    if [p.parent.name for p in runs[0]] != [p.parent.name for p in runs[1]]:
        return "other directories"
    worst_loss = worst_psnr = 0.0
    for one, two in zip(*runs, strict=True):
        files = [
            sorted(str(p.relative_to(r.parent)) for p in r.parent.rglob("*")) for r in (one, two)
        ]
        if files[0] != files[1]:
            return f"other files: {set(files[0]) ^ set(files[1])}"
        for a, b in zip(
            column(one, "history.csv", "train_loss"),
            column(two, "history.csv", "train_loss"),
            strict=True,
        ):
            worst_loss = max(worst_loss, abs(a - b) / abs(a))
        for a, b in zip(
            column(one, "scores.csv", "psnr"), column(two, "scores.csv", "psnr"), strict=True
        ):
            worst_psnr = max(worst_psnr, abs(a - b))
    figures = f"loss {worst_loss:.1e} of itself, PSNR {worst_psnr:.1e} dB"
    print(f"  {figures}", flush=True)
    return "" if worst_loss <= LOSS and worst_psnr <= PSNR else f"differs: {figures}"


def column(result: Path, file: str, name: str) -> list[float]:
    """The numbers of a column; empty where there is no such file."""
    path = result.with_name(file)
    if not path.exists():
        return []
    with path.open() as lines:
        return [float(row[name]) for row in csv.DictReader(lines)]


if __name__ == "__main__":
    sys.exit(main())
