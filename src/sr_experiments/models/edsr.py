"""EDSR: Enhanced Deep Residual Networks for Single Image Super-Resolution (Lim et al. 2017)."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from sr_experiments.models.layers.convolution import plain
from sr_experiments.models.layers.normalisation import BatchNorm
from sr_experiments.models.layers.upsampling import Upsampler
from sr_experiments.models.network import Activation, Convolution, numbered, refuse_below_one
from sr_experiments.models.residual import CentredNetwork, scale_of


class ResBlock(nn.Module):
    """Convolution, activation, convolution; scaled and added to the input (section 3.1).

    ``(N, n_feats, h, w)`` -> the same shape. EDSR has neither normalisation nor dropout; with them
    the convolutions keep their names.
    """

    def __init__(
        self,
        n_feats: int,
        res_scale: float,
        activation: Activation,
        convolution: Convolution,
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        body: dict[str, nn.Module] = {"0": convolution(n_feats, n_feats, 3)}
        if batch_norm:
            body["norm0"] = BatchNorm(n_feats)
        body["1"] = activation()
        if dropout > 0:
            body["dropout"] = nn.Dropout2d(dropout)
        body["2"] = convolution(n_feats, n_feats, 3)
        if batch_norm:
            body["norm2"] = BatchNorm(n_feats)
        self.body = nn.Sequential(OrderedDict(body))
        self.res_scale = res_scale

    def forward(self, features: Tensor) -> Tensor:
        """Add the block's residual to its input."""
        residual = self.body(features)
        return features + (residual if self.res_scale == 1 else residual * self.res_scale)


class EDSR(CentredNetwork):
    """EDSR; 16 blocks of 64 channels are the paper's baseline, 32 of 256 its best network.

    Parameter names are those of the official checkpoints, which load unchanged.

    Args:
        scale: 2, 3 or 4.
        n_resblocks: residual blocks.
        n_feats: channels.
        res_scale: factor on each block's residual; 0.1 steadies 256 channels.
        rgb_range: the range that the layers see. The official networks work on 0 to 255; the
            interface is [0, 1] whatever this says.
        activation: factory of the blocks' activations.
        convolution: factory of the blocks' convolutions; head and tail stay ordinary.
        everywhere: the factory makes all convolutions, head and tail too.
        dropout: share of the channels behind the blocks' activations that an update leaves out.
        batch_norm: normalise behind each convolution of the blocks, as EDSR's ancestor did.
    """

    def __init__(
        self,
        scale: int,
        n_resblocks: int = 16,
        n_feats: int = 64,
        res_scale: float = 1.0,
        rgb_range: float = 255.0,
        activation: Activation = nn.ReLU,
        convolution: Convolution = plain,
        dropout: float = 0.0,
        batch_norm: bool = False,
        everywhere: bool = False,
    ) -> None:
        super().__init__(scale, rgb_range)
        refuse_below_one(n_resblocks=n_resblocks, n_feats=n_feats)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout}: in [0, 1)")
        self.n_resblocks, self.n_feats = n_resblocks, n_feats
        self.n_stages = n_resblocks
        outer = convolution if everywhere else plain
        self.head = nn.Sequential(outer(3, n_feats, 3))
        blocks = [
            ResBlock(n_feats, res_scale, activation, convolution, dropout, batch_norm)
            for _ in range(n_resblocks)
        ]
        self.body = nn.Sequential(*blocks, outer(n_feats, n_feats, 3))
        self.tail = nn.Sequential(
            Upsampler(scale, n_feats, convolution=outer), outer(n_feats, 3, 3)
        )

    @classmethod
    def sizes_of(cls, state: Mapping[str, Tensor]) -> dict[str, Any] | None:
        """See :class:`Network`; 256 channels and more have the paper's ``res_scale`` of 0.1."""
        if "body.0.body.0.weight" not in state or "head.0.weight" not in state:
            return None
        n_feats = len(state["head.0.weight"])
        return {
            "scale": scale_of(state),
            "n_resblocks": numbered(state, r"body\.(\d+)\.body\.0\.weight"),
            "n_feats": n_feats,
            "res_scale": 0.1 if n_feats >= 256 else 1.0,
        }

    @property
    def size(self) -> str:
        """Blocks x channels."""
        return f"{self.n_resblocks}x{self.n_feats}"
