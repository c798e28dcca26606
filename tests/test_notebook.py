"""The example notebook trains, scores and plots."""

import json
import runpy
from pathlib import Path

import matplotlib
import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "examples" / "train_and_score.ipynb"


def test_every_cell_runs(tmp_path, environment, monkeypatch, capsys):
    for name in ("SR_RUNS", "SR_CACHE"):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell.get("outputs") for cell in cells)  # made by whoever runs it
    script = tmp_path / "notebook.py"
    script.write_text("\n".join(code).replace("budget=quick", "budget=smoke"), encoding="utf-8")
    names = runpy.run_path(str(script))
    said = capsys.readouterr().out
    for run in ("relu", "mish"):
        (line,) = [line for line in said.splitlines() if line.startswith(f"{run:5} embedded")]
        psnr = names["runs"][run].result().means["embedded"]["raw"]["y"].psnr
        assert f"'y': '{psnr:.2f} dB'" in line
    titles = [axes.get_title() for axes in names["row"]]
    assert titles[-1] == "ground truth" and float(titles[2].split()[-2]) > float(
        titles[0].split()[-2]
    )
    shown = names["images"]["trained"]
    assert shown.shape == names["hr"].shape
    assert names["score"](shown, names["hr"], 2)["y"].psnr == pytest.approx(
        float(titles[1].split()[-2]), abs=0.005
    )
