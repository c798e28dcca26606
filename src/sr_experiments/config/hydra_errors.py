"""Hydra's and OmegaConf's errors, each as the one line that mends it."""

import difflib
import re
from collections.abc import Iterator
from contextlib import contextmanager

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sr_experiments.core.errors import UserError
from sr_experiments.core.paths import conf_dir


@contextmanager
def explained() -> Iterator[None]:
    """Turn a config error of Hydra or OmegaConf into a :class:`UserError`."""
    from hydra.errors import HydraException

    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error) from error
    except ValueError as error:
        # Hydra's own, for group=null; any other is a defect and keeps its traceback.
        if "Config group override" not in str(error):
            raise
        raise UserError("a group=null was asked for: a group needs one of its words") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{mark.name}, line {mark.line + 1}" if mark else "a config file"
        raise UserError(f"{place}: not YAML ({error.problem})") from error


def explain(error: BaseException) -> UserError:
    """One line for a config error: the key, what was found, what there is."""
    from hydra.errors import OverrideParseException

    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, UserError):
            return link
        chain.append(link)
        link = link.__cause__
    text = "\n".join(str(link) for link in chain)
    # OmegaConf quotes an error that a resolver raised.
    if found := re.search(r"UserError raised while resolving interpolation: (.*)", text):
        key = _find(r"full_key: (\S+)", text)
        return UserError(f"{key}: {found[1]}")
    if found := re.search(r"Could not find '([^']+)/([^'/]+)'", text):
        return UserError(_unknown_word(found[1], found[2], text))
    if found := re.search(r"Could not override '([^']*)'", text):
        return UserError(_unknown_key(found[1]))
    if found := re.search(r"Value '(.*)' of type '(.*)' could not be converted to (\w+)", text):
        key, kind = _find(r"full_key: (\S+)", text), found[3]
        return UserError(f"{key}={found[1]}: expected {_KINDS.get(kind, kind)}")
    if found := re.search(r"Missing mandatory value: (\S+)|MissingMandatoryValue.*?: (\S+)", text):
        last = found[1] or found[2]
        full = re.search(r"full_key: (\S+)", text)
        key = full[1] if full else last
        return UserError(f"{key}: has no value; give one as {key}=...")
    if found := re.search(r"Error merging override [+~]*([^=\n]+)=?(.*)", text):
        return UserError(_wrong_kind(found[1], found[2], text))
    if found := re.search(r"Ambiguous value for argument '([^']*)'", text):
        key = found[1].split("=")[0]
        return UserError(f"{found[1]}: several values need -m (a sweep), or {key}=[a,b] for a list")
    if isinstance(error, OverrideParseException):
        return UserError(
            f"{error.override}: cannot be read; write KEY=VALUE, KEY=[a,b] or KEY={{a:1}}"
        )
    if "Multiple values for" in text:
        return UserError(text.splitlines()[0])
    if "Could not load 'hydra/launcher/submitit_slurm'" in text:
        return UserError(_unknown_word("hydra/launcher", "slurm", text))
    if "Unable to find or instantiate" in text or "Could not load" in text:
        return UserError(f"{text.splitlines()[0]}; is the launcher's extra installed?")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if full := re.search(r"full_key: (\S+)", text):
        return UserError(f"{full[1]}: {lines[0]}")
    return UserError("; ".join(lines[:3]) or repr(error))


_KINDS = {
    "Integer": "a whole number",
    "Float": "a number",
    "Boolean": "true or false",
    "String": "text",
}


def _wrong_kind(key: str, value: str, text: str) -> str:
    """What a typed key refused."""
    for sign, wanted in (
        ("valid bool", "true or false"),
        ("not a ListConfig", f"a list, such as [{value}]"),
        ("not a subclass", f"keys, such as {key}.KEY=VALUE"),
        ("not Optional", "a value"),
    ):
        if sign in text:
            return f"{key}={value}: expected {wanted}"
    if "does not support deletion" in text:
        return f"{key}: must not be taken away"
    return f"{key}={value}: {next((t for t in text.splitlines()[1:] if t), 'refused')}"


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else "config"


def _unknown_word(group: str, word: str, text: str) -> str:
    _, _, listed = text.partition("Available options in")
    words = re.findall(r"^\t([\w-]+)$", listed, re.MULTILINE)
    if group == "hydra/launcher":
        extra = {"submitit_slurm": "slurm"}.get(word, word)
        if extra in ("slurm", "ray", "joblib"):
            return f"hydra/launcher={extra}: not installed; pip install 'sr_experiments[{extra}]'"
        words = ["basic", "joblib", "slurm", "ray"]
    choices = ", ".join(sorted(words)) if words else "none"
    return f"{group}={word}: no such choice; choose from {choices}{_near(word, words)}"


def _unknown_key(key: str) -> str:
    if key == "experiment":
        return "experiment: is added to a run, so write +experiment=..."
    parent, _, last = key.rpartition(".")
    cfg = _default()
    node = OmegaConf.select(cfg, parent) if parent else cfg
    names = sorted(str(name) for name in node) if isinstance(node, DictConfig) else []
    if last in names:
        above, _, own = parent.rpartition(".")
        if OmegaConf.is_interpolation(OmegaConf.select(cfg, above) if above else cfg, own):
            return f"{key}: {parent} takes its values from another key; set them there"
        return f"{key}: no such key in the word that was chosen for {parent.split('.')[0]}"
    if not names:
        return f"{key}: no such key{_near(key, sorted(map(str, cfg)))}"
    where = f" (keys of {parent}: {', '.join(names)})" if parent else f" (keys: {', '.join(names)})"
    return f"{key}: no such key{_near(last, names)}{where}"


def _near(word: str, words: list[str]) -> str:
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def _default() -> DictConfig:
    """The config of no overrides, to suggest keys from."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config")
