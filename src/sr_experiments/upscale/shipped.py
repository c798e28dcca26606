"""The networks that ship with the package; imports neither torch nor NumPy."""

import re
from fractions import Fraction
from pathlib import Path

#: Each has a card beside it: ``NAME.safetensors`` for any scale, or ``NAME_x2.safetensors`` and so
#: on, one for each scale.
SHIPPED = Path(__file__).parent / "networks"
#: The network that is used if none is named is the first of these that ships.
PREFERRED = ("ecbsr", "vdsr")


def shipped(folder: Path | None = None) -> list[str]:
    """Names of the networks that ship with the package."""
    files = (folder or SHIPPED).glob("*.safetensors")
    return sorted({re.sub(r"_x\d+$", "", path.stem) for path in files})


def default_network() -> str | None:
    """The network that is used if none is named; None if none ships."""
    names = shipped()
    return next((name for name in (*PREFERRED, *names) if name in names), None)


def shipped_file(model: str, scale: Fraction) -> Path:
    """The file for a scale: the next larger scale's, or the largest's, which then is too small."""
    any_scale = SHIPPED / f"{model}.safetensors"
    if any_scale.is_file():
        return any_scale
    files = {int(p.stem.rpartition("_x")[2]): p for p in SHIPPED.glob(f"{model}_x*.safetensors")}
    return files[min((s for s in files if s >= scale), default=max(files))]
