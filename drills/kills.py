"""Faults at random moments of a run and of a sweep, each compared with an undisturbed one.

``python drills/kills.py --count 200 --seed 0`` starts the suite, and kills it, asks it to end, or
lets its disk run full: half SIGKILL, a quarter SIGTERM, a quarter a full disk (a tmpfs, which needs
root). The moment is random within a stage: start-up, decoding of images, training and validation,
checkpoint, results. Then the same command is run again. Survived has who ends well then, with the
bits of the undisturbed run, without a traceback on the way, half-written files or processes left.
Exits 1 if any has not.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common import command, start

RUN = [
    *("budget=smoke", "logger=csv", "trainer.threads=1", "benchmarks.save_images=false"),
    *("training.epochs=4", "training.updates_per_epoch=20", "training.checkpoint_every=7"),
    *("activation=prelu", "averaging=ema", "averaging.decay=0.9", "start={seed: 7}"),
]
KINDS = {"run": RUN, "sweep": ["-m", "hydra/launcher=joblib", "seed=0,1", *RUN]}
FAULTS = ("SIGKILL", "SIGKILL", "SIGTERM", "full disk")
#: What has to be there for a stage to have begun, and the seconds in which the fault comes then.
STAGES = {
    "start-up": ("", 4.0),
    "decoding": ("cache/**/.*", 0.3),
    "training": ("runs/*/*/history.csv", 2.0),
    "checkpoint": ("runs/*/*/checkpoints/.last.ckpt*", 0.02),
    "results": ("runs/*/*/checkpoints/.weights*", 0.3),
}
SAME = ("scores.csv", "history.csv", "checkpoints/*.safetensors")
DISK = 64 * 2**20


@dataclass(frozen=True)
class Trial:
    """One fault."""

    number: int
    kind: str
    fault: str
    stage: str
    chance: float


def main() -> int:
    """Run the drill."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="faults (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--jobs", type=int, default=2, help="at a time")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    trials = [
        Trial(
            number=number,
            kind=("run", "run", "sweep")[number % 3],
            fault=FAULTS[number % len(FAULTS)],
            stage=rng.choice(list(STAGES)),
            chance=rng.random(),
        )
        for number in range(options.count)
    ]
    with tempfile.TemporaryDirectory(prefix="sr-drill-") as folder:
        expected, used = {}, {}
        for kind, words in KINDS.items():
            place = Path(folder, kind)
            place.mkdir()
            outcome = command(words, place)
            if outcome.returncode:
                print(outcome.stderr, file=sys.stderr)
                return 1
            expected[kind], used[kind] = contents(place), size(place)

        def carry_out(trial: Trial) -> tuple[str, str]:
            place = Path(folder, str(trial.number))
            place.mkdir()
            return survive(place, trial, expected[trial.kind], used[trial.kind])

        survived, hit = 0, Counter[str]()
        with ThreadPoolExecutor(options.jobs) as pool:
            for trial, (trouble, how) in zip(trials, pool.map(carry_out, trials), strict=True):
                survived += not trouble
                hit[how] += 1
                name = f"{trial.kind}, {trial.fault} in {trial.stage}"
                print(f"{trial.number:4} {name:40} {how:12} {trouble}".rstrip(), flush=True)
    print(", ".join(f"{count} {how}" for how, count in hit.most_common()))
    print(f"{survived} of {len(trials)} survived, bit-identical")
    return 0 if survived == len(trials) else 1


def survive(place: Path, trial: Trial, expected: dict[str, bytes], used: int) -> tuple[str, str]:
    """What went wrong, empty if nothing did; and how the process ended at the fault."""
    words = KINDS[trial.kind]
    if trial.fault == "full disk":
        with disk(place):
            filler = place / "filler"
            filler.write_bytes(bytes(DISK - int(used * (0.05 + trial.chance))))
            outcome = command(words, place)
            how = "had room" if outcome.returncode == 0 else "failed"
            said = outcome.stdout + outcome.stderr
            filler.unlink()
            return after(place, words, expected, said), how
    process = start(words, place)
    wait_for(process, place, *STAGES[trial.stage], trial.chance)
    process.send_signal(signal.Signals[trial.fault])
    try:
        output, errors = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:  # a worker holds the pipe
        process.kill()
        return f"processes are left: {processes_in(place)}", "left"
    ended = {0: "was over", 75: "saved", -signal.SIGKILL: "killed", -signal.SIGTERM: "ended"}
    how = ended.get(process.returncode, f"exit code {process.returncode}")
    deadline = time.monotonic() + 60
    while left := processes_in(place):  # a worker ends when it has saved
        if time.monotonic() > deadline:
            return f"processes are left: {left}", how
        time.sleep(0.2)
    return after(place, words, expected, output + errors), how


def wait_for(
    process: subprocess.Popen[str], place: Path, pattern: str, within: float, chance: float
) -> None:
    """Until the stage has begun, and a random while longer."""
    while pattern and process.poll() is None and next(place.glob(pattern), None) is None:
        time.sleep(0.001)
    time.sleep(within * chance)


def after(place: Path, words: list[str], expected: dict[str, bytes], said: str) -> str:
    """Run the same command to its end; what is wrong then, empty if nothing is."""
    if "Traceback" in said:
        return said
    outcome = command(words, place)
    if outcome.returncode or "Traceback" in outcome.stderr:
        return f"the rerun failed: {outcome.stderr.strip()}"
    found = contents(place)
    if found != expected:
        names = sorted(n for n in found.keys() | expected if found.get(n) != expected.get(n))
        return f"differs: {', '.join(names)}"
    half = [str(p.relative_to(place)) for p in (place / "runs").glob("*/*/**/.*") if p.is_file()]
    return f"half-written files are left: {', '.join(half)}" if half else ""


def contents(place: Path) -> dict[str, bytes]:
    """The files that must be the same, by name."""
    files = (p for name in SAME for p in (place / "runs").glob(f"*/*/{name}"))
    return {str(p.relative_to(place)): p.read_bytes() for p in files}


def size(place: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(p.stat().st_size for p in place.rglob("*") if p.is_file())


def processes_in(place: Path) -> list[int]:
    """Processes that keep their runs there."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            mine = f"SR_RUNS={place}/".encode() in (process / "environ").read_bytes()
        except OSError:
            continue
        if mine:
            found.append(int(process.name))
    return found


@contextmanager
def disk(place: Path) -> Iterator[None]:
    """A small disk of its own."""
    options = ["-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
    subprocess.run(["mount", *options], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


if __name__ == "__main__":
    sys.exit(main())
