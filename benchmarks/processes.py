"""Figures of whole processes: their processor time and memory."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from figures import photograph
from PIL import Image
from rich.console import Console
from timing import Figure, alternate, quotient

from sr_experiments.data.sources import find_images
from sr_experiments.data.store import open_pairs
from sr_experiments.imaging.io import read_image
from sr_experiments.reproduce.estimate import TimeEstimate
from sr_experiments.reproduce.experiments import Survey
from sr_experiments.runs.run import run as carry_out


def used(work: Callable[[], object]) -> float:
    """Processor seconds of the processes that ``work`` starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def start(folder: Path, rounds: int) -> Iterator[Figure]:
    """Commands that only print, a run without training, and the cost of one more job of a sweep."""
    python, rounds = [sys.executable], min(rounds, 5)
    image = folder / "tiny"
    image.mkdir()
    Image.fromarray(photograph(48, 48)).save(image / "a.png")
    run = [f"benchmarks.sets=[{image}]", "model=bicubic", f"paths.runs={folder}/bicubic/{{}}"]
    compared = (
        ("--help", ["-m", "sr_experiments", "--help"], "import hydra", 2.5),
        ("--cfg job", ["-m", "sr_experiments", "--cfg", "job"], "import hydra", None),
        ("run of bicubic on 48x48", ["-m", "sr_experiments", *run], "import torch, lightning", 1.5),
    )
    for name, words, base, wanted in compared:
        ours, theirs = [], []
        for number in range(rounds):
            command = [*python, *(word.format(number) for word in words)]
            ours.append(used(partial(subprocess.run, command, check=True, capture_output=True)))
            theirs.append(used(partial(subprocess.run, [*python, "-c", base], check=True)))
        yield Figure(
            f"start of {name}",
            median(ours),
            "s",
            wanted,
            peer=median(theirs),
            peer_name=base,
            ratio=quotient(ours, theirs),
            of_ratio=True,
        )
    commands = ("data", "downscale", "report", "reproduce", "score", "serve", "speed", "upscale")
    slowest = 0.0
    for command in commands:
        call = [*python, "-m", f"sr_experiments.{command}", "--help"]
        work = partial(subprocess.run, call, check=True, capture_output=True)
        slowest = max(slowest, median(used(work) for _ in range(rounds)))
    yield Figure("start of the slowest other --help", slowest, "s", 0.3)
    overrides = [
        "budget=smoke",
        "logger=wandb",
        "trainer.progress=none",
        f"paths.runs={folder}/runs",
    ]
    command = [sys.executable, "-m", "sr_experiments", "-m", *overrides, "trainer.threads=1"]
    more, seed = [], 0
    for _ in range(min(rounds, 3)):
        taken = []
        for jobs in (1, 5):
            seeds = ",".join(str(seed + i) for i in range(jobs))
            work = partial(
                subprocess.run, [*command, f"seed={seeds}"], check=True, capture_output=True
            )
            taken.append(used(work))
            seed += jobs
        more.append((taken[1] - taken[0]) / 4)
    note = "with its 8 updates and its scores; W&B offline"
    yield Figure("one more job of a sweep", median(more), "s", 1.0, note=note)


def plan(folder: Path, rounds: int) -> Iterator[Figure]:
    """The plan of all papers, once; and what it says of a training beside what that takes."""
    arguments = ["logger=csv", f"paths.runs={folder}/runs"]
    command = [sys.executable, "-m", "sr_experiments.reproduce", "--plan", *arguments]
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    began = time.perf_counter()
    subprocess.run([*command, "budget=paper"], check=True, capture_output=True, env=environment)
    seconds = time.perf_counter() - began
    yield Figure("plan of five papers, budget=paper", seconds, "s", 60, note="not processor time")
    work = Survey().work([*arguments, "trainer.progress=none", "training.epochs=3"])
    found = TimeEstimate(torch.device("cpu"))
    for _ in found.measure({work.identity: work}, {work.identity: work}):
        pass
    said = found.seconds(work)
    carry_out(work.config, Console(quiet=True))
    trained = work.directory.result().training
    took = trained.seconds if trained and trained.seconds else 0.0
    off = max(said / took, took / said)
    yield Figure("plan's error, EDSR 4x16, 300 updates", off, "times", 1.25, note=f"{took:.0f} s")


def store(folder: Path, rounds: int) -> Iterator[Figure]:
    """First use of images compared with decoding alone, second use of 800, and memory."""
    large, count = folder / "large", 24
    large.mkdir()
    image = photograph(1344, 2040)
    for index in range(count):
        Image.fromarray(np.roll(image, 16 * index, axis=1)).save(large / f"{index:04}.png")
    caches = iter(range(10**6))

    def first() -> None:
        cache = folder / f"cache{next(caches)}"
        open_pairs(find_images(str(large), folder, cache), 2, cache)

    works = [(first, 1), (lambda: [read_image(path) for path in sorted(large.iterdir())], 1)]
    opened, decoded = alternate(works, min(rounds, 3))
    share = median(d / o for d, o in zip(decoded, opened, strict=True))
    note = f"{share:.0%} of it is PNG decoding; the rest is hashing, the bicubic and writing"
    yield Figure(
        "first use of an image of 2040x1344", 1e3 * median(opened) / count, "ms", note=note
    )

    small, cache = folder / "small", folder / "cache"
    small.mkdir()
    for index in range(800):
        Image.fromarray(image[index : index + 96, :96]).save(small / f"{index:04}.png")
    open_pairs(find_images(str(small), folder, cache), 2, cache)
    (again,) = alternate(
        [(lambda: open_pairs(find_images(str(small), folder, cache), 2, cache), 1)], rounds
    )
    yield Figure("second use of 800 images", median(again), "s", 1.0)

    code = (
        "import resource, sys; from pathlib import Path;"
        "from sr_experiments.data.sources import find_images;"
        "from sr_experiments.data.store import open_pairs; base = Path(sys.argv[1]);"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "open_pairs(find_images(sys.argv[1], base, Path(sys.argv[2])), 2, Path(sys.argv[2]));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    command = [sys.executable, "-c", code, str(large), str(folder / "fresh")]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    yield Figure(f"memory of a first use, {count} of 2040x1344", float(output), "MiB", 2048)


def inference(folder: Path, rounds: int) -> Iterator[Figure]:
    """EDSR-baseline x2 on an image of 2040x1344: once, as it takes a minute or two."""
    code = (
        "import resource, sys, torch; torch.set_num_threads(1);"
        "from sr_experiments.upscale.upscaler import Upscaler;"
        "from sr_experiments.models.edsr import EDSR;"
        "Upscaler(EDSR(2), 2).frames(torch.zeros(1, 3, 1344, 2040, dtype=torch.uint8));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    run = partial(subprocess.run, check=True, capture_output=True, text=True)
    output: list[str] = []
    seconds = used(lambda: output.append(run([sys.executable, "-c", code]).stdout))
    note = f"{seconds:.0f} s, one thread"
    yield Figure("memory of 2040x1344 x2 by EDSR 16x64", float(output[0]), "MiB", 4096, note=note)


def write_runs(folder: Path, count: int) -> None:
    """Copy tiny runs until there are ``count``, each with an identity and a seed of its own."""
    overrides = [
        "budget=smoke",
        "logger=csv",
        "trainer.progress=none",
        "+experiment=activation_sweep",
    ]
    command = [sys.executable, "-m", "sr_experiments", "-m", *overrides, f"paths.runs={folder}"]
    subprocess.run(
        command, check=True, capture_output=True, env=os.environ | {"SR_REPORT": f"{folder}-first"}
    )
    originals = sorted(path for path in folder.glob("*/*") if (path / "result.json").exists())
    for number in range(count - len(originals)):
        original = originals[number % len(originals)]
        copy = original.with_name(f"{original.name[:-8]}{number:08x}")
        copy.mkdir()
        identity = f"{number:08x}{0:056x}"
        for file in original.iterdir():
            if file.is_file():
                (copy / file.name).write_bytes(file.read_bytes())
        for name in ("result.json", "status.json"):
            content = json.loads((copy / name).read_text())
            content["identity"] = identity
            if name == "result.json":
                content["seed"] = content["settings"]["seed"] = 1 + number
            (copy / name).write_text(json.dumps(content))


PROCESSES = {f.__name__: f for f in (start, plan, store, inference)}
