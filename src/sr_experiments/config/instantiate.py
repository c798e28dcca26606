"""Factories in configs: check a ``_target_`` node against what it names, then build it.

The signature of the named class or function is the schema of its node, so that a new model,
activation or loss is one class and one YAML file. The same check guards checkpoints: a network is
rebuilt only from classes of packages that are trusted, whatever a file says.
"""

import difflib
import importlib
import inspect
import json
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation

from sr_experiments.core.errors import UserError

TARGET, PARTIAL = "_target_", "_partial_"
#: Where the parts of a network may come from when a file, not the user, names them.
NETWORK_PACKAGES = ("sr_experiments.models", "torch.nn")


def resolve(target: str, key: str = "") -> Callable[..., Any]:
    """The class or function that a dotted name means.

    Raises:
        UserError: there is none.
    """
    parts = target.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:length])
        try:
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name and (module == error.name or module.startswith(error.name + ".")):
                continue
            raise UserError(
                "target-needs-package",
                "{key}._target_={target}: needs {package}, which is not installed",
                key=key,
                target=target,
                package=error.name,
            ) from None
        except (TypeError, ValueError):  # dots where no name is
            break
        for part in parts[length:]:
            found = getattr(found, part, None)
        if callable(found):
            return typing.cast("Callable[..., Any]", found)
        break
    raise UserError(
        "target-unknown",
        "{key}._target_={target}: no such class or function",
        key=key,
        target=target,
    )


def check(node: Any, key: str, *, packages: Collection[str] | None = None) -> None:
    """Check every ``_target_`` node at and below ``node`` against its signature.

    Args:
        node: plain Python (dicts, lists, numbers, strings).
        key: the node's own key, for messages.
        packages: if set, only classes defined in these packages are allowed.

    Raises:
        UserError: a name that does not exist or is not allowed, an unknown or missing key, or a
            value of the wrong type; the message names the key.
    """
    if isinstance(node, Mapping):
        if node.get(TARGET) or (packages is not None and TARGET in node):
            _check_call(node, key, packages)
        for name, value in node.items():
            check(value, f"{key}.{name}", packages=packages)
    elif isinstance(node, str) and packages is not None and "${" in node:
        # Hydra would resolve it, into a node that nobody has checked.
        raise UserError(
            "not-a-network-part",
            "{key}={node}: not a part of a network; refused",
            key=key,
            node=node,
        )
    elif isinstance(node, list):
        for index, value in enumerate(node):
            check(value, f"{key}[{index}]", packages=packages)


def build(node: Mapping[str, Any], key: str) -> Any:
    """Check a node and call what it names, nested nodes first.

    Args:
        node: plain Python with a ``_target_``.
        key: the node's own key, for messages.

    Raises:
        UserError: see :func:`check`; or the callee refused a value (``ValueError``).
    """
    check(node, key)
    return _call(node, key)


def build_network(node: Mapping[str, Any], key: str = "network") -> Any:
    """Build a network that a checkpoint describes, from trusted packages only.

    Raises:
        UserError: the description names anything that is not part of a network.
    """
    check({TARGET: None, **node}, key, packages=NETWORK_PACKAGES)
    return _call(node, key)


def _check_call(node: Mapping[str, Any], key: str, packages: Collection[str] | None) -> None:
    target = str(node[TARGET])
    if packages is not None and not any(target.startswith(p + ".") for p in packages):
        raise UserError(
            "target-not-a-network-part",
            "{key}._target_={target}: not a part of a network; refused",
            key=key,
            target=target,
        )
    called = resolve(target, key)
    if packages is not None and not _defined_in(called, packages):
        raise UserError(
            "target-not-a-network-part",
            "{key}._target_={target}: not a part of a network; refused",
            key=key,
            target=target,
        )
    name = target.rsplit(".", 1)[-1]
    parameters = dict(inspect.signature(called).parameters)
    values = {k: v for k, v in node.items() if k not in (TARGET, PARTIAL)}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for k in values:
        if k not in parameters and not open_ended:
            near = difflib.get_close_matches(k, parameters, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(
                "target-unknown-key",
                "{key}.{argument}: no such key in {name}{hint} ({parameters})",
                key=key,
                argument=k,
                name=name,
                hint=hint,
                parameters=", ".join(parameters),
            )
    if not node.get(PARTIAL):
        empty = inspect.Parameter.empty
        for k, parameter in parameters.items():
            needed = parameter.default is empty and parameter.kind not in (
                parameter.VAR_KEYWORD,
                parameter.VAR_POSITIONAL,
            )
            if needed and k not in values:
                raise UserError(
                    "target-missing-key",
                    "{key}.{argument}: {name} needs a value for it",
                    key=key,
                    argument=k,
                    name=name,
                )
    hints = _hints(called)
    for k, value in values.items():
        if k in hints and not isinstance(value, Mapping):
            _check_type(value, hints[k], f"{key}.{k}")


def _defined_in(called: Any, packages: Collection[str]) -> bool:
    module = getattr(called, "__module__", "") or ""
    return any(module == p or module.startswith(p + ".") for p in packages)


def _hints(called: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(called.__init__ if inspect.isclass(called) else called)
    except (NameError, TypeError):
        return {}


def _check_type(value: Any, hint: Any, key: str) -> None:
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
        # JSON, because YAML like JSON has lists where Python has tuples.
        adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        reasons = {str(e["msg"]).removeprefix("Input should be ") for e in error.errors()}
        wanted = getattr(hint, "__name__", None) or str(hint)
        wanted = wanted if wanted in ("int", "float", "bool", "str") else " or ".join(reasons)
        if inspect.isclass(hint) and "isinstance" in wanted:  # pydantic cannot say it of a class
            wanted = f"a node; write {key}._target_=CLASS"
        raise UserError(
            "target-wrong-type",
            "{key}={value}: expected {wanted}",
            key=key,
            value=value,
            wanted=wanted,
        ) from None
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation):
        return  # a hint that pydantic cannot express (a tensor) is left to the callee
    except TypeError:
        return


def _call(node: Any, key: str) -> Any:
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        return instantiate(dict(node), _convert_="all")
    except InstantiationException as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        if isinstance(cause, ValueError):
            raise UserError("target-refused", "{key}: {cause}", key=key, cause=cause) from error
        raise
