"""Scores of images under every protocol."""

from typing import Literal

import torch
from torch import Tensor

from sr_experiments.core.errors import UserError
from sr_experiments.imaging.colour import demo_luma, luma, round_to_uint8
from sr_experiments.metrics.functional import mean_error, psnr, ssim_map
from sr_experiments.metrics.protocols import PROTOCOLS, WINDOW_SIZE, Score, Space

#: What :func:`score_batch` measures of an image, column by column: (protocol, quantity).
COLUMNS: tuple[tuple[str, Literal["psnr", "mean_error", "ssim"]], ...] = tuple(
    (p.name, quantity)
    for p in PROTOCOLS.values()
    for quantity in ("psnr", "mean_error", "ssim")
    if quantity != "ssim" or p.ssim_window
)


def score_image(
    sr: Tensor, hr: Tensor, scale: int, *, sr_luma: Tensor | None = None, grey: bool = False
) -> dict[str, Score]:
    """Score one image under every protocol.

    Args:
        sr: the super-resolved image, uint8 ``(3, H, W)``, any device.
        hr: the ground truth, same shape, dtype and device.
        scale: the super-resolution factor, which sets the border that is cut.
        sr_luma: see :func:`score_batch`; uint8 ``(1, H, W)``.
        grey: see :func:`score_batch`.

    Returns:
        A :class:`Score` for each name in :data:`PROTOCOLS`.

    Raises:
        UserError: the sizes differ, or the image is too small for the scale.
        TypeError: an image is not uint8.
        ValueError: a shape is not the one named above.
    """
    plane = None if sr_luma is None else sr_luma.unsqueeze(0)
    batch = sr.unsqueeze(0), hr.unsqueeze(0)
    return as_scores(score_batch(*batch, scale, sr_luma=plane, grey=grey)[0])


def as_scores(row: Tensor) -> dict[str, Score]:
    """One row of :func:`score_batch`, or a mean of rows, as a :class:`Score` for each protocol."""
    value = dict(zip(COLUMNS, row.tolist(), strict=True))
    return {name: Score(value[name, "psnr"], value.get((name, "ssim"))) for name in PROTOCOLS}


def score_batch(
    sr: Tensor, hr: Tensor, scale: int, *, sr_luma: Tensor | None = None, grey: bool = False
) -> Tensor:
    """Score images of one size under every protocol, without leaving their device.

    ``y_first`` is the rule of SRCNN and VDSR: the ground truth becomes a uint8 luma plane first,
    the input is shrunk from that plane, and the network puts out luma. Its output plane is given
    as ``sr_luma``. Without it, and so for an RGB network, both planes are the rounded luma of the
    images, and ``y_first`` is ``y_rounded`` with Wang's SSIM. The plane of a grey file is the file
    itself (Set14's bridge; :func:`~sr_experiments.imaging.colour.demo_luma`), as in the published
    rows: in studio range that one image would score 1.32 dB higher.

    Args:
        sr: the super-resolved images, uint8 ``(N, 3, H, W)``, any device.
        hr: the ground truth, same shape, dtype and device.
        scale: the super-resolution factor, which sets the border that is cut.
        sr_luma: uint8 ``(N, 1, H, W)``, the rounded output of a luma network made from uint8
            luma; it takes the place of the luma of ``sr`` under ``y_first`` and nowhere else.
        grey: the ground truths' files have a single plane.

    Returns:
        float64 ``(N, len(COLUMNS))``.

    Raises:
        UserError: the sizes differ, or the images are too small for the scale.
        TypeError: an image is not uint8.
        ValueError: a shape is not the one named above.
    """
    _check(sr, hr, scale, sr_luma)
    sr_y, hr_y = luma(sr), luma(hr)
    rounded = round_to_uint8(sr_y), round_to_uint8(hr_y)
    planes: dict[Space, tuple[Tensor, Tensor]] = {
        "y": (sr_y, hr_y),
        "y_uint8": rounded,
        "rgb": (sr, hr),
    }
    if grey or sr_luma is not None:
        plane = demo_luma(sr, grey) if sr_luma is None else sr_luma
        planes["y_network"] = plane, demo_luma(hr, grey)
    columns: list[Tensor] = []
    errors: dict[tuple[Space, int], tuple[Tensor, Tensor]] = {}
    full_maps: dict[tuple[Space, int], Tensor] = {}
    for protocol in PROTOCOLS.values():
        space, shave = protocol.space, protocol.shave(scale)
        if space == "y_network" and space not in planes:
            space = "y_uint8"
        a, b = (_cut(plane, shave) for plane in planes[space])
        key = space, shave
        if key not in errors:  # two protocols may differ in SSIM alone
            errors[key] = psnr(a, b), mean_error(a, b)
        columns += errors[key]
        if protocol.ssim_window is None:
            continue
        if protocol.ssim_window == "valid" and key in full_maps:
            # The windows inside the image are among those already taken with its border.
            values = _cut(full_maps[key], WINDOW_SIZE // 2)
        else:
            values = ssim_map(a, b, window=protocol.ssim_window)
            if protocol.ssim_window == "replicate":
                full_maps[key] = values
        columns.append(values.mean(dim=(1, 2, 3)))
    return torch.stack(columns, dim=1)


def _cut(planes: Tensor, margin: int) -> Tensor:
    return planes[..., margin : planes.shape[-2] - margin, margin : planes.shape[-1] - margin]


def _check(sr: Tensor, hr: Tensor, scale: int, sr_luma: Tensor | None) -> None:
    images = {"sr": sr, "hr": hr}
    if sr_luma is not None:
        images["sr_luma"] = sr_luma
    for name, image in images.items():
        channels = 1 if name == "sr_luma" else 3
        if image.dtype != torch.uint8:
            raise TypeError(f"{name} is {image.dtype}; round it to uint8 before it is scored")
        if image.ndim != 4 or image.shape[1] != channels or len(image) != len(hr):
            raise ValueError(f"{name} is {tuple(image.shape)}, not a batch of {channels} channels")
        if image.shape[-2:] != hr.shape[-2:]:
            found, wanted = ("x".join(map(str, i.shape[-2:])) for i in (image, hr))
            raise UserError(
                "image-sizes-differ",
                "{name} is {found} pixels (height x width) and its ground truth {wanted};"
                " only images of one size can be compared",
                name=name,
                found=found,
                wanted=wanted,
            )
    if scale < 1:
        raise UserError(
            "scale-below-one", "scale={scale}: the scale is an integer of at least 1", scale=scale
        )
    smallest = max(protocol.min_side(scale) for protocol in PROTOCOLS.values())
    height, width = hr.shape[-2:]
    if min(height, width) < smallest:
        raise UserError(
            "image-too-small-to-score",
            "a {height}x{width} image is too small to be scored at scale {scale}, "
            "where the border is cut; both sides need at least {smallest} pixels",
            height=height,
            width=width,
            scale=scale,
            smallest=smallest,
        )
