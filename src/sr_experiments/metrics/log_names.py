"""By which names runs log: columns of ``history.csv``, metrics and images of dashboards.

Dashboards are built from these names without a run, and without torch.
"""

#: The axis of everything that is logged along a training.
AXIS = "update"
#: What a row of a training holds.
LOSS, RATE, GRADIENT, SPEED = TRAINING = (
    "train/loss",
    "train/lr",
    "train/grad_norm",
    "train/images_per_second",
)
#: Crops of validation images.
SAMPLES = "val/LR, bicubic, SR, HR, error"


def history_column(protocol: str, weights: str) -> str:
    """The column of ``history.csv`` for the validation PSNR of raw or averaged weights."""
    return f"val_psnr_{protocol}" + ("" if weights == "raw" else f"_{weights}")


def metric_name(where: str, quantity: str, protocol: str, weights: str = "raw") -> str:
    """The name of a score on a dashboard, such as ``val/psnr/y`` or ``val/psnr/y_averaged``.

    Args:
        where: ``val``, or ``benchmark/`` and the data set.
        quantity: ``psnr`` or ``ssim``.
        protocol: a name of :data:`~sr_experiments.metrics.protocols.PROTOCOLS`.
        weights: ``raw`` or ``averaged``.
    """
    return f"{where}/{quantity}/{protocol}" + ("" if weights == "raw" else f"_{weights}")
