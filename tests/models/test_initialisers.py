"""First weights have the variance that their papers give, and are drawn from the run's seed."""

import math

import pytest
import torch
from torch import nn

from sr_experiments.config import instantiate
from sr_experiments.config.compose import compose
from sr_experiments.core.errors import UserError
from sr_experiments.core.paths import conf_dir
from sr_experiments.models.edsr import EDSR
from sr_experiments.models.layers.deconvolution import Deconvolution

WORDS = sorted(p.stem for p in (conf_dir() / "init").glob("*.yaml"))


class Layers(nn.Module):
    """One of each kind, wide enough to measure a deviation to a percent."""

    def __init__(self):
        super().__init__()
        self.wide = nn.Conv2d(40, 160, 3)
        self.grouped = nn.Conv2d(160, 320, 3, groups=4)
        self.up = nn.ConvTranspose2d(80, 20, 9, stride=2)
        self.whitened = Deconvolution(40, 160, 3)
        self.bare = nn.Conv2d(60, 60, 3, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.slope = nn.PReLU()


#: name -> values that enter an output, outputs that a value enters.
FANS = {
    "wide": (360, 1440),
    "grouped": (360, 720),
    "up": (6480, 1620),
    "whitened": (360, 1440),
    "bare": (540, 540),
}


def apply(network, *words):
    config = compose(words).init
    instantiate.build(config, "init")(network)


@pytest.mark.parametrize(
    ("words", "sigma"),
    [
        (["init=normal"], lambda into, out: 0.01),
        (["init=normal", "init.sigma=0.001"], lambda into, out: 0.001),
        (["init=xavier"], lambda into, out: math.sqrt(1 / into)),
        (["init=xavier", "init.fan=both"], lambda into, out: math.sqrt(2 / (into + out))),
        (["init=he"], lambda into, out: math.sqrt(2 / into)),
    ],
)
def test_deviations_are_the_papers_and_biases_are_zero(words, sigma):
    torch.manual_seed(0)
    network = Layers()
    apply(network, *words)
    for name, fans in FANS.items():
        weight = getattr(network, name).weight.detach()
        wanted = sigma(*fans)
        assert float(weight.std()) == pytest.approx(wanted, rel=0.02), name
        assert abs(float(weight.mean())) < 5 * wanted / math.sqrt(weight.numel())
        kurtosis = float((weight / wanted).pow(4).mean())
        assert kurtosis == pytest.approx(3, rel=0.1), "normal, not uniform"
        bias = getattr(network, name).bias
        assert bias is None or not bias.any()
    fresh = Layers()
    for kept in ("norm", "slope"):
        wanted = getattr(fresh, kept).state_dict()
        assert all(
            torch.equal(v, wanted[k]) for k, v in getattr(network, kept).state_dict().items()
        )
    assert torch.equal(network.whitened.running_deconv, fresh.whitened.running_deconv)


@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_drawn_from_the_seed(word):
    def weights(seed):
        torch.manual_seed(seed)
        network = EDSR(2, 1, 8)
        untouched = {k: v.clone() for k, v in network.state_dict().items()}
        apply(network, f"init={word}")
        same = [k for k, v in network.state_dict().items() if torch.equal(v, untouched[k])]
        drawn = [k for k in untouched if "mean" not in k]
        assert (set(same) >= set(drawn)) == (word == "default")
        assert word == "default" or not set(same) & set(drawn), "every convolution, bias included"
        return network.state_dict()["head.0.weight"]

    assert torch.equal(weights(1), weights(1)) and not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("init.sigma=-1", "init.sigma=-1: must be above 0"),
        ("init.sigma=nan", "init.sigma=nan: must be above 0"),
        ("init.sigma=wide", "init.sigma=wide: expected float"),
    ],
)
def test_a_sigma_that_makes_no_sense_is_one_line(change, says):
    with pytest.raises(UserError) as caught:
        apply(EDSR(2, 1, 4), "init=normal", change)
    assert str(caught.value) == says


def test_a_fan_that_is_none_is_one_line():
    with pytest.raises(UserError, match=r"init\.fan=out: expected 'in' or 'both'"):
        apply(EDSR(2, 1, 4), "init=xavier", "init.fan=out")
