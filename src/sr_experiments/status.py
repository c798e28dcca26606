"""Show the runs of all sweeps: which are finished, how far the others are, and which are dead.

``python -m sr_experiments.status`` reads run directories alone, so it works while sweeps run, on
another machine that sees the same folder, and without torch.
"""

import json
import os
import platform
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_experiments.core.cli import Parser, command, number
from sr_experiments.core.console import duration, output, print_table
from sr_experiments.core.errors import UserError
from sr_experiments.runs.directory import RunDirectory
from sr_experiments.runs.lease import is_gone
from sr_experiments.runs.records import PROGRESS, STATUS, Progress, Status

if TYPE_CHECKING:
    from rich.table import Table

#: Seconds without a sign of life after which a run counts as dead: six missed heartbeats, or two
#: where its process is known to be gone.
SILENT, SILENT_AND_GONE = 60.0, 20.0
_STYLES = {"running": "cyan", "dead": "red", "failed": "red", "interrupted": "yellow"}


@dataclass(frozen=True)
class RunState:
    """One run.

    Attributes:
        sweep: the experiment whose folder it lies in.
        run: name of its directory.
        state: ``running``, ``finished``, ``failed``, ``interrupted``, or ``dead``: it says that it
            is running, and gave no sign of life for a minute.
        progress: of None where a run wrote none.
        silent: seconds since the last sign of life; None unless it is running or dead.
        error: one line, of a failed run.
    """

    sweep: str
    run: str
    state: str
    progress: Progress | None
    silent: float | None
    error: str | None

    @property
    def left(self) -> float | None:
        """Seconds until the phase ends; None where that is unknown."""
        now = self.progress
        if self.state != "running" or now is None or not now.per_second:
            return None
        return (now.total - now.done) / now.per_second


@command()
def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 when the runs were shown, 2 for a user's mistake."""
    options = _parser().parse_args(argv)
    if options.json:
        runs = [asdict(run) for run in read_runs(options.runs)]
        lines = [r | {"progress": r["progress"] and r["progress"].model_dump()} for r in runs]
        print(json.dumps(lines, indent=1, ensure_ascii=False))
        return 0
    console = output()
    if options.watch is None:
        print_table(console, table(list(read_runs(options.runs)), options.all))
        return 0
    _watch(options)
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="python -m sr_experiments.status",
        description="Show the runs of all sweeps in a folder: which are finished, how far the "
        "others are, and which are dead.",
    )
    default = Path(os.environ.get("SR_RUNS", "runs"))
    parser.add_argument(
        "runs",
        nargs="?",
        type=Path,
        default=default,
        metavar="RUNS",
        help="folder of runs (default: %(default)s)",
    )
    parser.add_argument("--all", action="store_true", help="list finished runs one by one, too")
    parser.add_argument("--json", action="store_true", help="print all that is known, as JSON")
    parser.add_argument(
        "--watch",
        nargs="?",
        const=2.0,
        type=number(0.1),
        metavar="SECONDS",
        help="show it again every so often until Ctrl-C (by default every 2 seconds)",
    )
    return parser


def read_runs(folder: Path) -> Iterable[RunState]:
    """The state of every run below a folder, sweep by sweep.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(
            "no-runs-folder",
            "{folder}: no such folder of runs; name one, or set SR_RUNS",
            folder=folder,
        )
    for path in sorted(folder.glob(f"[!.]*/*/{STATUS}")):
        try:
            status = Status.model_validate_json(path.read_bytes())
        except (OSError, ValueError):
            continue  # being replaced, or not one of ours
        yield _state(path.parent, status)


def _state(directory: Path, status: Status) -> RunState:
    progress, silent = RunDirectory(directory, status.identity).progress(), None
    state = status.state
    if state == "running":
        # A run of an earlier version, or one that has just begun, has no progress.
        file = directory / (STATUS if progress is None else PROGRESS)
        silent = max(0.0, time.time() - file.stat().st_mtime)
        gone = progress is not None and (
            progress.host == platform.node() and is_gone(progress.process)
        )
        if silent > (SILENT_AND_GONE if gone else SILENT):
            state = "dead"
    return RunState(directory.parent.name, directory.name, state, progress, silent, status.error)


def table(runs: list[RunState], every: bool = False) -> "Table":
    """Runs by sweep; finished ones are counted, and listed only if ``every`` is set."""
    from rich.table import Table
    from rich.text import Text

    result = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    for name in ("sweep and run", "state", "progress"):
        result.add_column(name, no_wrap=name != "progress")
    for name in ("PSNR y", "per second", "left"):
        result.add_column(name, justify="right", no_wrap=True)
    result.add_column("where", no_wrap=True)
    result.add_column("silent for", justify="right", no_wrap=True)
    for sweep in dict.fromkeys(run.sweep for run in runs):
        own = [run for run in runs if run.sweep == sweep]
        counts = Counter(run.state for run in own)
        text = ", ".join(f"{count} {state}" for state, count in counts.most_common())
        result.add_row(Text(sweep, "bold"), Text(text))
        for run in own:
            if every or run.state != "finished":
                result.add_row(*_row(run))
    if not runs:
        result.add_row("no run has begun")
    return result


def _row(run: RunState) -> list[Any]:
    from rich.text import Text

    now = run.progress
    name, state = Text(f"  {run.run}"), Text(run.state, _STYLES.get(run.state, ""))
    if now is None:
        return [name, state, Text(run.error or "")]
    progress = f"{now.update:,} of {now.updates:,} updates" if now.updates else ""
    if run.state == "running" and now.phase != "training":
        progress = f"{now.phase} {now.done:,} of {now.total:,} images"
    active = run.state == "running"
    return [
        name,
        state,
        Text(run.error or progress),
        "" if now.psnr is None else f"{now.psnr:.2f}",
        f"{now.per_second:.3g}" if active and now.per_second else "",
        duration(run.left) if run.left is not None else "",
        Text(f"{now.host}, {now.device}" if active else now.host),
        "" if run.silent is None else duration(run.silent),
    ]


def _watch(options: Namespace) -> None:
    """Show the table until Ctrl-C, which is the way to leave it and no failure."""
    from rich.live import Live

    console = output()
    try:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(table(list(read_runs(options.runs)), options.all), refresh=True)
                time.sleep(options.watch)
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    raise SystemExit(main())
