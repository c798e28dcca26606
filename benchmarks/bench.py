"""``make bench``: the figures that the suite's speed is judged by, each with its target.

Peers are other projects' checkouts beside this one; see README.md in this folder.
"""

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: one core is what the targets are about

import peers
import torch
from figures import FIGURES
from gpu import gpu
from growth import growth
from processes import PROCESSES
from rich.console import Console
from rich.table import Table
from timing import Figure


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table, write JSON.

    Returns:
        0 whether or not a target is met: a figure is no verdict on a loaded machine.
    """
    known = FIGURES | PROCESSES | {"gpu": gpu}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", help=f"some of {', '.join(known)}, growth")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where to write")
    parser.add_argument("--rounds", type=int, default=9, help="counted rounds of each figure")
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
                place = Path(folder) / name
                place.mkdir()
                measured += known[name](place, options.rounds)
    console.print(_table(measured))
    for why in peers.absent.values():
        console.print(f"left out: {why}", highlight=False, soft_wrap=True)
    machine = {
        "processor": platform.processor() or platform.machine(),
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
    for one in measured:
        peer = f"{_short(one.peer)} {one.peer_name}" if one.peer else ""
        ratio = f"{one.ratio:.3g}" if one.ratio else ""
        row = (f"{_short(one.ours)} {one.unit}", peer, ratio, one.wanted, one.verdict, one.note)
        table.add_row(one.name, *row)
    return table


def _short(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    raise SystemExit(main())
