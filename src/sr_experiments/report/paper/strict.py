"""The base of all models of ``sweeps/`` files, and the types that they share."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from sr_experiments.metrics.protocols import PROTOCOLS

#: The two scores of a cell, in the order of a table's sub-columns.
Metric = Literal["psnr", "ssim"]
METRICS: tuple[Metric, Metric] = ("psnr", "ssim")


def _protocol(name: str) -> str:
    if name not in PROTOCOLS:
        raise PydanticCustomError(
            "unknown_protocol", "a protocol: {known}", {"known": ", ".join(PROTOCOLS)}
        )
    return name


def _with_ssim(name: str) -> str:
    if PROTOCOLS[_protocol(name)].ssim_window is None:
        raise PydanticCustomError("no_ssim", "a protocol that has an SSIM", {})
    return name


PsnrProtocol = Annotated[str, AfterValidator(_protocol)]
SsimProtocol = Annotated[str, AfterValidator(_with_ssim)]

Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Count = Annotated[int, Field(gt=0)]


class StrictModel(BaseModel):
    """An immutable model without unknown keys or type conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys_only(cls, data: Any) -> Any:
        """Name the known keys, which pydantic's own error does not."""
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    known = ", ".join(cls.model_fields)
                    raise PydanticCustomError(
                        "unknown_key",
                        "unknown key; known are {known}",
                        {"key": str(key), "known": known},
                    )
        return data
