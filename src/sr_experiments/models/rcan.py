"""RCAN: Image Super-Resolution Using Very Deep Residual Channel Attention Networks.

Zhang et al. 2018.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from sr_experiments.models.layers.convolution import plain
from sr_experiments.models.layers.upsampling import Upsampler
from sr_experiments.models.network import Activation, Convolution, numbered, refuse_below_one
from sr_experiments.models.residual import CentredNetwork, Residual, scale_of


class ChannelAttention(nn.Module):
    """Scale each channel by a gate that follows from the means of all (section 3.3).

    ``(N, n_feats, h, w)`` -> the same shape. The means are over the whole image: an image
    processed in tiles gives another result than the image as one.
    """

    def __init__(self, n_feats: int, reduction: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv_du = nn.Sequential(
            plain(n_feats, n_feats // reduction, 1),
            nn.ReLU(inplace=True),
            plain(n_feats // reduction, n_feats, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Weigh the channels."""
        return features * self.conv_du(self.pool(features))


class AttentionBlock(Residual):
    """RCAB: convolution, activation, convolution, channel attention; added to the input."""

    def __init__(
        self, n_feats: int, reduction: int, activation: Activation, convolution: Convolution
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(n_feats, n_feats, 3),
            activation(),
            convolution(n_feats, n_feats, 3),
            ChannelAttention(n_feats, reduction),
        )


class ResidualGroup(Residual):
    """Blocks and a closing convolution; added to the input (section 3.2)."""

    def __init__(self, blocks: list[nn.Module], n_feats: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*blocks, plain(n_feats, n_feats, 3))


class RCAN(CentredNetwork):
    """RCAN; 10 groups of 20 blocks of 64 channels are the paper's network.

    Parameter names are those of the official checkpoints, which load unchanged.

    Args:
        scale: 2, 3 or 4.
        n_resgroups: residual groups.
        n_resblocks: attention blocks of a group.
        n_feats: channels.
        reduction: the attention's inner layer has ``n_feats // reduction`` channels.
        rgb_range: the range that the layers see; the interface is [0, 1] whatever this says.
        activation: factory of the blocks' activations; the attention keeps its ReLU.
        convolution: factory of the blocks' 3x3 convolutions; all others stay ordinary.
    """

    def __init__(
        self,
        scale: int,
        n_resgroups: int = 10,
        n_resblocks: int = 20,
        n_feats: int = 64,
        reduction: int = 16,
        rgb_range: float = 255.0,
        activation: Activation = nn.ReLU,
        convolution: Convolution = plain,
    ) -> None:
        super().__init__(scale, rgb_range)
        refuse_below_one(n_resgroups=n_resgroups, n_resblocks=n_resblocks, n_feats=n_feats)
        if not 1 <= reduction <= n_feats:
            raise ValueError(f"reduction={reduction}: at least 1 and at most n_feats={n_feats}")
        self.n_resgroups, self.n_resblocks, self.n_feats = n_resgroups, n_resblocks, n_feats
        self.n_stages = n_resgroups
        self.head = nn.Sequential(plain(3, n_feats, 3))

        def group() -> ResidualGroup:
            blocks: list[nn.Module] = [
                AttentionBlock(n_feats, reduction, activation, convolution)
                for _ in range(n_resblocks)
            ]
            return ResidualGroup(blocks, n_feats)

        groups = [group() for _ in range(n_resgroups)]
        self.body = nn.Sequential(*groups, plain(n_feats, n_feats, 3))
        self.tail = nn.Sequential(Upsampler(scale, n_feats), plain(n_feats, 3, 3))

    @classmethod
    def sizes_of(cls, state: Mapping[str, Tensor]) -> dict[str, Any] | None:
        """See :class:`Network`."""
        gate = state.get("body.0.body.0.body.3.conv_du.0.weight")
        if gate is None:
            return None
        return {
            "scale": scale_of(state),
            "n_resgroups": numbered(state, r"body\.(\d+)\.body\.0\.body\.0\.weight"),
            "n_resblocks": numbered(state, r"body\.0\.body\.(\d+)\.body\.0\.weight"),
            "n_feats": gate.shape[1],
            "reduction": gate.shape[1] // max(1, len(gate)),
        }

    @property
    def receptive_field(self) -> None:
        """None: the channel attention takes means over the whole image."""
        return None

    @property
    def size(self) -> str:
        """Groups x blocks x channels."""
        return f"{self.n_resgroups}x{self.n_resblocks}x{self.n_feats}"
