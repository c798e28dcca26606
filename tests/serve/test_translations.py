import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

from sr_experiments.serve import translations
from sr_experiments.serve.translations import ENGLISH, languages

SERVE = Path(translations.__file__).parent
PACKAGE = SERVE.parent
#: What the page runs on a visitor's file.
USED = ("serve", "upscale", "imaging")


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def calls(*folders: str) -> Iterator[tuple[str, ast.Call]]:
    """Each message or error made with a literal code, and the name of its class."""
    for folder in folders:
        for path in (PACKAGE / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    named = node.func.id in ("UserError", "VisitorError", "Message")
                    if named and node.args and isinstance(node.args[0], ast.Constant):
                        yield node.func.id, node


def templates(*kinds: str) -> dict[str, str]:
    found = {}
    for kind, call in calls(*USED):
        if kind in kinds and len(call.args) > 1:
            code, template = (ast.literal_eval(argument) for argument in call.args[:2])
            assert found.setdefault(code, template) == template, code
    return found


def test_every_language_has_all_texts_with_the_same_placeholders() -> None:
    english = languages()[ENGLISH]
    # A visitor meets the errors of the page, and what English has its own wording for.
    told = templates("VisitorError") | dict(english.messages)
    assert len(languages()) >= 2
    for code, language in languages().items():
        assert language.page.keys() == english.page.keys()
        for key, text in language.page.items():
            assert placeholders(text) == placeholders(english.page[key]), (code, key)
        if code == ENGLISH:
            continue
        missing = {key: told[key] for key in told.keys() - language.messages.keys()}
        assert not missing, f"{code} lacks these messages, here in English"
        assert language.messages.keys() <= told.keys(), code
        for key, text in language.messages.items():
            assert placeholders(text) == placeholders(told[key]), (code, key)


def test_a_wording_of_the_page_is_for_a_message_that_exists_and_uses_its_fields() -> None:
    known = templates("UserError", "Message")
    for code, text in languages()[ENGLISH].messages.items():
        assert placeholders(text) <= placeholders(known[code]) | {"name"}, code
        assert "--" not in text


def test_every_note_of_a_conversion_has_a_wording() -> None:
    codes = {call.args[0].value for kind, call in calls("upscale") if kind == "Message"}  # type: ignore[attr-defined]
    notes = {code for code in codes if code.startswith("note-")}
    # These notes need an option that the page does not offer.
    assert notes - {"note-resumed", "note-video-truncated"} <= languages()[ENGLISH].messages.keys()
    assert len(notes) > 8


def test_an_error_of_the_page_has_the_fields_of_its_template() -> None:
    for kind, call in calls("serve"):
        if kind == "VisitorError":
            fields = {keyword.arg for keyword in call.keywords}
            assert fields == placeholders(ast.literal_eval(call.args[1])), call.args[0]


def test_korean_is_korean() -> None:
    korean = languages()["ko"]
    for key, text in {**korean.page, **korean.messages}.items():
        assert re.search("[가-힣]", text) or not re.search("[a-z]", re.sub(r"\{.*?\}", "", text)), (
            key
        )


def test_script_and_template_use_all_texts_and_no_others() -> None:
    english = languages()[ENGLISH]
    script = "".join(path.read_text() for path in (SERVE / "static").glob("*.js"))
    template = (SERVE / "templates" / "page.html").read_text()
    used = set(re.findall(r'say\(\s*"(\w+)"', script) + re.findall(r'text\("(\w+)"', template))
    assert len(used) > 40 and used <= english.page.keys()
    mentioned = set(re.findall(r"\w+", script + template + (SERVE / "routes.py").read_text()))
    mentioned |= set(re.findall(r"\w+", (SERVE / "app.py").read_text()))
    assert english.page.keys() <= mentioned
