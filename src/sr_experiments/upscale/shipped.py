"""Names of the networks that ship with the package; imports neither torch nor NumPy."""

import re
from pathlib import Path

#: Each has a card beside it: ``NAME.safetensors`` for any scale, or ``NAME_x2.safetensors`` and so
#: on, one for each scale.
SHIPPED = Path(__file__).parent / "networks"
#: The network that is used if none is named; without it, the first that ships.
DEFAULT = "vdsr"


def shipped(folder: Path = SHIPPED) -> list[str]:
    """Names of the networks that ship with the package."""
    return sorted({re.sub(r"_x\d+$", "", path.stem) for path in folder.glob("*.safetensors")})
