"""What every test may use."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def _research_root() -> Path | None:
    """Research images beside the repository, or where ``SR_RESEARCH`` points."""
    root = Path(os.environ.get("SR_RESEARCH", REPOSITORY.parent / "shared" / "data"))
    return root if (root / "benchmark" / "Set5").is_dir() else None


@pytest.fixture(scope="session")
def research() -> Path:
    """The folder of research images; tests that need it run wherever it is."""
    root = _research_root()
    if root is None:
        pytest.skip("no research images beside the repository")
    return root
