"""What a network declares to see is what a NaN in its input spreads to."""

import math

import pytest
import torch

from sr_experiments.core.errors import UserError
from sr_experiments.models.bicubic import Bicubic
from sr_experiments.models.ecbsr import ECBSR
from sr_experiments.models.edsr import EDSR
from sr_experiments.models.espcn import ESPCN
from sr_experiments.models.fsrcnn import FSRCNN
from sr_experiments.models.network import Network
from sr_experiments.models.rcan import RCAN
from sr_experiments.models.srcnn import SRCNN
from sr_experiments.models.srresnet import SRResNet
from sr_experiments.models.vdsr import VDSR

SIDE = 61
WITHOUT_PARAMETERS = torch.zeros((), dtype=torch.float64)
MAKERS = {
    "bicubic": Bicubic,
    "ecbsr": lambda scale: ECBSR(scale, 2, 4),
    "edsr": lambda scale: EDSR(scale, 3, 4),
    "espcn": lambda scale: ESPCN(scale, 4, 4),
    "fsrcnn": lambda scale: FSRCNN(scale, 4, 3, 2),
    "rcan": lambda scale: RCAN(scale, 1, 1, 4, 1),
    "srcnn": lambda scale: SRCNN(scale, (9, 5, 5), 4, 4),
    "srresnet": lambda scale: SRResNet(scale, 2, 4),
    "vdsr": lambda scale: VDSR(scale, 6, 4),
}


@torch.no_grad()
def probed(network: Network) -> int | None:
    """LR pixels to each side of a NaN, which neither zero weights nor a ReLU stop."""
    dtype = next(network.parameters(), WITHOUT_PARAMETERS).dtype
    middle, channels = SIDE // 2, 3 if network.colour == "rgb" else 1
    image = torch.full((1, channels, 1, SIDE), 0.5, dtype=dtype)
    image[..., middle] = math.nan
    touched = network(image).isnan().flatten(0, 2).any(0).nonzero() // network.scale
    if len(touched) == network.scale * SIDE:
        return None
    return max(middle - int(touched.min()), int(touched.max()) - middle)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("name", MAKERS)
def test_a_network_declares_what_it_sees(name, scale):
    try:
        network = MAKERS[name](scale).eval()
    except UserError as error:
        assert error.code == "scale-not-supported" and scale not in (2, 3, 4)
        return
    assert network.receptive_field == probed(network)


def test_a_view_for_another_scale_shares_the_weights_and_leaves_the_network_alone():
    network = VDSR(2, 3, 4)
    view = network.for_scale(3)
    assert (network.scale, view.scale) == (2, 3)
    assert all(a is b for a, b in zip(network.parameters(), view.parameters(), strict=True))
    assert view(torch.zeros(1, 1, 4, 5)).shape == (1, 1, 12, 15)
    assert network.for_scale(2) is network
    with pytest.raises(UserError) as error:
        EDSR(2, 1, 4).for_scale(3)
    assert error.value.code == "scale-is-fixed"
