"""How long runs take on this device.

Each kind of network is timed once, and everything else is scaled by multiply-adds. Runs like one
that has finished here take its seconds.
"""

import json
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from PIL import Image

from sr_experiments.core.device import device_name
from sr_experiments.core.errors import UserError
from sr_experiments.metrics.scores import Scores
from sr_experiments.models.bicubic import Bicubic
from sr_experiments.models.complexity import HEIGHT, WIDTH, multiply_adds
from sr_experiments.models.network import upscale
from sr_experiments.reproduce.step_time import BUSY, StepTime, time_steps
from sr_experiments.runs.assembly import module_of, network_of
from sr_experiments.runs.plan import Plan
from sr_experiments.runs.records import NetworkRecord

#: Seconds that a run takes to start, and with W&B also to end.
START, DASHBOARD = 0.7, 1.5
#: Seconds after which no further network is timed.
LIMIT = 30.0
#: Multiply-adds of a timed update on a CPU; that of a large network is larger.
_CPU_STEP = 2e10


class TimeEstimate:
    """Seconds of runs on a device.

    Args:
        device: they are computed on.

    Attributes:
        timed: kind of network -> what its update takes.
        finished: kind of run -> seconds of an update in one that has finished on this device,
            validation included.
        refused: kind of network -> why it cannot be built.
        untimed: networks that there was no time for; they are taken to compute as fast as others.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        #: As results name it.
        self.name = device_name(device)
        self.timed: dict[str, StepTime] = {}
        self.finished: dict[str, float] = {}
        self.refused: dict[str, str] = {}
        self.untimed = 0
        self._networks: dict[str, tuple[NetworkRecord, bool]] = {}

    def measure(self, runs: Mapping[str, Plan], ahead: Mapping[str, Plan]) -> Iterator[float]:
        """Look at finished runs and time what is left; yields the share that is done.

        Args:
            runs: all of them, by identity.
            ahead: those that are not done.
        """
        began = time.monotonic()
        for work in runs.values():
            record = work.directory.result() if work.done else None
            if record and record.training and record.device == self.name:
                seconds, updates = record.training.seconds, record.training.updates_timed
                if seconds and updates:
                    self.finished[_like(work)] = seconds / updates
        # Of each kind the run with most updates, and these first.
        by_size = sorted(runs.values(), key=lambda w: (w.identity in ahead, w.config.updates))
        kinds = {_kind(work): work for work in by_size}
        waiting = {_kind(w) for w in ahead.values() if w.trained and _like(w) not in self.finished}
        for number, (kind, work) in enumerate(reversed(kinds.items())):
            yield number / len(kinds)
            try:
                self.network(work)
                if kind in waiting and time.monotonic() - began < LIMIT:
                    self.timed[kind] = self._time(work)
                elif kind in waiting:
                    self.untimed += 1
            except UserError as error:
                self.refused[kind] = str(error).splitlines()[0]

    def is_refused(self, work: Plan) -> bool:
        """Whether a run's network cannot be built."""
        return _kind(work) in self.refused

    def network(self, work: Plan) -> NetworkRecord:
        """A run's network.

        Raises:
            UserError: it cannot be built.
        """
        return self._network(work)[0]

    def update(self, work: Plan) -> float | None:
        """Seconds of an update; ``None`` where nothing is trained."""
        if not work.trained:
            return None
        if (measured := self.finished.get(_like(work))) is not None:
            return measured
        step, training = self._step(work), work.config.training
        passes = step.fixed + step.each * self._work(work, training.batch_size)
        return training.accumulate * passes

    def seconds(self, work: Plan) -> float:
        """How long a run takes from its start to its scores."""
        config, training, method = work.config, work.config.training, work.config.method or {}
        total = START + _pixels(work, "benchmark") * self._scored_pixel(work)
        if not work.trained:
            return total
        total += DASHBOARD if "wandb" in str((config.logger or {}).get("_target_")) else 0.0
        total += config.updates * (self.update(work) or 0.0)
        if _like(work) not in self.finished:
            looks = training.epochs // training.validate_every
            total += looks * _pixels(work, "val") * self._scored_pixel(work)
        if "teacher" in work.parents and method.get("cached"):
            asked = self._a_pixel(work.parents["teacher"]) * self._step(work).each
            total += _pixels(work, "train") * asked
        return total

    def remarks(self, ahead: Mapping[str, Plan]) -> list[str]:
        """What the times rest on, how wrong they can be, and what is not in them."""
        runs = [work for work in ahead.values() if work.trained and not self.is_refused(work)]
        measured = sum(_like(work) in self.finished for work in runs)
        said = []
        if measured:
            said += [f"{measured} of {len(runs)} trainings take what finished ones took here."]
        if self.timed:
            said += [
                "Times are scaled by multiply-adds from a few updates of "
                f"{len(self.timed)} networks, timed just now: they can be wrong by a quarter, and "
                "by half where a batch was too large to be timed whole."
            ]
        if self.untimed:
            said += [f"{self.untimed} more networks were not timed, but taken to be as fast."]
        busy = sum(step.busy for step in self.timed.values())
        wall = sum(step.wall for step in self.timed.values())
        if self.device.type == "cpu" and busy < BUSY * wall:
            said += [
                f"This machine is busy: other processes took {1 - busy / wall:.0%} of the time of "
                "these updates. The times are those of a quiet one."
            ]
        return [
            *said,
            *(f"Not in these times: {why}" for why in dict.fromkeys(self.refused.values())),
        ]

    def _network(self, work: Plan) -> tuple[NetworkRecord, bool]:
        """With whether it enlarges luma, as its authors' demos do once more to score it."""
        key = json.dumps(dict(work.config.model), sort_keys=True)
        if key not in self._networks:
            made = network_of(work.config.model, "model")
            record = NetworkRecord(
                name=type(made).__name__,
                size=made.size,
                parameters=made.parameter_count,
                multiply_adds=multiply_adds(made),
            )
            self._networks[key] = record, made.colour == "y"
        return self._networks[key]

    def _a_pixel(self, work: Plan) -> float:
        """Multiply-adds of a network for a pixel of its output."""
        return (self.network(work).multiply_adds or 0) / (HEIGHT * WIDTH)

    def _work(self, work: Plan, images: int, side: int | None = None) -> float:
        """Multiply-adds of an update: backwards is twice as much as forwards."""
        a_pixel, teacher = 3 * self._a_pixel(work), work.parents.get("teacher")
        if teacher and not (work.config.method or {}).get("cached"):
            a_pixel += self._a_pixel(teacher)
        scales = (work.config.training.scales or ()) if side is None else ()
        sides = [s * (side or work.config.lr_patch(s)) for s in scales or (work.config.scale,)]
        return a_pixel * images * fmean(side**2 for side in sides)

    def _time(self, work: Plan) -> StepTime:
        config, images = work.config, work.config.training.batch_size
        parent, network = work.parents.get("teacher"), network_of(config.model, "model")
        teacher = network_of(parent.config.model, "teacher") if parent else None
        module = module_of(config, network, teacher, updates=max(1, config.updates))
        side, least = config.lr_patch(), 2 if teacher else 1
        sizes = [(images, side)]
        if self.device.type == "cpu" and self._work(work, images, side) > _CPU_STEP:
            images = max(least, int(images * _CPU_STEP / self._work(work, images, side)))
            while side > 12 and self._work(work, images, side) > _CPU_STEP:
                side -= 2
            sizes = [(least, 8), (images, side)]  # some losses compare the images of a batch
        batches = [(n, s, config.scale, self._work(work, n, s)) for n, s in sizes]
        return time_steps(module, config.trainer, batches)

    def _step(self, work: Plan) -> StepTime:
        """Of this kind of network or, where it was not timed, of all."""
        steps = list(self.timed.values()) or [StepTime(0.0, 2e-11)]
        mean = StepTime(fmean(s.fixed for s in steps), fmean(s.each for s in steps))
        return self.timed.get(_kind(work), mean)

    def _scored_pixel(self, work: Plan) -> float:
        """Seconds to enlarge and score a pixel of a ground truth with each kind of weights."""
        times = (2 if self._network(work)[1] else 1) * self._a_pixel(work)
        enlarged = times * self._step(work).each
        return (2 if work.config.averaging else 1) * (enlarged + _scoring(self.device))


def here(accelerator: str) -> TimeEstimate:
    """An estimate for the device that a run with this ``trainer.accelerator`` gets here."""
    gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return TimeEstimate(torch.device("cuda" if gpu else "cpu"))


@lru_cache
def _scoring(device: torch.device) -> float:
    """Seconds to enlarge a pixel by bicubic and to score it under every protocol."""
    hr = torch.randint(0, 256, (1, 3, 480, 480), dtype=torch.uint8, device=device)
    lr, times = hr[..., ::2, ::2].contiguous(), []
    for _ in range(3):
        began = time.perf_counter()
        Scores(1).to(device).update(0, upscale(Bicubic(2), lr)[0], hr[0], 2, hr[0, :1])
        times.append(time.perf_counter() - began)
    return min(times) / 480**2


def _pixels(work: Plan, role: str) -> int:
    """Pixels of all ground truths of a role: ``train``, ``val`` or ``benchmark``."""
    found = [files for key, files in work.images.items() if key.partition("/")[0] == role]
    return sum(_measured(path) for files in found for path in files.paths)


@lru_cache(maxsize=10_000)
def _measured(path: Path) -> int:
    with Image.open(path) as image:  # reads the header alone
        return image.width * image.height


def _kind(work: Plan) -> str:
    """What runs must have in common to take the same time for a multiply-add."""
    config = work.config
    models = [config.model, *(p.config.model for r, p in work.parents.items() if r == "teacher")]
    alike: list[Any] = [{k: v for k, v in model.items() if k != "scale"} for model in models]
    alike += [{k: v for k, v in (config.method or {}).items() if k != "teacher"}]
    return json.dumps([alike, config.trainer.precision], sort_keys=True)


def _like(work: Plan) -> str:
    """What runs must have in common to take the same time for an update, validation included."""
    config = work.config
    training = config.training.model_dump(exclude={"epochs", "recipe_epochs", "lr"})
    alike = [_kind(work), config.scale, training, config.data.model_dump(), config.averaging]
    return json.dumps(alike, sort_keys=True, default=str)
