"""How a network is applied to images: in RGB, in luma, in training and in scoring."""

from typing import ClassVar

import pytest
import torch
from torch import nn

from sr_experiments.data.datamodule import Batch
from sr_experiments.imaging.colour import luma, rgb_to_ycbcr, ycbcr_to_rgb
from sr_experiments.imaging.resize import imresize
from sr_experiments.models.bicubic import Bicubic
from sr_experiments.models.network import Network, upscale, upscale_luma
from sr_experiments.training.module import Supervised


class LumaBicubic(Network):
    """Bicubic on luma, times a learned gain."""

    colour: ClassVar = "y"

    def __init__(self, scale, gain=1.0):
        super().__init__(scale)
        self.gain = nn.Parameter(torch.tensor(gain, dtype=torch.double))
        self.seen = None

    def forward(self, lr):
        self.seen = lr.detach()
        return imresize(lr, self.scale) * self.gain


def image(*size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8, generator=generator)


def test_a_network_sees_rgb_or_studio_range_luma():
    lr = image(5, 4)
    network = LumaBicubic(2)
    assert torch.equal(network.encode(lr), luma(lr) / 255)
    assert network.float().encode(lr).dtype == torch.float32
    assert torch.equal(Bicubic(2).encode(lr), lr.double() / 255)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_luma_goes_through_the_network_and_chroma_through_bicubic(scale):
    lr = image(9, 7)
    # Bicubic and the colour matrices are linear: Y, Cb and Cr enlarged are RGB enlarged.
    same, plain = upscale(LumaBicubic(scale), lr), upscale(Bicubic(scale), lr)
    assert same.dtype == torch.uint8 and torch.equal(same, plain)
    # Half the luma, all of the chroma.
    y, cb, cr = imresize(rgb_to_ycbcr(lr), scale).unbind(1)
    wanted = ycbcr_to_rgb(torch.stack([y / 2, cb, cr], 1)).clamp(0, 255).add(0.5).floor()
    assert torch.equal(upscale(LumaBicubic(scale, 0.5), lr), wanted.to(torch.uint8))


def test_a_luma_network_learns_and_is_scored_on_luma():
    lr, hr = image(6, 5), image(12, 10, seed=1)
    network = LumaBicubic(2)
    loss = Supervised(network).training_step(Batch(lr, hr, 0), 0)
    wanted = (imresize(luma(lr), 2) - luma(hr)).abs().mean()
    torch.testing.assert_close(loss.detach(), wanted)
    assert network.seen.shape == (2, 1, 6, 5) and loss.requires_grad
    assert upscale_luma(network, hr).shape == (2, 1, 12, 10)


def test_an_rgb_network_learns_on_rgb():
    lr, hr = image(6, 5), image(12, 10, seed=1)
    loss = Supervised(Bicubic(2)).training_step(Batch(lr, hr, 0), 0)
    wanted = (imresize(lr.double(), 2) - hr.double()).abs().mean()
    torch.testing.assert_close(loss, wanted)
