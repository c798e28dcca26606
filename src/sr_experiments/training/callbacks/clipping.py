"""Gradient clipping by a rule that Lightning lacks."""

from lightning import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from sr_experiments.core.errors import UserError


class AdjustableClipping(Callback):
    """VDSR's rule (Kim et al. 2016): each element of the gradient within theta / rate.

    The rate is the current one of the parameter's group, so that a step of plain SGD never moves
    an element by more than ``theta``, whatever the schedule. Momentum may carry it up to
    ``theta / (1 - momentum)``, and weight decay is added by the optimiser, behind the clipping.

    Lightning calls the hook once an optimiser's step: gradients are gathered over all batches that
    the step accumulates and over all processes, and are no longer scaled under 16-bit precision.

    Args:
        theta: above 0; the paper does not tell it.
    """

    def __init__(self, theta: float) -> None:
        self.theta = theta

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Clip in place."""
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        if scaled and getattr(optimizer, "_step_supports_amp_scaling", False):
            raise UserError(
                "adjustable-clipping-fused",
                "clipping=adjustable: a fused optimiser unscales the gradients itself,"
                " too late to be clipped; set optimizer.fused=null or another "
                "trainer.precision",
            )
        for group in optimizer.param_groups:
            rate = float(group["lr"])
            if rate == 0:
                continue  # nothing moves
            bound = self.theta / rate
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.clamp_(-bound, bound)
