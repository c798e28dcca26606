"""Loading a file of ``sweeps/``; a mistake is reported with file, line and key."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sr_experiments.core.errors import Message, UserError
from sr_experiments.core.paths import shipped
from sr_experiments.report.paper.consistency import Location, inconsistencies
from sr_experiments.report.paper.definition import Paper

#: libyaml takes a tenth of the time; not every build of PyYAML has it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def papers() -> list[str]:
    """Names of the papers in ``sweeps/``, sorted."""
    return sorted(path.stem for path in shipped("sweeps").glob("*.yaml"))


def load_paper(name_or_path: str | Path) -> Paper:
    """Load a paper by its name in ``sweeps/``, or from a YAML file.

    Raises:
        UserError: the paper is unknown (the message lists the known ones), or its file is invalid
            (the message names file, line and key).
    """
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        known = papers()
        if str(name_or_path) not in known:
            raise UserError(
                "paper-unknown",
                "unknown paper '{name}'; choose {known}, or name a YAML file",
                name=name_or_path,
                known=", ".join(known),
            )
        path = shipped("sweeps") / f"{name_or_path}.yaml"
    root, data = _parse(path)
    try:
        paper = Paper.model_validate(data)
    except ValidationError as error:
        problems = [_problem(root, detail) for detail in error.errors(include_url=False)]
    else:
        problems = [(*_place(root, at), message) for at, message in inconsistencies(paper)]
        if not problems:
            return paper
    line, key, problem = problems[0]
    more = Message("paper-more-problems", " (and {count} more)", {"count": len(problems) - 1})
    raise UserError(
        "paper-invalid",
        "{path}:{line}: {key}: {problem}{more}",
        path=path,
        line=line,
        key=key or "the file",
        problem=problem,
        more=more if len(problems) > 1 else "",
    )


def _parse(path: Path) -> tuple[yaml.Node, Any]:
    """The file as nodes, which know their lines, and as data."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError("paper-not-utf8", "{path}: not a UTF-8 text file", path=path) from None
    except OSError as error:
        raise UserError(
            "paper-unreadable",
            "{path}: cannot be read ({reason})",
            path=path,
            reason=error.strerror or error,
        ) from None
    try:
        loader = LOADER(text)
        root = loader.get_single_node()
        if root is None:
            raise UserError("paper-empty", "{path}:1: the file is empty", path=path)
        for line, key in _duplicate_keys(root, set()):
            raise UserError(
                "paper-duplicate-key",
                "{path}:{line}: {key}: duplicate key; remove one",
                path=path,
                line=line,
                key=key,
            )
        return root, loader.construct_document(root)
    except yaml.YAMLError as error:
        # Without a mark (an illegal character) the first line has to do.
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        raise UserError(
            "paper-not-yaml",
            "{path}:{line}: not valid YAML: {reason}",
            path=path,
            line=mark.line + 1 if mark is not None else 1,
            reason=getattr(error, "problem", None) or " ".join(str(error).split()),
        ) from None


def _duplicate_keys(node: yaml.Node, seen: set[int]) -> Iterator[tuple[int, str]]:
    """Keys of which PyYAML would silently take the last; ``seen`` breaks recursive anchors."""
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
            yield from _duplicate_keys(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _duplicate_keys(value, seen)


def _problem(root: yaml.Node, detail: Any) -> tuple[int, str, object]:
    """Line, key and problem of one of pydantic's errors."""
    location: Location = detail["loc"]
    if detail["type"] == "unknown_key":
        return *_place(root, (*location, detail["ctx"]["key"])), detail["msg"]
    line, key = _place(root, location)
    if detail["type"] == "missing":
        key = f"{key}.{location[-1]}" if key else str(location[-1])
        return line, key, Message("paper-missing-key", "this key is missing")
    reason = detail["msg"][:1].lower() + detail["msg"][1:]
    if isinstance(detail["input"], dict | list):
        return line, key, reason
    problem = Message(
        "paper-invalid-value",
        "{reason}, found {value}",
        {"reason": reason, "value": repr(detail["input"])},
    )
    return line, key, problem


def _place(root: yaml.Node, location: Location) -> tuple[int, str]:
    """Line (from 1) and dotted key of the deepest part of a location that the file has.

    Parts that pydantic adds (the branch of a union, ``[key]``) are not in the file and dropped.
    """
    node, line, key = root, root.start_mark.line + 1, ""
    for part in location:
        child: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                if isinstance(name, yaml.ScalarNode) and _same_key(name.value, part):
                    child, line = value, name.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            child = node.value[part] if part < len(node.value) else None
            line = child.start_mark.line + 1 if child is not None else line
        if child is not None:
            node = child
            key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else part
    return line, key


def _same_key(written: str, part: str | int) -> bool:
    """Whether a key of the file is a part of a location; YAML allows ``1_000`` for 1000."""
    return written.replace("_", "") == str(part) if isinstance(part, int) else written == part
