"""The networks that a visitor may choose from."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import torch

from sr_experiments.core.errors import UserError
from sr_experiments.serve.jobs import SCALES, Content, Kind, Settings
from sr_experiments.upscale.load_network import DEFAULT, find, shipped
from sr_experiments.upscale.upscaler import Upscaler

BICUBIC = "bicubic"
#: Side of a tile on a CPU: the values are the same, and between two tiles a job can be cancelled.
TILE = 320
#: Pixels of a frame that takes seconds by itself.
LARGE = 1_000_000


class Catalogue:
    """Networks by name: those that ship, bicubic, and those that the command line names.

    Args:
        given: ``NAME=PATH``, a run's directory or a file of weights.
        device: where the networks work.

    Raises:
        UserError: one of them cannot be loaded, or a name is taken.
    """

    def __init__(self, given: Sequence[str] = (), device: str = "cpu") -> None:
        self.device = torch.device(device)
        self._models: dict[str, str] = {name: name for name in shipped()}
        for pair in given:
            name, equals, path = pair.partition("=")
            if not equals or not name.strip() or not path:
                raise UserError(f"--model {pair}: NAME=PATH is expected, such as mine=runs/x/y")
            name = name.strip()
            if name in self._models or name == BICUBIC:
                raise UserError(f"--model {pair}: there is a {name} already; choose another name")
            self._models[name] = path
            find(path, Fraction(2))
        self._models[BICUBIC] = BICUBIC

    @property
    def names(self) -> list[str]:
        """All, the one that is meant if none is named first."""
        return sorted(self._models, key=lambda name: name != self.default)

    @property
    def default(self) -> str:
        """The network that is chosen at first."""
        return DEFAULT if DEFAULT in self._models else next(iter(self._models))

    def settings(self, asked: Mapping[str, object], *, may_keep: bool) -> Settings:
        """A visitor's words as settings.

        Raises:
            ValueError: one of them cannot be chosen; its text is the word's name.
        """
        model = str(asked.get("model", self.default))
        if model not in self._models:
            raise ValueError("model")
        scales = {f"{float(scale):g}": scale for scale in SCALES}
        scale = scales.get(str(asked.get("scale", 2)))
        if scale is None:
            raise ValueError("scale")
        keep = may_keep and asked.get("keep") is True
        return Settings(
            model, scale, _strength(asked, "denoise"), _strength(asked, "sharpen"), keep
        )

    def upscaler(self, settings: Settings, content: Content) -> Upscaler:
        """What the command line would take for the same words.

        Raises:
            UserError: the network cannot do as much.
        """
        network = find(self._models[settings.model], settings.scale).network
        upscaler = Upscaler(
            network,
            settings.scale,
            self.device,
            denoise=settings.denoise,
            sharpen=settings.sharpen,
        )
        # Frames of a video are a pause each by themselves.
        video = content.kind is Kind.VIDEO and content.width * content.height < LARGE
        if upscaler.exact and self.device.type == "cpu" and not video:
            upscaler.tile = TILE
        return upscaler

    def bicubic(self, settings: Settings) -> Upscaler:
        """Bicubic alone, by the same factor: what a network is compared with."""
        network = find(BICUBIC, settings.scale).network
        return Upscaler(network, settings.scale, "cpu")


def _strength(asked: Mapping[str, object], key: str) -> float:
    value = asked.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(key)
    return float(value)
