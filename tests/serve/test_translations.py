import ast
import re
from pathlib import Path
from string import Formatter

from sr_experiments import apply
from sr_experiments.serve import notes
from sr_experiments.serve.languages import WORDS

STATIC = Path(notes.__file__).parent / "static"


def blanks(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_say_the_same_with_the_same_blanks() -> None:
    for key, (english, korean) in WORDS.items():
        assert blanks(english) == blanks(korean), key
        assert re.search("[가-힣]", korean) and english.isascii(), key


def test_the_script_has_all_its_words() -> None:
    script = "".join(path.read_text() for path in STATIC.glob("*.js"))
    used = set(re.findall(r'say\(\s*"(\w+)"', script))
    assert len(used) > 25 and used <= WORDS.keys()


def test_each_note_of_the_videos_has_its_korean() -> None:
    said = set()
    for path in Path(apply.__path__[0]).glob("video*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if called and node.func.attr == "append" and "notes" in ast.unparse(node.func):
                said.add(_text(node.args[0]))
    # Of a video that is cut short the page gives none.
    said = {note for note in said if "cut short" not in note}
    assert len(said) >= 8
    for note in said:
        assert re.search("[가-힣]", notes.say_note(note, "ko")), note
        assert notes.say_note(note, "en") == note


def _text(node: ast.expr) -> str:
    """A note with something for each of its blanks."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.JoinedStr)
    parts = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            parts.append(str(part.value))
        elif isinstance(part, ast.FormattedValue):
            kind = "subtitles" if "hold" in "".join(parts) else "cover picture"
            parts.append(kind if ast.unparse(part.value) == "what" else "8")
    return "".join(parts)
