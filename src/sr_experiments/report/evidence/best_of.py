"""Of runs that were tuned, as by several learning rates, those that validate best."""

import statistics
from collections.abc import Sequence

from sr_experiments.report.evidence.curves import read_curve
from sr_experiments.report.paper.definition import BestOf, Column
from sr_experiments.runs.records import Run


def best_runs(best_of: BestOf, column: Column, runs: Sequence[Run], notes: list[str]) -> list[Run]:
    """The runs of a column with the best of the values that were tried, scale by scale.

    The last validation PSNR decides, as a mean over seeds: the scores of a table have no part in
    what it shows. Of several values, one with a run that has no such curve, or that diverged, is
    not chosen.

    Args:
        best_of: which settings were tried.
        column: of the runs.
        runs: those that differ in these settings, the scale and the seed only.
        notes: a line is appended for each scale, on what was chosen and from what.
    """
    kept: list[Run] = []
    for scale in sorted({run.scale for run in runs}):
        tried: dict[tuple[object, ...], list[Run]] = {}
        for run in runs:
            if run.scale == scale:
                values = tuple(run.value(path) for path in best_of.settings)
                tried.setdefault(values, []).append(run)
        last = {
            values: psnr
            for values, members in tried.items()
            if (psnr := _last_psnr(members, best_of.protocol, column.weights)) is not None
        }
        place = f"x{scale}, {column.label}"
        name = best_of.settings[0].partition(".")[2]
        if len(tried) == 1:
            ((only, members),) = tried.items()
            kept += members
            notes.append(f"{place}: {name}={only[0]}, and no other was tried")
            continue
        others = ", ".join(
            f"{values[0]} ({last[values]:.2f} dB)" if values in last else f"{values[0]} (unknown)"
            for values in tried
        )
        if not last:
            notes.append(f"{place} is left out: no validation curve tells the best {name}")
            continue
        best = max(last, key=lambda values: last[values])
        kept += tried[best]
        notes.append(
            f"{place}: {name}={best[0]}, the best on our validation images at the end of training "
            f"(PSNR by {best_of.protocol}, mean over seeds) of {others}; scored images had no say"
        )
    return kept


def _last_psnr(runs: Sequence[Run], protocol: str, weights: str) -> float | None:
    curves = [None if run.diverged else read_curve(run, protocol, weights) for run in runs]
    values = [float(curve.psnr[-1]) for curve in curves if curve is not None]
    return statistics.fmean(values) if len(values) == len(runs) else None
