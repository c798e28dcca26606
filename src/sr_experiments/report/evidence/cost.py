"""What a variant costs: parameters, multiply-adds, and the time of an update on its device."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from sr_experiments.report.evidence.table import Table
from sr_experiments.runs.records import Run

HEAD = (
    *("Scale", "Variant", "Device", "Parameters", "Multiply-adds", "Updates"),
    *("ms per update", "Ratio", "Runs"),
)
LEGEND = (
    "Multiply-adds in billions (G), for an output of 1280x720. "
    "Time of a training step with its loading and validation, median over runs; ratio to the "
    "first variant of the same scale and device. Runs that shared a machine with others were "
    "slowed by them."
)


@dataclass(frozen=True)
class VariantCost:
    """Of the runs of one column at one scale on one kind of device.

    ``milliseconds`` is the median over the runs of their mean time of an update, None where no run
    has timed any; ``against`` is the ratio to the first variant on the same scale and device.
    """

    scale: int
    label: str
    parameters: int
    multiply_adds: int | None
    device: str
    updates: int | None
    milliseconds: float | None
    runs: int
    against: float | None = None


def costs(table: Table) -> list[VariantCost]:
    """The costs of a table's columns, by scale; a column without runs has no line."""
    found: list[VariantCost] = []
    for scale in sorted({run.scale for run in table.group.members}):
        for column in table.source.columns:
            runs = [run for run in table.group.runs.get(column.id, ()) if run.scale == scale]
            devices: dict[str, list[tuple[Run, float | None]]] = {}
            for run in runs:
                device, milliseconds = timing(run)
                devices.setdefault(device, []).append((run, milliseconds))
            for device, members in sorted(devices.items()):
                found.append(_cost(scale, column.label, device, members, found))
    return found


def timing(run: Run) -> tuple[str, float | None]:
    """The device of a run, and the milliseconds of an update."""
    training = run.training
    if training is None or training.seconds is None or not training.updates_timed:
        return run.device, None
    return run.device, 1000 * training.seconds / training.updates_timed


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
    run = members[0][0]
    return VariantCost(
        scale=scale,
        label=label,
        parameters=run.network.parameters if run.network is not None else 0,
        multiply_adds=run.network.multiply_adds if run.network is not None else None,
        device=device,
        updates=run.training.updates if run.training is not None else None,
        milliseconds=milliseconds,
        runs=len(members),
        against=milliseconds / first if milliseconds and first else None,
    )


def cost_rows(table: Table) -> list[list[str]]:
    """The costs of a table as texts under :data:`HEAD`."""
    return [
        [
            f"x{cost.scale}",
            cost.label,
            cost.device,
            f"{cost.parameters:,}",
            f"{cost.multiply_adds / 1e9:,.2f} G" if cost.multiply_adds is not None else "-",
            f"{cost.updates:,}" if cost.updates is not None else "-",
            _time(cost.milliseconds),
            f"{cost.against:.2f}" if cost.against is not None else "-",
            str(cost.runs),
        ]
        for cost in costs(table)
    ]


def _time(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.{1 if milliseconds < 100 else 0}f}"
