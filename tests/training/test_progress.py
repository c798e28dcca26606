"""What is shown while a run trains and scores."""

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from sr_experiments.training.callbacks import progress
from sr_experiments.training.callbacks.progress import RunProgress


def score(bar: bool) -> str:
    """What appears while three images of two sets are scored."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=bar, width=100)
    shown: Any = RunProgress("edsr x2", 0, console, bar)
    trainer: Any = SimpleNamespace(num_test_batches=[2, 1], global_step=0)
    shown.on_test_start(trainer, None)
    for number in range(3):
        shown.on_test_batch_end(trainer, None, None, None, number)
        shown.progress.refresh()
    shown.on_test_end(trainer, None)
    return text.getvalue()


def test_a_terminal_shows_a_bar_with_images_and_the_time_left():
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", score(bar=True))
    assert "scoring edsr x2" in shown
    assert "1/3" in shown and "3/3" in shown
    assert re.search(r"\d:\d\d:\d\d", shown)


@pytest.mark.parametrize(("pause", "lines"), [(0.0, 2), (progress._SCORING, 0)])
def test_a_log_gets_a_plain_line_now_and_then(pause, lines, monkeypatch):
    monkeypatch.setattr(progress, "_SCORING", pause)
    shown = score(bar=False)
    assert "\x1b" not in shown and "\r" not in shown
    assert len(shown.splitlines()) == lines
    for number, line in enumerate(shown.splitlines(), 1):
        assert re.fullmatch(rf"  scored {number} of 3 images  \d+ s left", line)
