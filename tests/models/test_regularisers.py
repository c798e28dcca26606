"""Dropout and normalisation in EDSR's blocks: off they leave no trace, on they do what they say."""

import copy

import pytest
import torch
from torch import nn
from two_processes import train, train_in_two

from sr_experiments.config import instantiate
from sr_experiments.config.compose import compose
from sr_experiments.core.errors import UserError
from sr_experiments.models.edsr import EDSR
from sr_experiments.models.layers.normalisation import BatchNorm


def edsr(**options):
    torch.manual_seed(0)
    return EDSR(2, 2, 8, **options)


def test_off_they_leave_no_trace():
    network = edsr(dropout=0.0, batch_norm=False)
    kinds = {type(m) for m in network.modules()}
    assert not kinds & {nn.Dropout2d, BatchNorm, nn.BatchNorm2d}
    assert list(network.state_dict()) == list(edsr().state_dict())
    assert list(dict(network.body[0].body.named_children())) == ["0", "1", "2"]
    config = compose([]).model
    assert config["dropout"] == 0.0 and config["batch_norm"] is False


def test_dropout_leaves_out_whole_channels_and_keeps_all_names():
    plain_one, network = edsr(), edsr(dropout=0.5)
    network.load_state_dict(plain_one.state_dict())  # strict: the names are the official ones
    lr = torch.rand(2, 3, 9, 8)
    seen = []
    network.body[0].body[-1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    assert not torch.equal(network(lr), network(lr))
    for features in seen:
        zero = (features == 0).all(-1).all(-1)
        assert 0 < int(zero.sum()) < zero.numel()
    kept = seen[0][~(seen[0] == 0).all(-1).all(-1)].mean()
    assert torch.equal(network.eval()(lr), plain_one(lr))
    assert kept > 1.5 * seen[-1].mean(), "what is kept is scaled by 1 / (1 - p)"


def test_normalisation_stands_behind_each_convolution():
    network = edsr(batch_norm=True)
    names = list(dict(network.body[1].body.named_children()))
    assert names == ["0", "norm0", "1", "2", "norm2"]
    assert set(edsr().state_dict()) < set(network.state_dict())
    block, seen = network.body[0], []
    for norm in (block.body.norm0, block.body.norm2):
        norm.register_forward_hook(lambda *given: seen.append(given[2]))
    network(torch.rand(4, 3, 9, 8))
    for features in seen:
        assert features.mean((0, 2, 3)).abs().max() < 1e-4
        assert (features.var((0, 2, 3), unbiased=False) - 1).abs().max() < 1e-2


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_a_share_outside_its_range_is_refused(value):
    config = compose([f"model.dropout={value}"]).model
    with pytest.raises(UserError, match=rf"model: dropout={value}: in \[0, 1\)"):
        instantiate.build(config, "model")


def network_of():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), BatchNorm(4), nn.Conv2d(4, 3, 1)).double()


def test_two_processes_normalise_as_one(tmp_path):
    torch.manual_seed(1)
    x = torch.rand(4, 3, 8, 8, dtype=torch.double)
    y = torch.rand(4, 3, 6, 6, dtype=torch.double)
    x[1::2] += 1  # each process alone would see another mean
    states = train_in_two(network_of, x, y, tmp_path)
    alone = network_of()
    assert type(alone[1]).__mro__[1] is nn.BatchNorm2d
    start = copy.deepcopy(alone.state_dict())
    train(alone, x, y)  # PyTorch's own layer: one process
    for state in states:
        for name, wanted in alone.state_dict().items():
            torch.testing.assert_close(state[name], wanted, rtol=1e-9, atol=1e-11)
    assert not torch.allclose(alone[1].running_mean, start["1.running_mean"])
