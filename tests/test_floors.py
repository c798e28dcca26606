"""Imports point down the floors, whatever room a change is made in."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "sr_experiments"
#: room -> the rooms of the suite that it may import.
MAY = {
    "errors": set(),
    "places": {"errors"},
    "commandline": {"errors"},
    "messages": {"errors", "places"},
    "checks": {"errors"},
    "settings": {"errors", "places", "messages", "checks"},
    "parents": {"errors", "settings"},
    "plan": {"errors", "data", "runs", "settings", "parents"},
    "distributed": {"errors", "imaging", "plan"},
    "assembly": {"errors", "factories", "models", "data", "training", "plan"},
    "execution": {
        *("errors", "factories", "models", "metrics", "data", "training", "runs"),
        *("plan", "distributed", "assembly"),
    },
    "run": {"errors", "plan", "runs", "settings", "distributed", "execution"},
    "sweep": {"errors", "imaging", "settings", "distributed", "run", "papers"},
    "workload": {
        *("errors", "places", "messages", "settings", "factories", "imaging", "models", "metrics"),
        *("data", "training", "runs", "plan", "sweep", "assembly"),
    },
    "reproduce": {"errors", "papers", "workload"},
    "apply": {"errors", "imaging", "models", "factories"},
    "upscale": {"errors", "imaging", "apply", "commandline"},
    "speed": {"errors", "apply", "commandline"},
    "web": {"errors", "imaging", "metrics", "apply"},
    "serve": {"errors", "apply", "web", "commandline"},
    "imaging": {"errors"},
    "models": {"errors", "imaging"},
    "metrics": {"errors", "imaging"},
    "runs": {"errors", "imaging"},
    "data": {"errors", "imaging"},
    "training": {"errors", "imaging", "models", "metrics", "data"},
    "papers": {"errors", "imaging", "places"},
}
#: room -> libraries that it must do without.
WITHOUT = {
    "imaging": {"lightning", "hydra", "wandb"},
    "models": {"lightning", "hydra", "omegaconf", "wandb", "pathlib", "logging"},
    "metrics": {"lightning", "hydra", "omegaconf", "wandb", "pathlib", "logging"},
    "runs": {"torch", "lightning", "hydra", "wandb"},
    "data": {"hydra", "omegaconf", "wandb"},
    "training": {"hydra", "omegaconf"},
    "papers": {"torch", "lightning", "hydra", "wandb"},
    "web": {"lightning", "hydra", "wandb"},
    "serve": {"lightning", "hydra", "wandb"},
}


def imported(path: Path) -> set[str]:
    """All modules that a file imports, inside functions too; type-checking imports included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("room", sorted(MAY))
def test_a_room_imports_only_what_lies_below_it(room):
    place = PACKAGE / room
    files = list(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    assert files
    for file in files:
        names = imported(file)
        own = {n.split(".")[1] for n in names if n.startswith("sr_experiments.")}
        assert own <= MAY[room] | {room}, file
        assert not {n.split(".")[0] for n in names} & WITHOUT.get(room, set()), file
