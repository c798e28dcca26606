"""Shell completion knows the choices, before and after the word ``run``."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("line", ["sr-experiments model=ed", "sr-experiments run scale=2 model=ed"])
def test_choices_are_completed(line: str) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "sr_experiments", "-sc", "query=bash"],
        env=os.environ | {"COMP_LINE": line, "COMP_POINT": str(len(line))},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert said.split() == ["model=edsr", "model=edsr_baseline"]
