"""Mistakes in a config as one line: the key, what was found, what is expected."""

import difflib
import typing
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import yaml
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from sr_experiments.core.errors import Message, UserError

if TYPE_CHECKING:
    from pydantic import BaseModel

#: Extras of this package that bring a launcher.
LAUNCHERS = ("joblib", "slurm", "ray")


def did_you_mean(name: str, names: Iterable[str], prefix: str = "") -> Message | str:
    """The rest of a sentence on an unknown name: the nearest known one, or nothing."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return (
        Message("did-you-mean", "; did you mean {name}?", {"name": prefix + near[0]})
        if near
        else ""
    )


def unknown_key(key: str, names: Iterable[str]) -> UserError:
    """A key that the config does not have, beside those that stand where it was looked for."""
    parent, dot, last = key.rpartition(".")
    names = sorted(names)
    return UserError(
        "unknown-key",
        "{key}: no such key{hint} (keys here: {names})",
        key=key,
        hint=did_you_mean(last, names, parent + dot),
        names=", ".join(names),
    )


def unknown_choice(group: str, choice: object, choices: Iterable[str]) -> UserError:
    """A choice that a group does not have."""
    choices = sorted(choices)
    if group == "hydra/launcher":
        extra = "slurm" if choice == "submitit_slurm" else str(choice)
        if extra in LAUNCHERS:
            return launcher_missing(extra)
        choices = sorted(["basic", *LAUNCHERS])
    return UserError(
        "unknown-choice",
        "{group}={choice}: no such choice; choose from {choices}{hint}",
        group=group,
        choice=choice,
        choices=", ".join(choices),
        hint=did_you_mean(str(choice), choices),
    )


def launcher_missing(extra: str) -> UserError:
    """A launcher whose packages are not installed."""
    return UserError(
        "launcher-not-installed",
        "hydra/launcher={extra}: not installed; pip install 'sr_experiments[{extra}]'",
        extra=extra,
    )


def invalid(error: Mapping[str, Any], model: "type[BaseModel]") -> UserError:
    """One of pydantic's errors about a config.

    Args:
        error: from ``ValidationError.errors()``.
        model: that the config was checked against.
    """
    path = [str(part) for part in error["loc"]]
    key, kind = ".".join(path), error["type"]
    if kind == "extra_forbidden":
        return unknown_key(key, _fields(model, path[:-1]))
    if kind == "missing":
        return UserError("key-removed", "{key}: must not be removed", key=key)
    expected = error["msg"].removeprefix("Input should be ")
    if kind in ("model_type", "dict_type", "mapping_type"):
        expected = f"keys, such as {key}.KEY=VALUE"
    elif kind == "tuple_type":
        expected = f"a list, such as [{error['input']}]"
    return UserError(
        "invalid-value",
        "{key}={value}: expected {expected}",
        key=key,
        value=error["input"],
        expected=expected,
    )


def _fields(model: "type[BaseModel]", path: Iterable[str]) -> set[str]:
    """The keys of a section of a config."""
    for name in path:
        model = typing.cast("type[BaseModel]", model.model_fields[name].annotation)
    return {*model.model_fields} - {"changes", "choices"}


@contextmanager
def explained() -> Iterator[None]:
    """Turn an error of Hydra, OmegaConf or YAML into a :class:`UserError`."""
    from hydra.errors import HydraException, OverrideParseException

    try:
        yield
    except OverrideParseException as error:
        key, equals, value = str(error.override).partition("=")
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        raise UserError(
            "unreadable-override",
            "{text}: cannot be read; write KEY=VALUE, KEY=[a,b] or KEY={{a: 1}}{hint}",
            text=error.override,
            hint=Message(
                "quotes-needed",
                ", and a value with other characters in two pairs of quotes: {quoted}",
                {"quoted": f"""'{key}="{quoted}"'"""},
            )
            if equals and value
            else "",
        ) from error
    except (HydraException, OmegaConfBaseException) as error:
        raise _explain(error) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise UserError(
            "not-yaml",
            "{file}, line {line}: not YAML ({problem})",
            file=mark.name if mark else "a config file",
            line=mark.line + 1 if mark else "?",
            problem=error.problem,
        ) from error


def _explain(error: BaseException) -> UserError:
    """The key and the first line of the innermost error that names a key."""
    from hydra.errors import MissingConfigException

    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    keyed = [e for e in chain if isinstance(e, OmegaConfBaseException) and e.full_key]
    key = keyed[-1].full_key if keyed else ""
    cause = next((link for link in chain if isinstance(link, UserError)), None)
    if cause is not None:  # of one of our resolvers
        return UserError("unresolved", "{key}: {reason}", key=key or "config", reason=cause)
    for link in chain:
        if isinstance(link, MissingConfigException) and link.missing_cfg_file:
            group, _, choice = link.missing_cfg_file.rpartition("/")
            return unknown_choice(group, choice, link.options or ())
    if any(isinstance(link, MissingMandatoryValue) for link in chain):
        return UserError("no-value", "{key}: has no value; set {key}=...", key=key)
    reason = next(line for line in str(keyed[-1] if keyed else error).splitlines() if line.strip())
    if key:
        return UserError("unresolved", "{key}: {reason}", key=key, reason=reason)
    return UserError("config-refused", "{reason}", reason=reason)
