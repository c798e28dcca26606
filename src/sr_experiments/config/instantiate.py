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
            raise UserError(f"{key}.{TARGET}={target}: needs {error.name}, not installed") from None
        except (TypeError, ValueError):  # dots where no name is
            break
        for part in parts[length:]:
            found = getattr(found, part, None)
        if callable(found):
            return typing.cast("Callable[..., Any]", found)
        break
    raise UserError(f"{key}.{TARGET}={target}: no such class or function")


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
        if node.get(TARGET):
            _check_call(node, key, packages)
        for name, value in node.items():
            check(value, f"{key}.{name}", packages=packages)
    elif isinstance(node, str) and packages is not None and "${" in node:
        # Hydra would resolve it, into a node that nobody has checked.
        raise UserError(f"{key}={node}: not a part of a network; refused")
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
    check(node, key, packages=NETWORK_PACKAGES)
    return _call(node, key)


def _check_call(node: Mapping[str, Any], key: str, packages: Collection[str] | None) -> None:
    target = str(node[TARGET])
    if packages is not None and not any(target.startswith(p + ".") for p in packages):
        raise UserError(f"{key}.{TARGET}={target}: not a part of a network; refused")
    called = resolve(target, key)
    if packages is not None and not _defined_in(called, packages):
        raise UserError(f"{key}.{TARGET}={target}: not a part of a network; refused")
    name = target.rsplit(".", 1)[-1]
    parameters = dict(inspect.signature(called).parameters)
    values = {k: v for k, v in node.items() if k not in (TARGET, PARTIAL)}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for k in values:
        if k not in parameters and not open_ended:
            near = difflib.get_close_matches(k, parameters, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(f"{key}.{k}: no such key in {name}{hint} ({', '.join(parameters)})")
    if not node.get(PARTIAL):
        empty = inspect.Parameter.empty
        for k, parameter in parameters.items():
            needed = parameter.default is empty and parameter.kind not in (
                parameter.VAR_KEYWORD,
                parameter.VAR_POSITIONAL,
            )
            if needed and k not in values:
                raise UserError(f"{key}.{k}: {name} needs a value for it")
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
        raise UserError(f"{key}={value}: expected {wanted}") from None
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
            raise UserError(f"{key}: {cause}") from error
        raise
