"""Imports point down the layers, and what must start fast does without torch."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sr_experiments import __main__

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
    "export": 6,
    "api": 6,
    "status": 6,
    "dashboard": 7,
    "ship": 7,
    "sweep": 7,
    "reproduce": 7,
    "__main__": 7,
    "__init__": 7,
}
#: Units of one layer that may import each other all the same: the first the second.
BESIDE = {("reproduce", "sweep"), ("__main__", "sweep")}
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


#: Commands whose --help must start at once.
COMMANDS = (
    *(
        "dashboard",
        "data",
        "downscale",
        "export",
        "report",
        "reproduce",
        "score",
        "serve",
        "ship",
        "speed",
        "status",
        "upscale",
    ),
)
#: Units and modules that must work without torch, as a report on a laptop needs them.
TORCH_FREE = (
    *("core", "config", "report", "data.catalogue", "data.layouts", "data.sources"),
    *(
        "imaging.formats",
        "metrics.protocols",
        "metrics.log_names",
        "runs.identity",
        "runs.directory",
        "runs.records",
    ),
    *("runs.plan", "reproduce.stages", "reproduce.experiments", "status", "sweep"),
)
HEAVY = ("torch", "lightning", "torchmetrics", "kornia", "wandb")


def loads(code: str) -> set[str]:
    """The heavy libraries that are loaded after the code has run in a process of its own."""
    code += f"\nimport sys; print('LOADED', *(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_help_names_every_command():
    found = {path.parent.name for path in PACKAGE.glob("*/__main__.py")}
    found |= {p.stem for p in PACKAGE.glob("*.py") if '__name__ == "__main__"' in p.read_text()}
    assert found - {"__main__"} == set(COMMANDS) == set(__main__.COMMANDS)
    template = (PACKAGE.parents[1] / "conf" / "config.yaml").read_text()
    (named,) = re.findall(r"sr_experiments\.{([a-z,]+)} --help", template)
    assert set(named.split(",")) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_starts_without_torch(command):
    code = f"""
import runpy, sys
sys.argv = ["{command}", "--help"]
try:
    runpy.run_module("sr_experiments.{command}", run_name="__main__")
except SystemExit as done:
    assert not done.code
"""
    assert not loads(code)


def test_modules_that_must_do_without_torch():
    names = []
    for unit in TORCH_FREE:
        place = PACKAGE / unit.replace(".", "/")
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        for file in files:
            parts = file.relative_to(PACKAGE).with_suffix("").parts
            if parts[-1] != "__main__":
                names.append(".".join(("sr_experiments", *parts)).removesuffix(".__init__"))
    code = f"import importlib\nfor name in {names}: importlib.import_module(name)"
    assert not loads(code)
