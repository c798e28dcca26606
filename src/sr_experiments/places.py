"""Where the folders lie that travel with the package: ``conf/`` and ``sweeps/``."""

from pathlib import Path

from sr_experiments.errors import UserError


def conf_dir() -> Path:
    """The folder of configs: inside the installed package, or of the checkout."""
    return shipped("conf", "config.yaml")


def shipped(folder: str, file: str | None = None) -> Path:
    """A top-level folder that travels with the package: beside it (wheel) or two folders up.

    Raises:
        UserError: neither place has it.
    """
    package = Path(__file__).resolve().parent
    for place in (package / folder, package.parents[1] / folder):
        if (place / file if file else place).exists():
            return place
    raise UserError(f"{folder}/ lies neither in {package} nor in {package.parents[1]}: reinstall")
