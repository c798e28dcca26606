"""The groups of ``conf/`` with their choices, and the help that lists them.

Hydra's loader copies its whole search path for every group that it is asked about, which made up
two thirds of the time of ``--help``. Nothing here imports the config's schema, or torch.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from string import Template

import yaml

from sr_experiments.config.messages import explained
from sr_experiments.core.paths import conf_dir


@cache
def config_groups(folder: Path) -> Mapping[str, Sequence[str]]:
    """Each group of a folder of configs with its choices, both sorted."""
    found: dict[str, list[str]] = {}
    for file in sorted(folder.glob("*/*.yaml")):
        found.setdefault(file.parent.name, []).append(file.stem)
    return found


@cache
def default_choices() -> Mapping[str, str]:
    """Each group with the choice that ``config.yaml`` makes in its list of defaults."""
    listed = yaml.safe_load((conf_dir() / "config.yaml").read_text())["defaults"]
    return {group: choice for part in listed if part != "_self_" for group, choice in part.items()}


@cache
def architectures() -> Mapping[str, str]:
    """The networks of ``conf/model``: module of ``models/`` -> the class in it, as a path."""
    nodes = [yaml.safe_load(file.read_text()) for file in (conf_dir() / "model").glob("*.yaml")]
    targets = sorted(node.get("model", node)["_target_"] for node in nodes)
    return {target.split(".")[-2]: target for target in targets}


def help_text(overrides: Sequence[str]) -> str:
    """What ``--help`` prints: all choices, those in use in brackets, and all keys.

    Args:
        overrides: of the command line; the help shows the config that they make.

    Raises:
        UserError: one of them cannot be read, or is not known.
    """
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf, open_dict

    with explained(), initialize_config_dir(str(conf_dir()), "sr_experiments", version_base="1.3"):
        cfg = compose("config", overrides=list(overrides), return_hydra_config=True)
        hydra = cfg.hydra
    with open_dict(cfg):
        del cfg["hydra"]
    chosen = {group: str(choice) for group, choice in hydra.runtime.choices.items()}
    groups = [
        f"{'' if group in chosen else '+'}{group}: "
        + ", ".join(f"[{c}]" if c == chosen.get(group) else c for c in choices)
        for group, choices in config_groups(conf_dir()).items()
    ]
    template = Template(hydra.help.template)
    keys = OmegaConf.to_yaml(cfg).rstrip()
    return template.substitute(APP_CONFIG_GROUPS="\n".join(groups), CONFIG=keys)
