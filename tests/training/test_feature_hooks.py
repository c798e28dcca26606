"""FeatureHooks: what a layer computes, whatever becomes of it, and the stages networks declare."""

import copy

import pytest
import torch
from torch import nn

from sr_experiments.config import instantiate
from sr_experiments.config.compose import compose
from sr_experiments.core.errors import UserError
from sr_experiments.core.paths import conf_dir
from sr_experiments.models.bicubic import Bicubic
from sr_experiments.models.edsr import EDSR
from sr_experiments.models.rcan import RCAN
from sr_experiments.models.srcnn import SRCNN
from sr_experiments.training.distillation.feature_hooks import FeatureHooks, thirds

MODELS = sorted(p.stem for p in (conf_dir() / "model").glob("*.yaml") if p.stem != "bicubic")


class Spoiler(nn.Module):
    """Overwrites what it is given, as an activation in place does, but with nothing left of it."""

    def forward(self, features):
        return features.mul_(0)


def test_a_feature_outlives_a_change_in_place_and_keeps_its_gradient():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), Spoiler())
    taps, image = FeatureHooks(network, ["0"]), torch.rand(1, 1, 5, 5)
    assert not network(image).any()
    (feature,) = taps.take()
    assert torch.equal(feature, network[0](image)) and feature.any()
    feature.sum().backward()
    # Of a sum over 3 x 3 outputs, each bias has the gradient 9.
    assert network[0].bias.grad.tolist() == [9, 9]


def test_features_come_in_the_order_of_the_names_and_once():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 3, 1), nn.Conv2d(3, 4, 1))
    taps = FeatureHooks(network, ["2", "0", "1"])
    with pytest.raises(RuntimeError, match="no forward has come through 2, 0, 1"):
        taps.take()
    network(torch.zeros(1, 1, 2, 2))
    network(torch.ones(1, 1, 2, 2))
    features = taps.take()
    assert [f.shape[1] for f in features] == [4, 2, 3]
    assert torch.equal(features[1], network[0](torch.ones(1, 1, 2, 2)))
    with pytest.raises(RuntimeError, match="through 2, 1"):  # and through 0, in the line above
        taps.take()
    network(torch.ones(1, 1, 2, 2))
    taps.remove()
    network(torch.ones(1, 1, 2, 2))
    with pytest.raises(RuntimeError, match="through 2, 0, 1"):
        taps.take()


def test_a_students_taps_heed_neither_its_copies_nor_its_validation():
    student, lr = EDSR(2, 2, 4), torch.rand(1, 3, 4, 4)
    taps = FeatureHooks(student, thirds(student, 2), only_training=True)
    student(lr)
    copied = copy.deepcopy(student)
    copied(2 * lr)
    student.eval()(3 * lr)
    for feature, wanted in zip(taps.take(), features_of(student.train(), lr, taps), strict=True):
        assert torch.equal(feature, wanted)
    teacher = EDSR(2, 2, 4).eval()
    taps = FeatureHooks(teacher, ["body"])
    with torch.no_grad():
        teacher(lr)
    assert len(taps.take()) == 1, "a teacher is tapped though it does not train"


def features_of(network, lr, taps):
    network(lr)
    return taps.take()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("bodi", "taps: EDSR has no layer 'bodi'; did you mean body or "),
        ("body.16", "no layer 'body.16'; did you mean body.1 or "),
        ("", "no layer ''$"),
    ],
)
def test_an_unknown_layer_is_refused(name, says):
    with pytest.raises(UserError, match=says):
        FeatureHooks(EDSR(2, 2, 4), ["body.0", name])


@pytest.mark.parametrize(
    ("network", "count", "names"),
    [
        (EDSR(2, 16, 1), 3, ("body.4", "body.9", "body")),
        (EDSR(2, 32, 1), 3, ("body.9", "body.20", "body")),
        (EDSR(2, 3, 1), 3, ("body.0", "body.1", "body")),
        (RCAN(2, 10, 1, 1, reduction=1), 3, ("body.2", "body.5", "body")),
        (EDSR(2, 16, 1), 1, ("body",)),
        (SRCNN(2, n1=1, n2=1), 2, ("head", "body")),
    ],
)
def test_taps_sit_behind_equal_parts(network, count, names):
    assert thirds(network, count) == names


@pytest.mark.parametrize(
    ("network", "count", "says"),
    [
        (SRCNN(2), 3, r"taps=3: SRCNN 9-1-5 \(64-32\) has 2 stages; choose"),
        (Bicubic(2), 3, "taps=3: Bicubic has 0 stages"),
        (SRCNN(2), 0, "taps=0: .* at least 1 tap"),
    ],
)
def test_more_taps_than_stages_are_refused(network, count, says):
    with pytest.raises(UserError, match=says):
        thirds(network, count)


@pytest.mark.parametrize("model", MODELS)
def test_every_network_declares_its_stages(model):
    config = compose([f"model={model}", "budget=smoke", "data=embedded"]).model
    deeper = {"n_resblocks": 3, "n_resgroups": 3, "n_layers": 5, "m": 3}
    network = instantiate.build(config | {k: v for k, v in deeper.items() if k in config}, "model")
    assert len(network.stages) == len(set(network.stages)) >= 2
    layers, passed = dict(network.named_modules()), []
    for name in network.stages:
        layers[name].register_forward_hook(lambda *_, name=name: passed.append(name))
    taps = FeatureHooks(network, network.stages)
    channels = 1 if network.colour == "y" else 3
    output = network(torch.rand(2, channels, 6, 5))
    features = taps.take()
    assert passed == list(network.stages), "each once, and in this order"
    (size,) = {f.shape[2:] for f in features}
    assert size in [(6, 5), output.shape[2:]]
    # The main path: what the last stage does not hand on, or a former one, the output lacks.
    output.sum().backward()
    for feature in features:
        assert feature.shape[0] == 2 and feature.requires_grad
    for name in network.stages:
        assert all(p.grad is not None for p in layers[name].parameters()), name


def test_the_last_stage_is_all_of_the_body():
    network, lr = EDSR(2, 2, 4), torch.rand(1, 3, 4, 4)
    seen = []
    network.tail.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    taps = FeatureHooks(network, ["head", network.stages[-1]])
    network(lr)
    head, last = taps.take()
    assert torch.equal(seen[0], head + last)
