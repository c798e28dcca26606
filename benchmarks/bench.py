"""``make bench``: measure the speed of the suite, each figure with its target.

Peers are checkouts of other projects; see README.md in this folder.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: the targets are for one core

import peers
import torch
from figures import FIGURES
from gpu import gpu
from growth import growth
from machine import MACHINE
from processes import PROCESSES
from rich.console import Console
from rich.table import Table
from timing import Figure

from sr_experiments.core.device import processor


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table, write JSON.

    Returns:
        0, also where a target is missed: on a loaded machine this proves nothing.
    """
    known = FIGURES | PROCESSES | MACHINE | {"gpu": gpu}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "only", nargs="*", help=f"figures to measure: {', '.join(known)} (default: these), growth"
    )
    parser.add_argument(
        "--json", type=Path, default=Path("bench.json"), help="output file (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=9, help="rounds per figure (default: %(default)s)"
    )
    options = parser.parse_args(argv)
    chosen = options.only or list(known)
    known["growth"] = growth
    if unknown := set(chosen) - set(known):
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(known)}")
    torch.set_num_threads(1)
    console = Console()
    measured: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            with console.status(f"measuring {name}"):
                work_folder = Path(folder) / name
                work_folder.mkdir()
                measured += known[name](work_folder, options.rounds)
    console.print(_table(measured))
    for reason in peers.absent.values():
        console.print(f"left out: {reason}", highlight=False, soft_wrap=True)
    machine = {
        "processor": processor(),
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
    }
    lines = [vars(f) | {"wanted": f.wanted, "verdict": f.verdict} for f in measured]
    text = json.dumps({"machine": machine, "absent": peers.absent, "figures": lines}, indent=1)
    options.json.write_text(text + "\n")
    console.print(f"written to {options.json}", highlight=False)
    return 0


def _table(measured: list[Figure]) -> Table:
    table = Table(title="One thread, processor time, medians")
    for column in ("figure", "ours", "peer", "ratio", "target", "", "note"):
        table.add_column(column, justify="right" if column in ("ours", "peer", "ratio") else "left")
    for figure in measured:
        peer = f"{_short(figure.peer)} {figure.peer_name}" if figure.peer else ""
        ratio = f"{figure.ratio:.3g}" if figure.ratio else ""
        ours = f"{_short(figure.ours)} {figure.unit}"
        row = (ours, peer, ratio, figure.wanted, figure.verdict, figure.note)
        table.add_row(figure.name, *row)
    return table


def _short(value: float) -> str:
    """Three significant digits, or all before the decimal point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    raise SystemExit(main())
