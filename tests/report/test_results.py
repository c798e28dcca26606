"""The runs in ``results/``: complete, neutral, and one report whoever makes it, and where."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "results" / "desk"
RUNS = sorted(path.parent for path in RESULTS.glob("*/*/status.json"))
MAKEFILE = Path(__file__).resolve().parents[2] / "Makefile"
#: Its arguments are then not installed, as it were.
WITHOUT = """
import sys
names, sys.argv[1:] = sys.argv[1].split(","), sys.argv[2:]
sys.modules.update({name: None for name in names})
from sr_experiments.report.__main__ import main
raise SystemExit(main())
"""


def not_for_reports() -> set[str]:
    """Modules that ``make report-desk`` does not install."""
    install = re.search(r"REPORT\)/bin/python -m pip install.*\\\n\t*(.*)", MAKEFILE.read_text())
    assert install is not None
    wanted, installed = install[1].split(), set[str]()
    while wanted:
        name = re.sub(r"[-_.]+", "-", wanted.pop()).lower()
        if name not in installed:
            installed.add(name)
            with suppress(PackageNotFoundError):  # for another system or an older Python
                needs = [need for need in requires(name) or [] if "extra ==" not in need]
                wanted += [re.split(r"[^\w.-]", need)[0] for need in needs]
    return {
        module
        for module, owners in packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} & installed
    } - {"sr_experiments"}


def test_every_run_is_whole_and_names_no_machine():
    assert RUNS
    for run in RUNS:
        status = json.loads((run / "status.json").read_text())
        assert status["state"] == "finished", run
        names = {"config.yaml", "result.json", "scores.csv", "status.json"}
        trained = json.loads((run / "result.json").read_text())["training"]
        names |= {"history.csv"} if trained else set()
        assert {path.name for path in run.iterdir()} == names
        for file in run.iterdir():
            assert file.stat().st_size < 200_000
            text = file.read_text()
            assert not any(f"{root}/" in text for root in ("/root", "/home", "/work", "/tmp")), file


def test_the_report_is_the_same_bytes_anywhere_and_needs_no_torch(tmp_path):
    folders = [run.relative_to(RESULTS) for run in RUNS]
    random.Random(0).shuffle(folders)
    for folder in folders:  # the file system lists them in another order
        shutil.copytree(RESULTS / folder, tmp_path / "copy" / "desk" / folder)
    missing, said = ",".join(sorted(not_for_reports())), []
    assert {"torch", "hydra", "lightning", "wandb"} <= set(missing.split(","))
    for runs, zone, seed in (
        (RESULTS, "UTC", "0"),
        (tmp_path / "copy" / "desk", "Asia/Seoul", "7"),
    ):
        out = tmp_path / zone
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT, missing, "--runs", runs, "--out", out],
            env=os.environ | {"TZ": zone, "PYTHONHASHSEED": seed, "LC_ALL": "C"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "Skipped folders" not in done.stdout
        said.append({path.name: path.read_bytes() for path in out.iterdir()})
    first, second = said
    assert first.keys() == second.keys() and "index.html" in first
    assert [name for name in first if first[name] != second[name]] == []
