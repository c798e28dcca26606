"""Jobs, turns, limits and files know nothing of the page that shows them."""

import ast
from pathlib import Path

import sr_experiments.web as web

PAGE = {"page.py", "application.py"}
HTTP = {"routes.py", "receive.py", "guard.py"}


def test_gradio_is_asked_by_the_page_alone_and_http_by_its_own_files() -> None:
    users: dict[str, set[str]] = {}
    for path in Path(web.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                users.setdefault(name.split(".")[0], set()).add(path.name)
    assert users["gradio"] == PAGE
    assert users["starlette"] == HTTP | {"application.py"}
