"""Imports point down the layers, and what must start fast does without torch."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "sr_experiments"
#: Unit of the package -> its layer. A module may import its own unit and lower layers.
LAYERS = {
    "core": 1,
    "config": 2,
    "imaging": 2,
    "models": 3,
    "metrics": 3,
    "data": 3,
    "downscale": 3,
    "training": 4,
    "upscale": 4,
    "score": 4,
    "runs": 5,
    "serve": 5,
    "speed": 5,
    "report": 6,
    "sweep": 8,
    "reproduce": 8,
    "__main__": 8,
    "__init__": 8,
}
#: Units of one layer that may import each other all the same: the first the second.
BESIDE = {("imaging", "config"), ("reproduce", "sweep"), ("__main__", "sweep")}
FILES = sorted(PACKAGE.rglob("*.py"))


def unit(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(file: Path) -> set[str]:
    """All modules that a file imports, inside functions too; type-checking imports included."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_a_module_imports_only_what_lies_below_it(file):
    own = unit(file)
    for name in imported(file):
        if not name.startswith("sr_experiments."):
            continue
        other = name.split(".")[1]
        below = LAYERS[other] < LAYERS[own] or other == own or (own, other) in BESIDE
        assert below, f"{own} (layer {LAYERS[own]}) imports {name} (layer {LAYERS[other]})"
