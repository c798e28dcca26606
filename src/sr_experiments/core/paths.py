"""Where the folders lie that travel with the package: ``conf/`` and ``sweeps/``."""

from pathlib import Path

from sr_experiments.core.errors import UserError

_PACKAGE = Path(__file__).resolve().parents[1]


def conf_dir() -> Path:
    """The folder of configs: inside the installed package, or of the checkout."""
    return shipped("conf", "config.yaml")


def shipped(folder: str, file: str | None = None) -> Path:
    """A top-level folder that travels with the package: in it (wheel) or two folders up.

    Raises:
        UserError: neither place has it.
    """
    for place in (_PACKAGE / folder, _PACKAGE.parents[1] / folder):
        if (place / file if file else place).exists():
            return place
    raise UserError(
        "folder-not-shipped",
        "{folder}/ is neither in {package} nor in {checkout}: reinstall the package",
        folder=folder,
        package=_PACKAGE,
        checkout=_PACKAGE.parents[1],
    )
