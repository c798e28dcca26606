"""Figures of this machine: bf16 training, scoring on busy cores, the network that ships.

Everything is measured in processes of its own, with the threads a user's command would have.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

from timing import Figure, quotient

from sr_experiments.core.device import computes_bf16

_SCORE = """
import sys, time
if sys.argv[1] == "ours":
    import sr_experiments  # before torch: its workers then sleep soon
import torch
from sr_experiments.metrics.scoring import score_image
image = torch.randint(0, 256, (3, 480, 480), dtype=torch.uint8)
times = []
for _ in range(21):
    begin = time.perf_counter()
    score_image(image, image.roll(1, 2), 2)
    times.append(time.perf_counter() - begin)
print(sorted(times)[10])
"""
_SHIPPED = """
import json
from sr_experiments.ship import measure_speed
from sr_experiments.upscale.shipped import default_network
name = default_network()
print(json.dumps({"name": name} | measure_speed(name, 12).model_dump()))
"""


def fast(folder: Path, rounds: int) -> Iterator[Figure]:
    """Training by ``trainer=fast`` beside the default, in turn."""
    seconds: dict[str, list[float]] = {"cpu": [], "fast": []}
    for number in range(min(rounds, 3)):
        for trainer, measured in seconds.items():
            runs = folder / f"{trainer}{number}"
            words = [f"trainer={trainer}", f"paths.runs={runs}", "training.epochs=1"]
            command = ["-m", "sr_experiments", "logger=csv", "trainer.progress=none", *words]
            _output(command)
            (result,) = _results(runs)
            measured.append(result["training"]["seconds"])
    hardware = computes_bf16("cpu")
    yield Figure(
        "100 updates of EDSR 4x16, trainer=fast",
        median(seconds["fast"]),
        "s",
        0.8 if hardware else 1.05,
        peer=median(seconds["cpu"]),
        peer_name="trainer=cpu",
        ratio=quotient(seconds["fast"], seconds["cpu"]),
        of_ratio=True,
        note=f"bf16 in hardware: {'yes' if hardware else 'no, hence fp32'}; not processor time",
    )


def busy(folder: Path, rounds: int) -> Iterator[Figure]:
    """Scoring 480x480 on quiet cores and beside a process that eats each; wall-clock time."""
    quiet, beside, untouched = [], [], []
    for _ in range(min(rounds, 5)):
        untouched.append(float(_output(["-c", _SCORE, "theirs"])))
        quiet.append(float(_output(["-c", _SCORE, "ours"])))
        with _eaters():
            beside.append(float(_output(["-c", _SCORE, "ours"])))
    figure = partial(Figure, unit="ms", of_ratio=True, note="not processor time")
    yield figure(
        "scoring 480x480, every core busy",
        1e3 * median(beside),
        target=3.0,
        peer=1e3 * median(quiet),
        peer_name="quiet",
        ratio=quotient(beside, quiet),
    )
    yield figure(
        "scoring 480x480, quiet, workers sleep",
        1e3 * median(quiet),
        target=1.03,
        peer=1e3 * median(untouched),
        peer_name="workers spin",
        ratio=quotient(quiet, untouched),
    )


def enlarging(folder: Path, rounds: int) -> Iterator[Figure]:
    """The network that ships, beside VDSR in turn, on all cores."""
    found = json.loads(_output(["-c", _SHIPPED]))
    name, seconds, frames = found["name"], found["seconds"], found["frames"]
    yield Figure(
        f"{name}, 1280x720 to 2560x1440",
        seconds[name],
        "s",
        0.13,
        peer=seconds["vdsr"],
        peer_name="VDSR",
        ratio=seconds[name] / seconds["vdsr"],
        of_ratio=True,
        note=f"{found['machine']}; not processor time",
    )
    yield Figure(
        f"{name}, 640x360 to 1280x720", frames[name], "frames/s", 24, True, note=found["machine"]
    )


@contextlib.contextmanager
def _eaters() -> Iterator[None]:
    """A process for each core that computes without end."""
    eaters = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in os.sched_getaffinity(0)
    ]
    try:
        yield
    finally:
        for eater in eaters:
            eater.kill()
            eater.wait()


def _output(arguments: list[str]) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=environment
    ).stdout


def _results(runs: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in runs.glob("*/*/result.json")]


MACHINE = {f.__name__: f for f in (fast, busy, enlarging)}
