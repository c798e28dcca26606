"""Code of other projects, measured beside the suite and never part of it.

Each is a checkout whose path is in an environment variable. Only the measured modules are imported,
not the packages around them, which have many more requirements.
"""

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

EDSR, BASICSR = "SR_PEER_EDSR", "SR_PEER_BASICSR"
_SOURCE = {EDSR: "sanghyun-son/EDSR-PyTorch", BASICSR: "XPixelGroup/BasicSR"}


def edsr_modules() -> SimpleNamespace | None:
    """EDSR-PyTorch's data set (``SRData``) and network (``EDSR``)."""
    root = _root(EDSR, "src")
    if root is None:
        return None
    for name in ("data", "model"):
        _empty_package(name, root / name)
    return _load(EDSR, SRData=("data.srdata", "SRData"), EDSR=("model.edsr", "EDSR"))


def basicsr_modules() -> SimpleNamespace | None:
    """BasicSR's numpy scores (``calculate_psnr``, ``calculate_ssim``) and its ``imresize``."""
    root = _root(BASICSR, "basicsr")
    if root is None:
        return None
    for name in ("", ".utils", ".metrics"):
        _empty_package(f"basicsr{name}", root / name.strip("."))
    try:
        importlib.import_module("cv2").setNumThreads(1)
        colour = importlib.import_module("basicsr.utils.color_util")
    except ImportError as error:
        return _absent(BASICSR, str(error))
    sys.modules["basicsr.utils"].bgr2ycbcr = colour.bgr2ycbcr  # type: ignore[attr-defined]
    scores = "basicsr.metrics.psnr_ssim"
    return _load(
        BASICSR,
        calculate_psnr=(scores, "calculate_psnr"),
        calculate_ssim=(scores, "calculate_ssim"),
        imresize=("basicsr.utils.matlab_functions", "imresize"),
    )


#: Why a peer is left out, by the name of its environment variable.
absent: dict[str, str] = {}


def _root(variable: str, inside: str) -> Path | None:
    path = os.environ.get(variable)
    if not path:
        return _absent(variable, f"{variable} is not set to a checkout of {_SOURCE[variable]}")
    root = Path(path) / inside
    return root if root.is_dir() else _absent(variable, f"{variable}={path}: no folder {inside}/")


def _absent(variable: str, reason: str) -> None:
    absent[variable] = reason


def _empty_package(name: str, folder: Path) -> None:
    module = ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module


def _load(variable: str, **places: tuple[str, str]) -> SimpleNamespace | None:
    members: dict[str, Any] = {}
    try:
        for key, (module, name) in places.items():
            members[key] = getattr(importlib.import_module(module), name)
    except ImportError as error:
        return _absent(variable, str(error))
    return SimpleNamespace(**members)
