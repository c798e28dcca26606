"""The config of a run's parent: that of the run, with what is said of the parent.

Nothing here imports torch.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from sr_experiments.config.schema import compose, without_repeats
from sr_experiments.core.errors import UserError


def parent_config(cfg: DictConfig, config: Mapping[str, Any], role: str, *usual: str) -> DictConfig:
    """The config of a run's parent.

    Args:
        cfg: of the run.
        config: the same, resolved.
        role: the key that says what differs, such as ``start``.
        usual: overrides that hold unless that key says otherwise.

    Raises:
        UserError: the key is no mapping of overrides, or they make no config.
    """
    wanted = config[role]
    if not isinstance(wanted, dict):
        raise UserError(f"{role}={wanted}: expected overrides as a mapping, such as {{scale:2}}")
    changes = [*usual, *(f"{key}={_override(value)}" for key, value in wanted.items())]
    # Another word of a group comes with its own keys: what was said of the old one's stays behind.
    chosen = dict(change.split("=", 1) for change in changes)
    renewed = {k for k, word in chosen.items() if config["words"].get(k, word) != word}
    inherited = []
    for override in cfg.overrides:
        key, dot, _ = override.split("=")[0].lstrip("+~").partition(".")
        if key not in _NOT_INHERITED and not (dot and key in renewed):
            inherited.append(override)
    return compose(without_repeats([*inherited, *changes]))


def _override(value: Any) -> str:
    """A value in the words of Hydra's command line."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list):
        return f"[{','.join(map(_override, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{k}:{_override(v)}' for k, v in value.items())}}}"
    if isinstance(value, str):  # quoted, so that "1" and "true" stay text
        if re.fullmatch(r"[A-Za-z_][\w./@-]*", value) and value.lower() not in _NOT_TEXT:
            return value
        quoted = value.replace("\\'", "\\\\'").replace("'", "\\'")
        return f"'{quoted}'"
    return str(value)


_NOT_TEXT = ("true", "false", "null", "nan", "inf")
_NOT_INHERITED = ("start", "start_optimizer", "teacher", "reference", "weights")
