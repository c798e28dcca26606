"""What an update of a network takes here: a few real ones by Lightning."""

import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment

from sr_experiments.config import schema
from sr_experiments.data.datamodule import Batch
from sr_experiments.training.module import Supervised

#: Seconds after which no further update begins.
PATIENCE = 1.0


class StepTime(NamedTuple):
    """Seconds of an update: ``fixed`` however small its batch, and ``each`` for a multiply-add.

    ``busy`` of the ``wall`` seconds that were timed, the main thread had a processor.
    """

    fixed: float
    each: float
    busy: float = 0.0
    wall: float = 0.0


class _Clock(Callback):
    """When each update ended, and with how large a batch."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float, int]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the time, the processor time of this thread, and the size."""
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)
        self.seen.append((time.perf_counter(), time.thread_time(), batch.hr.numel()))


def time_steps(
    module: Supervised, trainer: schema.Trainer, sizes: Sequence[tuple[int, int, int, float]]
) -> StepTime:
    """Train for a moment on noise.

    Args:
        module: what is trained.
        trainer: of the runs: accelerator, precision, threads and determinism.
        sizes: of the batches, one or two: images, side of an LR patch, scale, and the multiply-adds
            of an update. With two, a line through both tells what does not grow with the batch.
    """

    deadline = time.monotonic() + PATIENCE

    def batches() -> Iterator[Batch]:
        for images, side, scale, _ in sizes:
            hr = torch.randint(0, 256, (images, 3, side * scale, side * scale), dtype=torch.uint8)
            batch = Batch(hr[..., ::scale, ::scale].contiguous(), hr, 0, None)
            yield from (batch, batch)  # the first one also allocates and compiles
        while time.monotonic() < deadline:
            yield batch

    clock, threads = _Clock(), torch.get_num_threads()
    torch.set_num_threads(trainer.threads or threads)
    silent = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    asked: dict[str, Any] = dict.fromkeys(silent, False)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Trainer(
            **asked,
            accelerator=trainer.accelerator,
            devices=1,
            precision=trainer.precision,
            deterministic="warn" if trainer.deterministic else None,
            plugins=[LightningEnvironment()],
            callbacks=[clock],
            max_epochs=1,
        ).fit(module, batches())
    torch.set_num_threads(threads)
    taken: dict[int, list[float]] = {}
    for (began, _, _), (ended, _, size) in pairwise(clock.seen):
        taken.setdefault(size, []).append(ended - began)
    steps = [median(times[1:] or times) for times in taken.values()]
    short, few, long, many = steps[0], sizes[0][3], steps[-1], sizes[-1][3]
    each = (long - short) / (many - few) if short < long else long / many
    first, last = clock.seen[0], clock.seen[-1]
    return StepTime(max(0.0, long - each * many), each, last[1] - first[1], last[0] - first[0])
