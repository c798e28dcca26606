"""Rules that keep the package easy to find one's way in; each is checked on its source."""

import ast
import re
import string
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "sr_experiments"
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES_IN_A_FOLDER = 15


def owners(pairs: list[tuple[str, Path]]) -> dict[str, list[str]]:
    """Name -> the files that define it, for names that more than one file defines."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, file in pairs:
        found[name].append(str(file.relative_to(PACKAGE)))
    return {name: files for name, files in found.items() if len(files) > 1}


def test_a_class_name_has_one_owner():
    classes = [
        (node.name, file)
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    assert not owners(classes)


def test_a_module_name_has_one_owner():
    assert not owners([(file.stem, file) for file in FILES if not file.stem.startswith("__")])


def test_no_folder_holds_more_modules_than_one_sees_at_a_glance():
    for folder in {file.parent for file in FILES}:
        modules = [file for file in folder.glob("*.py") if file.stem != "__init__"]
        assert len(modules) <= MODULES_IN_A_FOLDER, folder


def test_a_config_is_read_by_attribute():
    assert not [file for file in FILES if re.search(r"config\[", file.read_text())]


def literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def test_a_message_is_a_code_and_a_template_whose_placeholders_are_its_fields():
    templates: dict[str, set[str]] = defaultdict(set)
    wrong = []
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id not in ("UserError", "Message") or file.name == "errors.py":
                continue
            place = f"{file.relative_to(PACKAGE)}:{node.lineno}"
            code, template = (literal(arg) for arg in (node.args + [ast.Constant(None)] * 2)[:2])
            if (
                code is None
                or template is None
                or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)
            ):
                wrong.append(f"{place}: the code or the template is no literal")
                continue
            templates[code].add(template)
            placeholders = {
                re.split(r"[.\[]", name)[0]
                for _, name, _, _ in string.Formatter().parse(template)
                if name is not None
            }
            fields = {keyword.arg for keyword in node.keywords if keyword.arg}
            if node.func.id == "Message" and len(node.args) + len(node.keywords) > 2:
                given = node.args[2] if len(node.args) > 2 else node.keywords[-1].value
                if isinstance(given, ast.Dict):
                    fields = {literal(key) for key in given.keys if key is not None}
            opened = any(keyword.arg is None for keyword in node.keywords)
            if placeholders != fields and not (opened and fields <= placeholders):
                wrong.append(f"{place}: placeholders {placeholders}, fields {fields}")
    assert not wrong, "\n".join(wrong)
    assert not {code for code, texts in templates.items() if len(texts) > 1}
