"""The networks that a visitor can choose from.

Networks are loaded inside the functions: PyTorch takes seconds to import, and the page is served
meanwhile.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from sr_experiments.core.device import choose_device
from sr_experiments.core.errors import UserError
from sr_experiments.serve.jobs import SCALES, JobSettings, Media, MediaKind
from sr_experiments.serve.refusals import VisitorError
from sr_experiments.upscale.shipped import default_network, shipped

if TYPE_CHECKING:
    from sr_experiments.upscale.upscaler import Upscaler

BICUBIC = "bicubic"
#: Side of a tile on a CPU: the values are the same, and a job can be cancelled between two tiles.
TILE = 320
#: Pixels of a video frame that takes seconds, so that it is worth a tile.
LARGE_FRAME = 1_000_000


class ModelList:
    """Networks by name: those that ship, those of the command line, and bicubic.

    Args:
        more: ``NAME=PATH``, a run's directory or a file of weights.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UserError: a network cannot be loaded, a name is taken, or there is no GPU.
    """

    def __init__(self, more: Sequence[str] = (), device: str = "auto") -> None:
        self._device = device
        self._models: dict[str, str] = {name: name for name in shipped()}
        #: Fields of the page's line on speed, once it is measured.
        self.speed: Mapping[str, object] | None = None
        if device == "cuda":
            choose_device(device)
        for pair in more:
            name, equals, path = pair.partition("=")
            name = name.strip()
            if not equals or not name or not path:
                raise UserError(
                    "model-option-malformed",
                    "--model {option}: expected NAME=PATH, such as mine=runs/x/y",
                    option=pair,
                )
            if name in self._models or name == BICUBIC:
                raise UserError(
                    "model-name-taken",
                    "--model {option}: there already is a {name}; choose another name",
                    option=pair,
                    name=name,
                )
            from sr_experiments.upscale.load_network import load_network

            load_network(path, Fraction(2))
            self._models[name] = path
        self._models[BICUBIC] = BICUBIC

    @property
    def names(self) -> list[str]:
        """All names, the default first."""
        return sorted(self._models, key=lambda name: name != self.default)

    @property
    def default(self) -> str:
        """The network that is preselected."""
        return default_network() or next(iter(self._models))

    def settings(self, chosen: Mapping[str, object], *, may_keep: bool) -> JobSettings:
        """Validate the settings that a page sent.

        Args:
            chosen: values by the names of :class:`JobSettings`; defaults for what is missing.
            may_keep: consent to being kept can be given on this server.

        Raises:
            VisitorError: a value cannot be chosen.
        """
        model = str(chosen.get("model", self.default))
        scale = {f"{float(s):g}": s for s in SCALES}.get(str(chosen.get("scale", 2)))
        if model not in self._models:
            raise invalid_setting("model")
        if scale is None:
            raise invalid_setting("scale")
        keep = may_keep and chosen.get("keep") is True
        denoise, sharpen = (_strength(chosen, key) for key in ("denoise", "sharpen"))
        return JobSettings(model, scale, denoise, sharpen, keep)

    def upscaler(self, settings: JobSettings, media: Media) -> "Upscaler":
        """What the ``upscale`` command would use for the same choices.

        Raises:
            UserError: the network cannot do this scale.
        """
        from sr_experiments.upscale.load_network import load_network
        from sr_experiments.upscale.upscaler import Upscaler

        device = choose_device(self._device)
        upscaler = Upscaler(
            load_network(self._models[settings.model], settings.scale).network,
            settings.scale,
            device,
            denoise=settings.denoise,
            sharpen=settings.sharpen,
        )
        # A video can be cancelled between two frames.
        small_frame = media.kind is MediaKind.VIDEO and media.width * media.height < LARGE_FRAME
        if upscaler.exact and device.type == "cpu" and not small_frame:
            upscaler.tile = TILE
        return upscaler

    def bicubic(self, settings: JobSettings) -> "Upscaler":
        """Bicubic alone at the same scale, which the network is compared with."""
        from sr_experiments.upscale.load_network import load_network
        from sr_experiments.upscale.upscaler import Upscaler

        return Upscaler(load_network(BICUBIC, settings.scale).network, settings.scale, "cpu")

    def measure_speed(self) -> None:
        """Measure the default network on 360p frames for two seconds and set :attr:`speed`."""
        from sr_experiments.upscale.throughput import machine, quick

        settings = JobSettings(self.default)
        media = Media(MediaKind.VIDEO, 640, 360)
        upscaler = self.upscaler(settings, media)
        quick(upscaler, 16, 16, seconds=0)  # the first call of a network is slow
        figure = quick(upscaler, media.height, media.width)
        self.speed = {
            "model": settings.model,
            "rate": f"{figure.per_second:.2g}",
            "size": f"{figure.width}x{figure.height}",
            "scale": f"{float(settings.scale):g}",
            "machine": machine(upscaler.device),
        }


def invalid_setting(setting: str) -> VisitorError:
    """The error of a setting that the page does not offer."""
    return VisitorError(
        "invalid-setting", "{setting}: not a value that can be chosen.", setting=setting
    )


def _strength(chosen: Mapping[str, object], key: str) -> float:
    value = chosen.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise invalid_setting(key)
    return float(value)
