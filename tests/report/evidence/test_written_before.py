"""Run directories that an earlier version wrote are still read by the report.

``fixtures`` holds the text files of two runs of ``budget=smoke`` as they were written on 2026-11-25
by version 0.1.0, with the machine's paths replaced; nothing in it is to be brought up to date.
"""

from pathlib import Path

import pytest

from sr_experiments.report.evidence.collect import collect
from sr_experiments.report.evidence.cost import costs
from sr_experiments.report.evidence.curves import read_curve
from sr_experiments.report.evidence.table import build_tables
from sr_experiments.report.paper.load import load_paper

FIXTURES = Path(__file__).parent / "fixtures"


def test_runs_written_before_stand_in_their_table() -> None:
    collection = collect(FIXTURES)
    assert collection.skipped == []
    assert {(run.directory.name, run.budget) for run in collection.runs} == {
        ("bicubic-x2-835f4336", "smoke"),
        ("edsr-x2-relu-smoke-s0-4f17fbb5", "smoke"),
    }
    (table,) = build_tables(load_paper("activation"), collection.runs)
    assert table.budget == "smoke"
    (row,) = [row for row in table.rows if row.ours]
    assert (row.scale, row.dataset, row.images) == (2, "embedded", 4)
    assert row.ours.keys() == {"relu"}
    assert row.ours["relu"]["psnr"].by_seed == {0: pytest.approx(17.248956888, abs=1e-8)}
    assert row.ours["relu"]["ssim"].mean == pytest.approx(0.285456871, abs=1e-8)
    assert row.bicubic["psnr"].mean == pytest.approx(32.193526760, abs=1e-8)
    (cost,) = costs(table)
    assert (cost.device, cost.multiply_adds) == ("cpu (2 threads)", 1_177_804_800)
    assert cost.milliseconds == pytest.approx(1590.9, abs=0.1)


def test_what_a_run_written_before_says_of_itself() -> None:
    (run,) = [run for run in collect(FIXTURES).runs if run.network and run.network.name == "EDSR"]
    assert run.value("choices.activation") == "relu"
    assert run.value("settings.optimizer.lr") == 0.001
    assert (run.value("network.size"), run.value("training.updates")) == ("1x8", 8)
    curve = read_curve(run, "y", "raw")
    assert curve is not None
    assert curve.updates.tolist() == [4, 8]
    assert curve.psnr == pytest.approx([14.98533687439111, 16.31165843176265])
