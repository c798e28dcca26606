"""A run's parts, made from its plan: network, training module, averaging, data, teacher."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sr_experiments.config import instantiate
from sr_experiments.config.schema import RunConfig
from sr_experiments.core.errors import UserError
from sr_experiments.data.datamodule import SuperResolutionData
from sr_experiments.data.store import open_made
from sr_experiments.models.foreign_weights import load_foreign
from sr_experiments.models.network import Network, prepare, upscale
from sr_experiments.models.transfer import Transfer, transfer
from sr_experiments.training.callbacks.averaging import WeightAveraging
from sr_experiments.training.checkpoints import load_weights
from sr_experiments.training.distillation.distilled import Distilled
from sr_experiments.training.module import Scored, Supervised

if TYPE_CHECKING:
    from sr_experiments.runs.plan import Plan


def network_of(node: Mapping[str, Any], key: str) -> Network:
    """Build a network from its part of a config.

    Raises:
        UserError: it cannot be built, or is something else.
    """
    network = instantiate.build(node, key)
    if not isinstance(network, Network):
        raise UserError(
            "not-a-network",
            "{key}._target_: {network} is not a Network of the suite",
            key=key,
            network=type(network).__name__,
        )
    return network


def build_network(plan: "Plan") -> tuple[Network, Transfer | None]:
    """The initialised network, and a record of the weights that were transferred into it."""
    network = network_of(plan.config.model, "model")
    if plan.trained and network.parameter_count == 0:
        raise UserError(
            "nothing-to-train",
            "model={model} has nothing to train; set method=none",
            model=plan.config.choices["model"],
        )
    if plan.trained and plan.config.further_scales and not network.any_scale:
        raise UserError(
            "one-scale-per-network",
            "training.scales={scales}: {network} has weights of its own for x{scale};"
            " only networks on enlarged luma, such as model=vdsr, can learn "
            "several",
            scales=plan.config.training.scales,
            network=type(network).__name__,
            scale=network.scale,
        )
    if plan.trained:
        instantiate.build(plan.config.init or {}, "init")(network)
    if plan.weights is not None:
        scored = (
            None if plan.trained else plan.config.model
        )  # a training may change what it begins with
        load_foreign(Path(plan.config.weights or ""), network, scored)
    if plan.start is None:
        return network, None
    state, _ = load_weights(plan.start.directory.weights)
    return network, transfer(network, state)


def build_module(plan: "Plan", network: Network) -> Scored:
    """The LightningModule that trains the network, or only scores it."""
    config = plan.config
    if not plan.trained:
        return Scored(network, config.model)
    training = config.training
    module = module_of(
        config,
        network,
        _rebuilt(plan.teacher) if plan.teacher is not None else None,
        network_config=config.model,
        schedule=instantiate.build(config.scheduler or {}, "scheduler"),
        updates=config.updates,
        recipe_epochs=training.recipe_epochs,
    )
    if config.start_optimizer and plan.start is not None:
        module.moments = _moments(plan.start)
    return module


def module_of(
    config: RunConfig, network: Network, teacher: Network | None, **given: Any
) -> Supervised:
    """Build what trains a network.

    Args:
        config: of the run; its method and its optimiser are used.
        network: that is trained.
        teacher: to learn from, where the method has a place for one.
        given: what else the method is to know.

    Raises:
        UserError: it cannot be built, or is something else.
    """
    method = {k: v for k, v in (config.method or {}).items() if k != "teacher"}
    if teacher is not None:
        given["teacher"] = teacher
    optimizer = instantiate.build(config.optimizer or {}, "optimizer")
    module = instantiate.build(method, "method")(network=network, optimizer=optimizer, **given)
    if not isinstance(module, Supervised):
        raise UserError(
            "not-a-method",
            "method._target_: {found} is not a training method",
            found=type(module).__name__,
        )
    return module


def _rebuilt(plan: "Plan") -> Network:
    """A finished run's network, from what it saved alone."""
    state, config = load_weights(plan.directory.weights)
    network = instantiate.build_network(config, "teacher")
    network.load_state_dict(state)
    return prepare(network)


def _moments(plan: "Plan") -> Mapping[int, Mapping[str, Any]]:
    state = torch.load(plan.directory.checkpoint, map_location="cpu", weights_only=True)
    moments: Mapping[int, Mapping[str, Any]] = state["optimizer_states"][0]["state"]
    return moments


def build_averaging(plan: "Plan") -> WeightAveraging | None:
    """What averages the weights, if the run asks for it."""
    config = plan.config
    if not plan.trained or not config.averaging:
        return None
    training = config.training
    try:
        made = instantiate.build(config.averaging, "averaging")(
            updates=config.updates,
            recipe_epochs=training.recipe_epochs,
        )
    except ValueError as error:
        raise UserError("averaging-refused", "averaging: {reason}", reason=error) from error
    if not isinstance(made, WeightAveraging):
        raise UserError(
            "not-an-averaging",
            "averaging._target_: {found} is not a weight averaging",
            found=type(made).__name__,
        )
    return made


def prepare_teacher(plan: "Plan", module: Scored, data: SuperResolutionData) -> None:
    """With a cached teacher, open its outputs for all training images, or compute them."""
    pairs, teacher = data.train_pairs, plan.teacher
    if not isinstance(module, Distilled) or not module.cached or not pairs or teacher is None:
        return
    if data.also:
        raise UserError(
            "cached-teacher-many-scales",
            "method.cached=true, training.scales={scales}: the outputs of a teacher are "
            "cached for one scale only",
            scales=plan.config.training.scales,
        )
    device = "cuda" if torch.cuda.is_available() and _may_use_gpu(plan) else "cpu"
    network = prepare(module.teacher, device)

    def make(lr: Tensor) -> Tensor:
        return upscale(network, lr[None].to(device))[0]

    kept = plan.config.data.border, data.small, data.patch_size, data.scale
    data.teacher_sr = open_made(
        pairs,
        f"{teacher.identity}/{plan.images['train'].fingerprint}/{kept}",
        data.cache,
        make,
        doing=f"{teacher.title} on {pairs.name}",
        progress=data.progress,
    )


def _batches_before(plan: "Plan") -> int:
    """Batches that the trainings this run continues have drawn; it continues with the next."""
    start, config = plan.start, plan.config
    if start is None or not config.start_optimizer:
        return 0
    return _batches_before(start) + start.config.updates * start.config.training.accumulate


def _may_use_gpu(plan: "Plan") -> bool:
    return plan.config.trainer.accelerator in ("auto", "gpu", "cuda")


def build_data(plan: "Plan", progress: bool) -> SuperResolutionData:
    """The run's images, not yet opened."""
    config, training = plan.config, plan.config.training
    images = plan.images
    return SuperResolutionData(
        images.get("train"),
        images.get("val"),
        [p for role, p in images.items() if role.startswith("benchmark/")],
        scale=config.scale,
        cache=config.paths.cache,
        batch_size=training.batch_size,
        patch_size=config.lr_patch(),
        updates_per_epoch=training.updates_per_epoch,
        accumulate=training.accumulate,
        seed=config.seed,
        border=config.data.border,
        small=config.data.small,
        progress=progress,
        may_move=config.trainer.images == "auto",
        also={
            scale: (images[f"train/x{scale}"], config.lr_patch(scale))
            for scale in config.further_scales
        }
        if plan.trained
        else {},
        first_batch=_batches_before(plan),
    )
