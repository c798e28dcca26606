"""The mean of several columns, which a claim may compare a column with."""

from collections.abc import Sequence
from dataclasses import replace

from sr_experiments.report.evidence.pairs import ComparedColumn
from sr_experiments.runs.records import ImageScore, Run, ScoreKey


def mean_column(columns: Sequence[ComparedColumn]) -> ComparedColumn:
    """A column whose scores are the mean over columns, image by image and seed by seed.

    A single column is returned as it is. A scale, seed or image that one of them lacks is left out.
    """
    first, *others = columns
    if not others:
        return first
    scales = set.intersection(*({run.scale for run in column.runs} for column in columns))
    runs: list[Run] = []
    for scale in sorted(scales):
        by_column = [column.by_seed(scale) for column in columns]
        for seed in sorted(set.intersection(*(set(by_seed) for by_seed in by_column))):
            members = [by_seed[seed] for by_seed in by_column]
            runs.append(replace(members[0], scores=_mean_scores(members)))
    label = "mean of " + ", ".join(column.label for column in columns)
    return replace(first, label=label, runs=runs)


def _mean_scores(runs: Sequence[Run]) -> dict[ScoreKey, dict[str, ImageScore]]:
    scores: dict[ScoreKey, dict[str, ImageScore]] = {}
    for key in set.intersection(*(set(run.scores) for run in runs)):
        tables = [run.scores[key] for run in runs]
        for image in set.intersection(*(set(table) for table in tables)):
            found = [table[image] for table in tables]
            scores.setdefault(key, {})[image] = ImageScore(
                sum(score.psnr for score in found) / len(found),
                _mean([score.ssim for score in found]),
                _mean([score.mean_error for score in found]),
            )
    return scores


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
