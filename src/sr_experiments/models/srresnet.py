"""SRResNet: SRGAN's generator by itself (Ledig et al. 2017), and EDSR's ancestor."""

from torch import nn

from sr_experiments.models.layers.convolution import plain
from sr_experiments.models.layers.normalisation import BatchNorm
from sr_experiments.models.layers.upsampling import Upsampler
from sr_experiments.models.network import Activation, Convolution, refuse_below_one
from sr_experiments.models.residual import Residual, ResidualNetwork


class NormalisedBlock(Residual):
    """Convolution, normalisation, activation, convolution, normalisation; added to the input.

    ``(N, n_feats, h, w)`` -> the same shape.
    """

    def __init__(
        self, n_feats: int, batch_norm: bool, activation: Activation, convolution: Convolution
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(n_feats, n_feats, 3),
            *_norm(n_feats, batch_norm),
            activation(),
            convolution(n_feats, n_feats, 3),
            *_norm(n_feats, batch_norm),
        )


class SRResNet(ResidualNetwork):
    """SRResNet; 16 blocks of 64 channels are the paper's network (section 2.1, figure 4).

    The paper puts out [-1, 1]; here input and output are [0, 1].

    Args:
        scale: 2, 3 or 4; the paper's is 4.
        n_resblocks: residual blocks.
        n_feats: channels.
        batch_norm: normalise behind each convolution of the body. EDSR is what came of leaving
            it out.
        activation: factory of all activations; PReLU in the paper.
        convolution: factory of the blocks' convolutions; all others stay ordinary.
    """

    def __init__(
        self,
        scale: int,
        n_resblocks: int = 16,
        n_feats: int = 64,
        batch_norm: bool = True,
        activation: Activation = nn.PReLU,
        convolution: Convolution = plain,
    ) -> None:
        super().__init__(scale)
        refuse_below_one(n_resblocks=n_resblocks, n_feats=n_feats)
        self.n_resblocks, self.n_feats = n_resblocks, n_feats
        self.n_stages = n_resblocks
        self.head = nn.Sequential(plain(3, n_feats, 9), activation())
        blocks = [
            NormalisedBlock(n_feats, batch_norm, activation, convolution)
            for _ in range(n_resblocks)
        ]
        closing = [plain(n_feats, n_feats, 3), *_norm(n_feats, batch_norm)]
        self.body = nn.Sequential(*blocks, *closing)
        self.tail = nn.Sequential(Upsampler(scale, n_feats, activation), plain(n_feats, 3, 9))

    @property
    def size(self) -> str:
        """Blocks x channels."""
        return f"{self.n_resblocks}x{self.n_feats}"


def _norm(n_feats: int, wanted: bool) -> list[nn.Module]:
    return [BatchNorm(n_feats)] if wanted else []
