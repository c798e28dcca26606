"""Reading a file of ``sweeps/``; a mistake in it is named with file, line and key."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sr_experiments.core.errors import UserError
from sr_experiments.core.paths import shipped
from sr_experiments.report.paper.definition import Location, Paper, contradictions


def papers() -> list[str]:
    """Names of the papers at hand, sorted."""
    return sorted(path.stem for path in shipped("sweeps").glob("*.yaml"))


def load_paper(name_or_path: str | Path) -> Paper:
    """Read a paper by its name in ``sweeps/`` or from a YAML file.

    Raises:
        UserError: there is no such paper, or the file is not a valid one; the message names the
            choices, or file, line and key.
    """
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        known = papers()
        if str(name_or_path) not in known:
            raise UserError(f"no paper is called '{name_or_path}'; choose {', '.join(known)}")
        path = shipped("sweeps") / f"{name_or_path}.yaml"
    root, data = _read(path)
    try:
        paper = Paper.model_validate(data)
    except ValidationError as error:
        problems = [_problem(root, detail) for detail in error.errors(include_url=False)]
    else:
        problems = [(_place(root, at), message) for at, message in contradictions(paper)]
        if not problems:
            return paper
    (line, key), message = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise UserError(f"{path}:{line}: {key or 'the file'}: {message}{more}")


def _read(path: Path) -> tuple[yaml.Node, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text in UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            raise UserError(f"{path}:1: the file is empty")
        for line, key in _duplicates(root, set()):
            raise UserError(f"{path}:{line}: {key}: the key stands twice in one mapping")
        return root, loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise UserError(f"{path}:{line}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None


def _duplicates(node: yaml.Node, seen: set[int]) -> Iterator[tuple[int, str]]:
    """Keys that PyYAML would let the last one win of; ``seen`` ends anchors that loop."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in names:
                    yield key.start_mark.line + 1, key.value
                names.add(key.value)
            yield from _duplicates(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _duplicates(value, seen)


def _problem(root: yaml.Node, detail: Any) -> tuple[tuple[int, str], str]:
    location: Location = detail["loc"]
    if detail["type"] == "unknown_key":
        location = (*location, detail["ctx"]["key"])
        message = detail["msg"]
    elif detail["type"] == "missing":
        message = "this key is missing"
    else:
        message = detail["msg"][:1].lower() + detail["msg"][1:]
        if not isinstance(detail["input"], dict | list):
            message += f", found {detail['input']!r}"
    line, key = _place(root, location)
    if detail["type"] == "missing":
        key = f"{key}.{location[-1]}" if key else str(location[-1])
    return (line, key), message


def _place(root: yaml.Node, location: Location) -> tuple[int, str]:
    """Line (from 1) and dotted key of the deepest part of a location that the file has.

    What pydantic adds to it (the branch of a union, ``[key]``) is not in the file and left out.
    """
    node, line, found = root, root.start_mark.line + 1, []
    for part in location:
        child: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and _same_key(key.value, part):
                    child, line = value, key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            child = node.value[part] if part < len(node.value) else None
            line = child.start_mark.line + 1 if child is not None else line
        if child is None:
            continue
        node = child
        found.append(part)
    return line, _dotted(tuple(found))


def _same_key(written: str, part: str | int) -> bool:
    return written.replace("_", "") == str(part) if isinstance(part, int) else written == part


def _dotted(location: Location) -> str:
    """``tables[0].columns[1].where``; a number below ``published`` is a key, and reads the same."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
