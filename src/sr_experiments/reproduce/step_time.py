"""What runs cost on this device: a few measured steps, and the size of everything else.

A run's time is its updates at the time of one, its validation on whole images, and a few seconds to
start. Where one step of a large network would take long, a smaller batch of smaller patches is
timed and scaled by the multiply-adds; what does not grow with the batch is timed by itself.
"""

import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from sr_experiments.config.schema import RunConfig, Trainer
from sr_experiments.data.datamodule import Batch
from sr_experiments.imaging.resize import imresize
from sr_experiments.metrics.scores import Scores
from sr_experiments.models.complexity import HEIGHT, WIDTH, multiply_adds
from sr_experiments.models.network import Network, upscale
from sr_experiments.reproduce.kinds import Facts, kind
from sr_experiments.reproduce.overhead import overhead
from sr_experiments.reproduce.sizes import pixels
from sr_experiments.runs.assembly import module_of, network_of
from sr_experiments.runs.plan import Plan
from sr_experiments.training.distillation.distilled import Distilled
from sr_experiments.training.module import Supervised

#: Seconds that a run takes beside training and scoring: to start, and with W&B also to end it.
START, DASHBOARD = 0.7, 1.5

_CPU_STEP = 1e11  # operations of a timed step on a CPU: about a second on two cores
_PATIENCE = 1.0  # seconds after which no further step is timed
_STEPS = (2, 12)  # how many are timed at least and at most, after one to warm up


@dataclass(frozen=True)
class Cost:
    """One network with its way of training, on one device.

    Attributes:
        update: seconds of one; ``None`` where nothing is trained.
        pixel: seconds to enlarge and score, for each pixel of the ground truth.
        teacher_pixel: seconds of the teacher alone for the same, where it answers beforehand.
    """

    update: float | None
    pixel: float
    teacher_pixel: float = 0.0


@dataclass
class Meter:
    """Measures each kind of run once.

    Attributes:
        device: that runs are timed on.
    """

    device: torch.device
    _facts: dict[str, Facts] = field(default_factory=dict)
    _costs: dict[str, Cost] = field(default_factory=dict)
    _scoring: dict[tuple[int, bool], float] = field(default_factory=dict)
    _overhead: float | None = None

    @property
    def name(self) -> str:
        """The device, in words."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"cpu ({torch.get_num_threads()} threads)"

    def facts(self, work: Plan) -> Facts:
        """Of a run's network.

        Raises:
            UserError: it cannot be built.
        """
        key = json.dumps(dict(work.config.model), sort_keys=True)
        if key not in self._facts:
            network = network_of(work.config.model, "model")
            name = f"{type(network).__name__} {network.size}".strip()
            self._facts[key] = Facts(name, network.parameter_count, multiply_adds(network))
        return self._facts[key]

    def cost(self, work: Plan) -> Cost:
        """What a run of this kind costs; measured when it is first asked for.

        Raises:
            UserError: the network or the method cannot be built.
        """
        key = kind(work)
        if key not in self._costs:
            with _as_in_training(work.config.trainer):
                self._costs[key] = self._measure(work)
        return self._costs[key]

    def seconds(self, work: Plan) -> float:
        """How long a run takes from its start to its scores."""
        config, cost = work.config, self.cost(work)
        logger = str((config.logger or {}).get("_target_", ""))
        total = START + cost.pixel * pixels(work, "benchmark") * _variants(config)
        if not work.trained:
            return total
        training = config.training
        epochs = training.epochs
        looks = epochs // training.validate_every
        total += DASHBOARD if "wandb" in logger.lower() else 0.0
        total += config.updates * (cost.update or 0.0)
        total += looks * cost.pixel * pixels(work, "val") * _variants(config)
        return total + cost.teacher_pixel * pixels(work, "train")

    def _measure(self, work: Plan) -> Cost:
        config = work.config
        macs = self.facts(work).multiply_adds
        network = network_of(config.model, "model")
        network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        demo = network.colour != "rgb"  # these are applied once more, as their authors' demos do
        pixel = (1 + demo) * self._enlarge(network, macs) + self._score(network.scale, demo)
        if not work.trained:
            return Cost(None, pixel)
        teacher, beforehand = None, 0.0
        if "teacher" in work.parents:
            teacher = network_of(work.parents["teacher"].config.model, "teacher").to(self.device)
            its = self.facts(work.parents["teacher"]).multiply_adds
        module = module_of(config, network, teacher).to(self.device)
        module.train()
        if isinstance(module, Distilled) and teacher is not None:
            if module.cached:
                beforehand = self._enlarge(teacher, its)
            else:
                macs += its // 3
        return Cost(self._update(work, module, macs), pixel, beforehand)

    def _update(self, work: Plan, module: Supervised, macs: int) -> float:
        """Seconds of one update; ``macs`` of what is trained, a third for what only answers."""
        config, training = work.config, work.config.training
        scales = training.scales or [config.scale]
        batch, patch = training.batch_size, training.patch_size
        optimizers = module.configure_optimizers()
        assert isinstance(optimizers, dict)
        optimizer = optimizers["optimizer"]
        steps = [
            self._step(module, optimizer, config.trainer.precision, macs, batch, patch, s)
            for s in scales
        ]
        passes = statistics.mean(passes for passes, _ in steps)
        final = statistics.mean(final for _, final in steps)
        if self._overhead is None:
            cache = config.paths.cache
            self._overhead = overhead(self.device, cache, self._bare)
        own = self._overhead
        # A GPU computes while the host prepares the next batch.
        each = max(passes, own) if self.device.type == "cuda" else passes + own
        return float(training.accumulate * each + final)

    def _step(
        self,
        module: Supervised,
        optimizer: torch.optim.Optimizer,
        precision: str,
        macs: int,
        batch: int,
        patch: int,
        scale: int,
    ) -> tuple[float, float]:
        """Seconds of the two passes of a batch, and of the optimiser."""
        count, side = self._feasible(macs, batch, patch, scale, isinstance(module, Distilled))
        patches = _patches(count, side, scale, self.device)
        times = _times(lambda: self._pass(module, patches, precision), self._now)
        share = batch * patch**2 / (count * side**2)
        final = _times(optimizer.step, self._now)
        module.zero_grad()
        return times * share, final

    def _bare(self, module: Supervised, batch: int, patch: int) -> float:
        """Seconds of a small network's update without anything around it."""
        optimizers = module.configure_optimizers()
        assert isinstance(optimizers, dict)
        optimizer = optimizers["optimizer"]

        patches = _patches(batch, patch, 2, self.device)

        def update() -> None:
            self._pass(module, patches, "32-true")
            optimizer.step()

        return _times(update, self._now)

    def _pass(self, module: Supervised, batch: Batch, precision: str) -> None:
        kind = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
        module.zero_grad()
        with torch.autocast(self.device.type, dtype=kind, enabled=kind is not None):
            loss = module.training_step(batch, 0)
        loss.backward()

    def _feasible(
        self, macs: int, batch: int, patch: int, scale: int, several: bool
    ) -> tuple[int, int]:
        """A batch and a patch that a CPU can do in about a second."""
        if self.device.type == "cuda":
            return batch, patch
        # Forwards, and twice as much backwards; two operations a multiply-add.
        a_pixel = 6 * macs * scale**2 / (HEIGHT * WIDTH)
        wanted = _CPU_STEP / a_pixel
        least = 2 if several else 1  # some losses compare the images of a batch
        count = min(batch, max(least, math.floor(wanted / patch**2)))
        side = min(patch, max(16, math.floor(math.sqrt(wanted / count))))
        return count, side

    def _enlarge(self, network: Network, macs: int) -> float:
        """Seconds for a pixel of the enlarged image."""
        wanted = _CPU_STEP / 2 / max(1.0, 2 * macs / (HEIGHT * WIDTH))
        side = max(16, min(256, math.floor(math.sqrt(wanted)) // network.scale))
        lr = torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8, device=self.device)
        training = network.training
        network.eval()
        seconds = _times(lambda: upscale(network, lr), self._now)
        network.train(training)
        return seconds / (side * network.scale) ** 2

    def _score(self, scale: int, demo: bool) -> float:
        """Seconds to score a pixel under every protocol."""
        if (scale, demo) not in self._scoring:
            hr = torch.randint(0, 256, (3, 480, 480), dtype=torch.uint8, device=self.device)
            plane = hr[:1] if demo else None

            def score() -> None:
                Scores(1).to(self.device).update(0, hr, hr.flip(1), scale, plane)

            self._scoring[scale, demo] = _times(score, self._now) / 480**2
        return self._scoring[scale, demo]

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def meter(accelerator: str) -> Meter:
    """A meter for the device that a run with this ``trainer.accelerator`` gets here."""
    gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return Meter(torch.device("cuda" if gpu else "cpu"))


def _variants(config: RunConfig) -> int:
    """How many networks are scored: with an averaging the raw and the averaged weights."""
    return 2 if config.averaging else 1


def _patches(batch: int, patch: int, scale: int, device: torch.device) -> Batch:
    """Smooth noise, so that no loss sees an image without structure."""
    hr = torch.rand(batch, 3, patch * scale, patch * scale, device=device)
    lr = imresize(hr, 1 / scale) if scale > 1 else hr
    whole = [p.mul(255).round().clamp(0, 255).to(torch.uint8) for p in (lr, hr)]
    return Batch(whole[0], whole[1], 0, None)


def _times(step: Callable[[], Any], now: Callable[[], float]) -> float:
    """The median time of a few calls after the first."""
    step()
    times: list[float] = []
    least, most = _STEPS
    while len(times) < most and (len(times) < least or sum(times) < _PATIENCE):
        began = now()
        step()
        times.append(now() - began)
    return statistics.median(times)


@contextmanager
def _as_in_training(trainer: Trainer) -> Iterator[None]:
    """Threads and deterministic algorithms as a run has them."""
    threads, before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        torch.set_num_threads(trainer.threads or threads)
        torch.use_deterministic_algorithms(trainer.deterministic, warn_only=True)
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(before, warn_only=only_warned)
