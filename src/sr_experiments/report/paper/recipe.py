"""A paper's recipe as data: settings of the config, each with where it is known from."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from sr_experiments.report.paper.strict import StrictModel, Text

#: ``printed`` in the paper; ``inferred`` from what it cites or scores; ``chosen`` by us.
Source = Literal["printed", "inferred", "chosen"]
Scalar = bool | int | float | str | None
Value = Scalar | list[Scalar]

#: What a setting may begin with: the parts of a config that can change what is learned.
HEADS = (
    *("data", "model", "activation", "convolution", "init", "method", "optimizer", "scheduler"),
    *("clipping", "averaging", "training", "start", "start_optimizer", "teacher", "weights"),
)
#: What a whole recipe tells, and the settings any of which tells it. Techniques that the paper does
#: not use count as well: a run with them is not its recipe.
ASPECTS: Mapping[str, tuple[str, ...]] = {
    "training images": ("data.train.source",),
    "network": ("model._target_",),
    "convolution": ("convolution._target_", "model.convolution._target_"),
    "activation": ("activation._target_", "model.activation._target_"),
    "initial values": ("init._target_",),
    "starting weights": ("start", "start.scale", "start.training.epochs"),
    "loss": ("method._target_", "method.loss._target_"),
    "optimiser": ("optimizer._target_",),
    "learning rate": ("training.lr", "optimizer.lr"),
    "schedule": ("scheduler._target_",),
    "gradient clipping": ("clipping.algorithm",),
    "weight averaging": ("averaging._target_",),
    "batch size": ("training.batch_size",),
    "patch size": ("training.patch_size",),
    "epochs": ("training.epochs",),
    "updates of an epoch": ("training.updates_per_epoch",),
}


class Setting(StrictModel):
    """A setting of the recipe.

    Attributes:
        value: by the path's own type; a mapping gives it for each scale.
        source: where it is known from.
        section: the place that prints it, or from which it is inferred.
    """

    value: Value | dict[int, Value]
    source: Source
    section: Text | None = None

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        if self.source != "chosen" and self.section is None:
            raise PydanticCustomError(
                "no_section",
                "a setting that is {source} names its section",
                {"source": self.source},
            )
        return self

    def at(self, scale: int) -> tuple[bool, Value]:
        """Whether the recipe tells the value at a scale, and the value."""
        if isinstance(self.value, dict):
            return scale in self.value, self.value.get(scale)
        return True, self.value


#: By the dotted path of a config, as in ``training.batch_size``.
Recipe = dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$")], Setting]


def untold(recipe: Recipe) -> list[str]:
    """The aspects of a whole recipe that this one says nothing of."""
    return [name for name, paths in ASPECTS.items() if not any(path in recipe for path in paths)]
