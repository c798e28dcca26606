"""The part of a run that computes: network, data, training, scoring, results."""

import logging
import platform
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning import Callback, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy, Strategy
from rich.console import Console

from sr_experiments.config.schema import RunConfig
from sr_experiments.core.device import computes_bf16, device_name, use_tf32
from sr_experiments.core.errors import UserError
from sr_experiments.data.datamodule import SuperResolutionData
from sr_experiments.models.complexity import multiply_adds
from sr_experiments.models.network import Network
from sr_experiments.models.transfer import Transfer
from sr_experiments.runs.assembly import (
    build_averaging,
    build_data,
    build_module,
    build_network,
    prepare_teacher,
)
from sr_experiments.runs.heartbeat import Heartbeat
from sr_experiments.runs.identity import flat, relevant
from sr_experiments.runs.launch import rank, started_outside
from sr_experiments.runs.processes import Team
from sr_experiments.runs.records import (
    PROGRESS,
    ImageScore,
    Mean,
    NetworkRecord,
    Result,
    TrainingRecord,
)
from sr_experiments.runs.tracking import begin_tracking, conclude_tracking
from sr_experiments.training.callbacks.averaging import WeightAveraging
from sr_experiments.training.callbacks.clipping import AdjustableClipping
from sr_experiments.training.callbacks.guards import FiniteLoss, LossSpikes, Owned, WorldSize
from sr_experiments.training.callbacks.history import History
from sr_experiments.training.callbacks.images import Samples, SaveImages
from sr_experiments.training.callbacks.last_checkpoint import LastCheckpoint
from sr_experiments.training.callbacks.logged_rows import LoggedRows
from sr_experiments.training.callbacks.progress import RunProgress
from sr_experiments.training.callbacks.seed_per_batch import SeedPerBatch
from sr_experiments.training.callbacks.training_cost import TrainingCost
from sr_experiments.training.checkpoints import AtomicCheckpointIO, is_whole, save_weights
from sr_experiments.training.loggers import RunLogger
from sr_experiments.training.module import Scored, Supervised

if TYPE_CHECKING:
    from sr_experiments.runs.plan import Plan


#: Updates between two rows of a dashboard.
_ROW_EVERY = 50


def execute(plan: "Plan", console: Console, check: Callable[[], None]) -> None:
    """Train (or go on training) and score a run, and write its results.

    Args:
        plan: the run.
        console: where progress is shown.
        check: called before anything is written; raises if the run is another process's by now.

    Nothing is written into the run's directory before the network is built and all images are
    read.

    Raises:
        UserError: a mistake in the config, damaged images, or a training that failed.
    """
    config, directory = plan.config, plan.directory
    _quiet()
    use_tf32(config.trainer.tf32 and plan.trained)
    torch.manual_seed(config.seed)
    network, begun = build_network(plan)
    module = build_module(plan, network)
    averaging = build_averaging(plan)
    data = build_data(plan, progress=rank() == 0 and _wants_bar(config, console))
    data.prepare_data()
    data.setup()
    prepare_teacher(plan, module, data)
    resume = _resume_from(plan, console)
    if isinstance(module, Supervised) and (mode := config.trainer.compile):
        module.compile_steps(mode)
    _say(plan, network, begun, console, resume is not None)
    logger = begin_tracking(plan)
    failed, diverged_at = True, None
    try:
        with Team(plan) as team, ExitStack() as alive:
            trainer = _trainer(plan, averaging, console, [logger] if logger else [], check)
            cost = TrainingCost()
            trainer.callbacks.append(cost)  # type: ignore[attr-defined]
            if trainer.is_global_zero:
                directory.begin(config.plain())
            if threads := team.gather(trainer.num_devices):
                torch.set_num_threads(threads)
            if trainer.is_global_zero:
                device = device_name(trainer.strategy.root_device)
                beat = Heartbeat(directory.path / PROGRESS, config.updates, device)
                trainer.callbacks.append(alive.enter_context(beat))  # type: ignore[attr-defined]
            began, first = time.monotonic(), _updates_done(resume) if resume else 0
            if plan.trained and config.training.epochs > 0:
                diverged_at = _fit(trainer, module, data, plan, resume)
            seconds, updates = time.monotonic() - began, trainer.global_step
            if diverged_at is None:
                use_tf32(False)  # scores are those of every other command
                trainer.test(module, datamodule=data, verbose=False)
            else:
                module.means, module.tables = {}, {}
        if trainer.is_global_zero:
            check()
            if (plan.trained or plan.weights) and diverged_at is None:
                for weights, variant in module.variants().items():
                    path = directory.weights_of(weights)
                    save_weights(path, variant.state_dict(), config.model)
            rows = list(_score_rows(module, data))
            directory.write_scores(rows)
            skipped = _skipped(trainer)
            trained = _training_record(
                plan,
                data,
                updates=updates if diverged_at is None else config.updates,
                seconds=seconds,
                updates_timed=updates - first,
                validation_seconds=cost.validation_seconds,
                peak_memory=cost.peak_memory,
                skipped_batches=skipped,
                diverged_at=diverged_at,
            )
            result = _result(plan, network, module, data, trained)
            directory.write_result(result)
            if isinstance(logger, RunLogger):
                conclude_tracking(logger, plan, result, rows)
            directory.end("finished")
            if diverged_at is not None:
                console.print(f"  the loss is no number from update {diverged_at} on: no scores")
            if skipped:
                limit = f"{config.training.spike:g} times the usual (training.spike)"
                text = f"  {skipped} batches skipped: a loss above {limit}"
                console.print(text, highlight=False, soft_wrap=True)
            _show(plan, module, console)
        failed = False
    finally:
        if logger is not None:
            logger.close(failed)


def _fit(
    trainer: Trainer, module: Scored, data: SuperResolutionData, plan: "Plan", resume: Path | None
) -> int | None:
    """Train; the update at which a run that may diverge did so."""
    try:
        trainer.fit(
            module,
            datamodule=data,
            ckpt_path=str(resume) if resume else None,
            weights_only=True,
        )
    except UserError as error:
        if error.code != "loss-not-finite" or not plan.config.training.may_diverge:
            raise
        return int(str(error.message.fields["update"]))
    return None


def _trainer(
    plan: "Plan",
    averaging: WeightAveraging | None,
    console: Console,
    loggers: list[Any],
    check: Callable[[], None],
) -> Trainer:
    config, directory = plan.config, plan.directory
    where, training = config.trainer, config.training
    callbacks: list[Callback] = []
    if config.clipping.algorithm == "adjustable" and config.clipping.value is not None:
        callbacks.append(AdjustableClipping(config.clipping.value))
    if plan.trained:
        callbacks += [averaging] if averaging else []  # before what saves and what logs
        kinds = ("raw", "averaged") if averaging else ("raw",)
        callbacks += [
            Owned(check),
            History(directory.history, kinds),
            FiniteLoss(),
            SeedPerBatch(config.seed),
        ]
        if training.spike and not training.may_diverge:  # a control shows what it does
            callbacks.append(LossSpikes(training.spike))
        callbacks += [Samples(directory.path / "samples")]
        callbacks.append(LastCheckpoint(*directory.checkpoints, training.checkpoint_every))
    if config.logger and plan.trained:
        every = min(_ROW_EVERY, training.updates_per_epoch)
        callbacks.append(LoggedRows(every, training.batch_size))
    if where.progress != "none":
        bar = _wants_bar(config, console)
        callbacks.append(RunProgress(plan.title, config.updates, console, bar))
    if config.benchmarks.save_images:
        # Once a sweep is enough: what its runs are compared with keeps the ground truth.
        callbacks.append(SaveImages(directory.path / "images", truth=not plan.trained))
    # Outside SLURM and torchrun the suite starts the processes itself, in an allocation of one task
    # as well, where Lightning would silently train on one device.
    plugins: list[Any] = [
        AtomicCheckpointIO(),
        *([] if started_outside() else [LightningEnvironment()]),
    ]
    strategy: str | Strategy = "auto"
    if where.strategy != "auto" or str(where.devices) != "1":
        # Buffers of these networks are the same in all processes by themselves. Broadcasting them
        # in every forward pass would wait for ever where processes have different numbers of
        # images to score.
        unused = where.strategy.endswith("_true")
        strategy = DDPStrategy(broadcast_buffers=False, find_unused_parameters=unused)
    asked = {
        "accelerator": where.accelerator,
        "devices": where.devices,
        "num_nodes": where.num_nodes,
        "precision": where.precision,
        "strategy": strategy,
        "plugins": plugins,
    }
    try:
        trainer = _lightning_trainer(plan, callbacks, loggers, asked)
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise UserError(
            "trainer-refused",
            "trainer.accelerator={accelerator}, devices={devices}, "
            "strategy={strategy}, precision={precision}: {reason}",
            accelerator=where.accelerator,
            devices=where.devices,
            strategy=where.strategy,
            precision=where.precision,
            reason=" ".join(str(error).split()),
        ) from error
    share = training.batch_size % trainer.world_size
    if plan.trained and share:
        raise UserError(
            "batch-not-divisible-by-devices",
            "training.batch_size={batch_size}: not a multiple of the {world_size} "
            "processes that trainer.devices asks for",
            batch_size=training.batch_size,
            world_size=trainer.world_size,
        )
    trainer.callbacks.append(WorldSize(trainer.num_devices, where.num_nodes))  # type: ignore[attr-defined]
    return trainer


def _lightning_trainer(
    plan: "Plan", callbacks: list[Callback], loggers: list[Any], asked: Mapping[str, Any]
) -> Trainer:
    config, directory = plan.config, plan.directory
    where, training, clipping = config.trainer, config.training, config.clipping
    by_callback = clipping.algorithm == "adjustable"  # a rule that Lightning lacks
    return Trainer(
        **asked,
        deterministic="warn" if where.deterministic else None,
        max_epochs=training.epochs,
        accumulate_grad_batches=training.accumulate,
        gradient_clip_val=None if by_callback else clipping.value,
        gradient_clip_algorithm=None if by_callback else clipping.algorithm,
        check_val_every_n_epoch=training.validate_every,
        callbacks=callbacks,
        logger=loggers,
        default_root_dir=directory.path,
        use_distributed_sampler=False,  # the data module shares out by itself, without padding
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=plan.trained,
        num_sanity_val_steps=0,
    )


def _skipped(trainer: Trainer) -> int | None:
    guards = [c for c in trainer.callbacks if isinstance(c, LossSpikes)]  # type: ignore[attr-defined]
    return guards[0].skipped if guards else None


def _resume_from(plan: "Plan", console: Console) -> Path | None:
    """The last checkpoint that is whole; a damaged one is named."""
    for path in plan.directory.checkpoints:
        if path.exists():
            if is_whole(path):
                return path
            text = f"{plan.title}: {path} is damaged; going on from the one before, or anew"
            console.print(text, highlight=False, soft_wrap=True)
    return None


def _updates_done(checkpoint: Path) -> int:
    state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    return int(state["global_step"])


def _score_rows(
    module: Scored, data: SuperResolutionData
) -> Iterator[tuple[str, str, str, str, ImageScore]]:
    names = {pairs.name: pairs.hr.names for pairs in data.benchmarks}
    for dataset, entry in module.tables.items():
        for weights, table in entry.items():
            for index, image in enumerate(names[dataset]):
                for protocol, (psnr, ssim, error) in table.items():
                    last = None if ssim is None else ssim[index].item()
                    score = ImageScore(psnr[index].item(), last, error[index].item())
                    yield dataset, image, weights, protocol, score


def _training_record(
    plan: "Plan", data: SuperResolutionData, **measured: Any
) -> TrainingRecord | None:
    config = plan.config
    if not plan.trained or data.train_pairs is None:
        return None
    return TrainingRecord(
        data=data.train_pairs.name,
        images=len(data.train_pairs),
        batch_size=config.training.batch_size,
        patch_size=config.lr_patch(),
        precision=config.trainer.arithmetic,
        start=plan.start.directory.path.name if plan.start else None,
        teacher=plan.teacher.directory.path.name if plan.teacher else None,
        **measured,
    )


def _result(
    plan: "Plan",
    network: Network,
    module: Scored,
    data: SuperResolutionData,
    trained: TrainingRecord | None,
) -> Result:
    config = plan.config
    counts = {pairs.name: len(pairs) for pairs in data.benchmarks}
    return Result(
        identity=plan.identity,
        experiment=config.name,
        choices=config.choices,
        settings=flat(relevant(config)) | ({"weights": plan.weights} if plan.weights else {}),
        scale=config.scale,
        seed=config.seed,
        network=NetworkRecord(
            name=type(network).__name__,
            size=network.size,
            parameters=network.parameter_count,
            multiply_adds=multiply_adds(network),
        ),
        training=trained,
        means={
            dataset: {
                weights: {
                    protocol: Mean(psnr=s.psnr, ssim=s.ssim, images=counts[dataset])
                    for protocol, s in scores.items()
                }
                for weights, scores in entry.items()
            }
            for dataset, entry in module.means.items()
        },
        device=device_name(module.device),
        versions={
            "python": platform.python_version(),
            **{p: version(p) for p in ("sr_experiments", "torch", "lightning", "hydra-core")},
        },
    )


def _say(
    plan: "Plan", network: Network, begun: Transfer | None, console: Console, resumes: bool
) -> None:
    text = f"[bold]{plan.title}[/]  {type(network).__name__}"
    text += f" {network.size}," if network.size else ""
    text += f" {network.parameter_count:,} parameters"
    if plan.trained:
        text += f", {plan.config.updates:,} updates on {plan.images['train'].name}"
        text += f", {plan.config.trainer.arithmetic}"
        text += ", going on from its last checkpoint" if resumes else ""
    console.print(text, highlight=False, soft_wrap=True)
    if plan.trained and (advice := _precision_advice(plan.config)):
        console.print(f"  {advice}", highlight=False, soft_wrap=True)
    if plan.weights is not None and not resumes:
        text = f"  weights of {plan.config.weights} (SHA-256 {plan.weights[:12]})"
        console.print(text, highlight=False, soft_wrap=True)
    if plan.teacher is not None:
        text = f"  learns from {plan.teacher.title}"
        console.print(text, highlight=False, soft_wrap=True)
    if begun is not None and plan.start is not None and not resumes:
        text = f"  begins with {plan.start.title}: {begun}"
        console.print(text, highlight=False, soft_wrap=True)


def _precision_advice(config: RunConfig) -> str:
    if config.trainer.precision != "32-true":
        return ""
    wanted = any(
        c.key in ("trainer", "trainer.precision") and c.value == "fast" for c in config.changes
    )
    if wanted:
        return "trainer=fast: this device has no bfloat16 arithmetic, so fp32 is computed"
    if computes_bf16(config.trainer.accelerator):
        return "trainer=fast computes in bfloat16 here: about half the time for an EDSR"
    return ""


def _show(plan: "Plan", module: Scored, console: Console) -> None:
    reference: dict[str, Any] = {}
    if plan.reference is not None:
        reference = plan.reference.directory.result().means
    for dataset, entry in module.means.items():
        for weights, scores in entry.items():
            score = scores["y"]
            text = f"  {dataset}  {score.psnr:.3f} dB  SSIM {score.ssim:.4f}  (protocol y"
            text += f", {weights} weights)" if weights != "raw" else ")"
            if dataset in reference:
                gain = score.psnr - reference[dataset]["raw"]["y"].psnr
                name = plan.reference.title if plan.reference else ""
                text += f"  {gain:+.3f} dB against {name}"
            console.print(text, highlight=False, soft_wrap=True)


def _wants_bar(config: RunConfig, console: Console) -> bool:
    progress = config.trainer.progress
    return progress == "bar" or (progress == "auto" and console.is_terminal)


def _quiet() -> None:
    """Keep libraries' advice out of the output; their errors stay."""
    for name in ("lightning.pytorch", "lightning.fabric", "wandb"):
        logging.getLogger(name).setLevel(logging.ERROR)
    ignore = partial(warnings.filterwarnings, "ignore")
    ignore(module="lightning.*")
    ignore(module="torchmetrics.*")  # a process without an image of a small set
    ignore(message=".*lr_scheduler.step.*")


__all__ = ["execute"]
