"""Cost of a variant: parameters, multiply-adds, and time per update and memory on its device."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from sr_experiments.report.evidence.table import Table
from sr_experiments.runs.records import Run

HEAD = (
    *("Scale", "Variant", "Device", "Parameters", "Multiply-adds", "Updates"),
    *("ms per update", "Ratio", "Memory", "Runs"),
)
LEGEND = (
    "Multiply-adds in billions (G) for an output image of 1280x720. "
    "Time of a training step with its loading, median over runs, without validation where the runs "
    "recorded that apart; ratio to the first variant of the same scale and device. Memory: peak of "
    "training, median over runs, allocated on a GPU, else by which the process grew. Runs that "
    "shared a machine with others were slowed by them."
)


@dataclass(frozen=True)
class VariantCost:
    """Cost of the runs of one column at one scale on one kind of device.

    Attributes:
        scale: the scale.
        label: of the column.
        parameters: of the network.
        multiply_adds: for an output of 1280x720; None if not recorded.
        device: as the runs recorded it, with its number of threads if a CPU.
        updates: of a run; None without training.
        milliseconds: median over the runs of their mean time per update; None if none was timed.
        memory: median over the runs of their peak, in bytes; None if none recorded it.
        runs: number of runs.
        ratio: of ``milliseconds`` to those of the first variant at this scale on this device.
    """

    scale: int
    label: str
    parameters: int
    multiply_adds: int | None
    device: str
    updates: int | None
    milliseconds: float | None
    memory: float | None
    runs: int
    ratio: float | None = None


def costs(table: Table) -> list[VariantCost]:
    """The costs of a table's columns by scale and device; a column without runs has none."""
    rows: list[VariantCost] = []
    for scale in sorted({run.scale for run in table.group.members}):
        for column in table.source.columns:
            runs = [run for run in table.group.runs.get(column.id, ()) if run.scale == scale]
            devices: dict[str, list[tuple[Run, float | None]]] = {}
            for run in runs:
                device, milliseconds = timing(run)
                devices.setdefault(device, []).append((run, milliseconds))
            for device, members in sorted(devices.items()):
                rows.append(_cost(scale, column.label, device, members, rows))
    return rows


def timing(run: Run) -> tuple[str, float | None]:
    """The device of a run and its milliseconds per update, where they were recorded."""
    training = run.training
    if training is None or training.seconds is None or not training.updates_timed:
        return run.device, None
    seconds = training.seconds - (training.validation_seconds or 0.0)
    return run.device, 1000 * seconds / training.updates_timed


def _cost(
    scale: int,
    label: str,
    device: str,
    members: Sequence[tuple[Run, float | None]],
    others: Sequence[VariantCost],
) -> VariantCost:
    times = [milliseconds for _, milliseconds in members if milliseconds is not None]
    milliseconds = statistics.median(times) if times else None
    first = next(
        (c.milliseconds for c in others if (c.scale, c.device) == (scale, device)), milliseconds
    )
    peaks = [t.peak_memory for run, _ in members if (t := run.training) and t.peak_memory]
    run = members[0][0]
    return VariantCost(
        scale=scale,
        label=label,
        parameters=run.network.parameters if run.network is not None else 0,
        multiply_adds=run.network.multiply_adds if run.network is not None else None,
        device=device,
        updates=run.training.updates if run.training is not None else None,
        milliseconds=milliseconds,
        memory=statistics.median(peaks) if peaks else None,
        runs=len(members),
        ratio=milliseconds / first if milliseconds and first else None,
    )


def cost_rows(table: Table) -> list[list[str]]:
    """The costs of a table as text cells under :data:`HEAD`."""
    return [
        [
            f"x{cost.scale}",
            cost.label,
            cost.device,
            f"{cost.parameters:,}",
            f"{cost.multiply_adds / 1e9:,.2f} G" if cost.multiply_adds is not None else "-",
            f"{cost.updates:,}" if cost.updates is not None else "-",
            _time(cost.milliseconds),
            f"{cost.ratio:.2f}" if cost.ratio is not None else "-",
            f"{cost.memory / 2**20:,.0f} MiB" if cost.memory is not None else "-",
            str(cost.runs),
        ]
        for cost in costs(table)
    ]


def _time(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.{1 if milliseconds < 100 else 0}f}"
