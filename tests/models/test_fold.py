"""What is folded is made of ordinary convolutions and computes the same."""

import pytest
import torch
from torch import nn

from sr_experiments.config import instantiate
from sr_experiments.config.compose import compose
from sr_experiments.models.complexity import multiply_adds
from sr_experiments.models.ecbsr import ECBSR
from sr_experiments.models.layers.deconvolution import Deconvolution
from sr_experiments.models.layers.edge import EdgeConvolution
from sr_experiments.models.layers.fold import fold, fold_config


@pytest.mark.parametrize("convolution", ["edge", "deconvolution"])
@pytest.mark.parametrize("model", ["ecbsr", "edsr", "fsrcnn"])
def test_a_folded_network_is_plain_and_computes_the_same(model, convolution):
    config = compose([f"model={model}", f"convolution={convolution}", "budget=smoke"]).model
    torch.manual_seed(0)
    network = instantiate.build(config, "model")
    lr = torch.rand(2, 3 if network.colour == "rgb" else 1, 11, 9)
    for _ in range(3):  # statistics of deconvolution
        network(lr)
    with torch.no_grad():
        for parameter in network.parameters():  # slopes and strengths that show where they are
            parameter.add_(0.1 * torch.rand_like(parameter))
        wanted = network.eval()(lr)
    folded = fold(network)
    kinds = {type(layer) for layer in folded.modules() if isinstance(layer, nn.Conv2d)}
    assert kinds == {nn.Conv2d}
    with torch.no_grad():
        torch.testing.assert_close(folded(lr), wanted, rtol=0, atol=1e-5)
        assert torch.equal(network(lr), wanted)
    described = fold_config(config)
    again = instantiate.build_network(described)
    again.load_state_dict(folded.state_dict())
    assert "plain" in str(described["convolution"]) and again.size == network.size
    assert again.parameter_count < network.parameter_count or convolution == "deconvolution"
    assert fold_config(described) == described
    with torch.no_grad():
        assert torch.equal(again.eval()(lr), folded(lr))


@pytest.mark.parametrize("convolution", [EdgeConvolution, Deconvolution])
def test_multiply_adds_are_those_of_the_folded_network(convolution):
    layers = 9 * 16 + 4 * 9 * 16 * 16 + 9 * 16 * 4
    assert multiply_adds(ECBSR(2, 4, 16, convolution=convolution)) == layers * 640 * 360


@pytest.mark.parametrize("side", [1, 3, 5])
def test_a_kernel_of_any_odd_size_sees_edges_in_its_middle(side):
    layer = EdgeConvolution(2, 3, side, bias=False)
    weight, bias = layer.folded()
    assert bias is None and weight.shape == layer.weight.shape
    with torch.no_grad():
        for parameter in (layer.weight, layer.squeeze):
            parameter.zero_()
        if side == 1:
            assert not layer.folded()[0].any()
            return
        layer.mix.zero_()[0] = 1
        layer.strength.fill_(1)
        middle = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
        margin = (side - 3) // 2
        wanted = nn.functional.pad(middle, [margin] * 4).expand(3, 2, side, side)
        torch.testing.assert_close(layer.folded()[0], wanted)
