"""Scores of what our runs did not train, to measure them by: bicubic, and weights from files."""

from collections.abc import Sequence
from pathlib import PurePath

from sr_experiments.report.evidence.cells import Cells, ColumnRuns, dataset_cells
from sr_experiments.report.evidence.deviations import config_of
from sr_experiments.report.evidence.groups import BICUBIC_RUNS, holds
from sr_experiments.report.evidence.table import Table
from sr_experiments.report.paper.claims import BICUBIC
from sr_experiments.report.paper.definition import ProtocolPair
from sr_experiments.runs.records import Run

LEGEND = (
    "Not trained by these runs: bicubic, and weights of a file (method=none weights=FILE), by the "
    "protocols of the tables below. PSNR in dB, then SSIM."
)


def anchor_grid(tables: Sequence[Table], runs: Sequence[Run]) -> list[list[str]]:
    """Bicubic and scored weights on the data sets and at the scales of a paper's tables.

    Returns:
        A head and a line for each data set at a scale, as text; nothing if nothing was scored.
    """
    columns: dict[str, list[Run]] = {BICUBIC: [run for run in runs if holds(run, BICUBIC_RUNS)]}
    for run in runs:
        weights = run.value("settings.weights")  # the SHA-256 of the file
        if weights and run.value("choices.method") == "none":
            columns.setdefault(str(weights), []).append(run)
    lines: list[tuple[list[str], dict[str, str]]] = []
    digits = max((table.source.psnr_digits for table in tables), default=0)
    for scale, dataset, protocols in sorted(_places(tables), key=lambda place: place[0]):
        at = {
            name: ColumnRuns("raw", [run for run in members if run.scale == scale])
            for name, members in columns.items()
        }
        cells, images = dataset_cells(dataset, protocols, at, [])
        if cells:
            rules = ", ".join(rule for rule in (protocols.psnr, protocols.ssim) if rule)
            left = [f"x{scale}", dataset, str(len(images)), rules]
            lines.append((left, {name: _text(found, digits) for name, found in cells.items()}))
    shown = [name for name in columns if any(name in cells for _, cells in lines)]
    if not shown:
        return []
    head = ["Scale", "Data set", "Images", "Protocols", *(_label(columns[n][-1]) for n in shown)]
    return [head, *([*left, *(cells.get(name, "-") for name in shown)] for left, cells in lines)]


def _places(tables: Sequence[Table]) -> list[tuple[int, str, ProtocolPair]]:
    """Every data set of the tables, once at each scale and by each pair of protocols."""
    found: dict[tuple[int, str, ProtocolPair], None] = {}
    for table in tables:
        source = table.source
        for row in table.rows:
            if source.average is None or row.dataset != source.average.label:
                pair = source.protocols(row.dataset)
                found[row.scale, row.dataset, ProtocolPair(psnr=pair.psnr, ssim=pair.ssim)] = None
    return list(found)


def _label(run: Run) -> str:
    if holds(run, BICUBIC_RUNS):
        return "Bicubic"
    network = f"{run.network.name} {run.network.size}".strip() if run.network else "?"
    file = (config_of(run.directory) or {}).get("weights") or run.value("settings.weights")
    return f"{network}, {PurePath(str(file)).name}"


def _text(cells: Cells, digits: int) -> str:
    ssim = f" / {cells['ssim'].mean:.4f}" if "ssim" in cells else ""
    return f"{cells['psnr'].mean:.{digits}f}{ssim}"
