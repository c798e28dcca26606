"""A run on a dashboard: by which words it is found, and what is shown when it has ended."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sr_experiments.config import instantiate
from sr_experiments.runs.identity import flat, relevant
from sr_experiments.runs.launch import rank
from sr_experiments.runs.records import SCORE_COLUMNS, ImageScore, Result
from sr_experiments.training.loggers import RunLogger

if TYPE_CHECKING:
    from sr_experiments.runs.plan import Plan


def begin_tracking(plan: "Plan") -> Any:
    """The logger of a run; None where none is wanted, nothing is trained or another process logs.

    The config is flat: choices by their groups, then every other key that can change the result.
    """
    config = plan.config
    if not config.logger or not plan.trained or rank() > 0:
        return None
    settings = flat(relevant(config))
    parents = {r: p.identity for r, p in (("start", plan.start), ("teacher", plan.teacher)) if p}
    tags = [config.name, config.paper, config.budget.name, config.choices.get("method")]
    return instantiate.build(config.logger, "logger")(
        directory=plan.directory.path,
        identity=plan.identity,
        name=plan.title,
        group=config.name,
        tags=[str(tag) for tag in dict.fromkeys(tags) if tag],
        config=_flat(settings)
        | dict(config.choices)
        | {"identity": plan.identity, "parents": parents},
    )


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the class of each node, such as ``method.loss: L1Loss``."""
    found = {}
    for key, value in settings.items():
        if key.endswith("._target_"):
            found[key.removesuffix("._target_")] = str(value).rpartition(".")[2]
        elif not key.endswith("._partial_"):
            found[key] = value
    return found


def conclude_tracking(
    logger: RunLogger,
    plan: "Plan",
    result: Result,
    rows: list[tuple[str, str, str, str, ImageScore]],
) -> None:
    """Show a finished run: what it cost, the scores of each image, its weights.

    Args:
        logger: of the run.
        plan: of the run.
        result: of the run.
        rows: of ``scores.csv``.
    """
    facts = {
        "network": result.network.model_dump() if result.network else None,
        "training": result.training.model_dump() if result.training else None,
        "device": result.device,
    }
    logger.log_summary(facts | {"versions": result.versions})
    logger.log_rows("scores", SCORE_COLUMNS, [[*names, *scores] for *names, scores in rows])
    files = [f for k in ("raw", "averaged") if (f := plan.directory.weights_of(k)).is_file()]
    uses = [parent.identity for parent in (plan.start, plan.teacher) if parent]
    logger.log_weights(files, uses, **facts)
