"""Measuring speed: what is counted, and how long it takes. How fast is not tested."""

import pytest
import torch

from sr_experiments.models.bicubic import Bicubic
from sr_experiments.speed import main
from sr_experiments.upscale import throughput
from sr_experiments.upscale.throughput import measured, quick
from sr_experiments.upscale.upscaler import Upscaler


class Clocked(Upscaler):
    """Takes a fixed time for each pixel, by a clock of its own."""

    def __init__(self, monkeypatch, per_pixel, batch=None):
        super().__init__(Bicubic(2), 2, batch=batch)
        self.now, self.per_pixel, self.seen = 0.0, per_pixel, []
        monkeypatch.setattr(throughput.time, "perf_counter", lambda: self.now)

    def frames(self, frames, progress=lambda pixels: None):
        self.seen.append(tuple(frames.shape))
        slow = 3 if len(self.seen) == 1 else 1  # the first one warms up
        self.now += slow * self.per_pixel * frames[:, 0].numel()
        return frames


def test_measured_counts_frames(monkeypatch):
    upscaler = Clocked(monkeypatch, 1e-6, batch=3)
    speed = measured(upscaler, 100, 200, seconds=1.0)
    assert set(upscaler.seen) == {(3, 3, 100, 200)}
    assert speed.per_second == pytest.approx(50)
    assert 1.0 <= upscaler.now < 1.1


@pytest.mark.parametrize("per_pixel", [1e-8, 1e-6, 1e-5, 1e-4, 1e-3])
def test_a_quick_speed_takes_two_seconds_at_most(monkeypatch, per_pixel):
    upscaler = Clocked(monkeypatch, per_pixel)
    speed = quick(upscaler)
    assert upscaler.now <= 2
    assert speed.estimated == (per_pixel > 3e-6)
    # Of a frame of 640x360, whatever was tried; the warming up counts if there is no time left.
    assert 1 / speed.per_second == pytest.approx(per_pixel * 640 * 360, rel=2.1)
    if per_pixel < 1e-4:
        assert 1 / speed.per_second == pytest.approx(per_pixel * 640 * 360)


def test_the_table(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("SR_CACHE", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "50")  # narrower than the table, which is not folded
    call = [
        "--size",
        "40x30",
        "24x16",
        "--batch",
        "1",
        "2",
        "--seconds",
        "0",
        "--scale",
        "2",
        "1.5",
    ]
    assert main([*call, "--model", "bicubic", "vdsr"]) == 0
    title, head, *lines = capsys.readouterr().out.splitlines()
    count = torch.get_num_threads()
    assert f"{count} thread" in title and "RGB" in title
    columns = ["network", "scale", "from", "to", "engine", "batch", "frames/s", "ms", "a", "frame"]
    assert head.split() == columns
    rows = [line.split() for line in lines]
    assert len(rows) == 2 * 2 * 2 * 2
    assert ["x1.5", "40x30", "60x45", "torch", "2"] in [row[-7:-2] for row in rows]
    assert all(float(row[-2]) > 0 for row in rows)
    assert len({len(line) for line in lines}) == 1  # aligned


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--size 0x3", "--size: 0x3"),
        ("--size big", "--size: big"),
        ("--batch 0", "--batch: 0"),
        ("--seconds x", "--seconds: x"),
        ("--scale 9", "--scale: 9"),
        ("--model nothing", "--model nothing"),
        ("--engine gpu", "--help"),
    ],
)
def test_a_mistake_is_one_line(capsys, arguments, says):
    assert main(arguments.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and says in error
