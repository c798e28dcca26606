"""EDSR is the official network: its sizes, names and arithmetic."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sr_experiments.config import instantiate
from sr_experiments.config.compose import compose
from sr_experiments.core.errors import UserError
from sr_experiments.core.paths import conf_dir
from sr_experiments.imaging.resize import imresize
from sr_experiments.models.bicubic import Bicubic
from sr_experiments.models.edsr import EDSR
from sr_experiments.models.network import upscale
from sr_experiments.models.transfer import transfer

ACTIVATIONS = sorted(p.stem for p in (conf_dir() / "activation").glob("*.yaml"))


def small(scale=2, **options):
    torch.manual_seed(0)
    return EDSR(scale, **({"n_resblocks": 2, "n_feats": 8} | options))


@pytest.mark.parametrize(
    ("blocks", "feats", "counts"),
    [
        (16, 64, {2: 1_369_859, 3: 1_554_499, 4: 1_517_571}),
        (32, 256, {2: 40_729_603, 3: 43_680_003, 4: 43_089_923}),
    ],
)
def test_sizes_are_the_papers(blocks, feats, counts):
    for scale, count in counts.items():
        with torch.device("meta"):
            network = EDSR(scale, blocks, feats)
        assert network.parameter_count == count and network.size == f"{blocks}x{feats}"


def test_the_words_of_the_suite_are_the_papers_networks():
    for model, budget, size, res_scale in (
        ("edsr", "paper", "32x256", 0.1),
        ("edsr_baseline", "paper", "16x64", 1.0),
        ("edsr", "study", "16x64", 1.0),
    ):
        config = compose([f"model={model}", f"budget={budget}"]).model
        with torch.device("meta"):
            network = instantiate.build(config, "model")
        assert network.size == size and network.body[0].res_scale == res_scale
        assert network.rgb_range == 255


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_names_and_shapes_are_those_of_the_official_checkpoints(scale):
    n = 8
    expected = {"head.0": (3, n), "body.2": (n, n), "tail.1": (n, 3)}
    expected |= {f"body.{block}.body.{layer}": (n, n) for block in (0, 1) for layer in (0, 2)}
    expected |= {
        2: {"tail.0.0": (n, 4 * n)},
        3: {"tail.0.0": (n, 9 * n)},
        4: {"tail.0.0": (n, 4 * n), "tail.0.2": (n, 4 * n)},
    }[scale]
    shapes = {f"{k}.weight": (out, into, 3, 3) for k, (into, out) in expected.items()}
    shapes |= {f"{k}.bias": (out,) for k, (_, out) in expected.items()}
    for shift in ("sub_mean", "add_mean"):
        shapes |= {f"{shift}.weight": (3, 3, 1, 1), f"{shift}.bias": (3,)}
    state = small(scale).state_dict()
    assert {k: tuple(v.shape) for k, v in state.items()} == shapes


def official(state, lr, scale, n_blocks, res_scale, activation):
    """EDSR written down once more, on 0 to 255, from nothing but a state dict."""

    def convolve(x, name):
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    def shift(x, name):  # an honest 1x1 convolution
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"])

    head = convolve(shift(lr, "sub_mean"), "head.0")
    x = head
    for block in range(n_blocks):
        inner = activation(convolve(x, f"body.{block}.body.0"))
        x = x + res_scale * convolve(inner, f"body.{block}.body.2")
    x = head + convolve(x, f"body.{n_blocks}")
    for step in range({2: 1, 3: 1, 4: 2}[scale]):
        x = F.pixel_shuffle(convolve(x, f"tail.0.{2 * step}"), 3 if scale == 3 else 2)
    return shift(convolve(x, "tail.1"), "add_mean")


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(("res_scale", "activation"), [(1.0, nn.ReLU), (0.1, nn.Mish)])
def test_forward_is_the_official_arithmetic(scale, res_scale, activation):
    network = small(scale, res_scale=res_scale, activation=activation).double()
    lr = torch.rand(2, 3, 11, 9, dtype=torch.double)
    wanted = official(network.state_dict(), lr * 255, scale, 2, res_scale, activation())
    with torch.no_grad():
        torch.testing.assert_close(network(lr) * 255, wanted, rtol=1e-9, atol=1e-9)


def test_the_mean_is_div2ks():
    mean = torch.tensor([0.4488, 0.4371, 0.4040])
    network = small()
    assert torch.allclose(network.add_mean.bias, 255 * mean)
    assert torch.allclose(network.sub_mean.bias, -255 * mean)
    assert torch.equal(network.sub_mean.weight.squeeze(), torch.eye(3))
    assert not network.sub_mean.bias.requires_grad


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_trains_every_parameter(activation, scale):
    words = [f"activation={activation}", f"scale={scale}", "model.n_resblocks=2", "model.n_feats=8"]
    config = compose(words).model
    torch.manual_seed(0)
    network = instantiate.build(config, "model")
    lr, hr = torch.rand(2, 3, 7, 5), torch.rand(2, 3, 7 * scale, 5 * scale)
    sr = network(lr)
    assert sr.shape == hr.shape
    F.l1_loss(sr, hr).backward()
    idle = [k for k, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []
    kinds = [block.body[1] for block in network.body[:-1]]
    wanted = instantiate.resolve(config["activation"]["_target_"])
    assert all(type(kind) is wanted for kind in kinds)
    assert len({id(kind) for kind in kinds}) == 2, "each block has an activation of its own"


def test_it_is_translation_equivariant_away_from_the_border():
    network = small(3)
    image = torch.rand(1, 3, 40, 40)
    reach = 11  # eight 3x3 convolutions, the shift, and one more
    with torch.no_grad():
        whole, moved = network(image), network(image.roll((2, 1), (-2, -1)))
    inner = slice(3 * reach, -3 * reach)
    there = whole.roll((6, 3), (-2, -1))[..., inner, inner]
    torch.testing.assert_close(moved[..., inner, inner], there, rtol=0, atol=1e-5)
    assert not torch.allclose(moved, whole.roll((6, 3), (-2, -1)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 2)])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_odd_sizes(scale, size):
    sr = upscale(small(scale), torch.full((1, 3, *size), 128, dtype=torch.uint8))
    assert sr.dtype == torch.uint8 and sr.shape == (1, 3, size[0] * scale, size[1] * scale)


def test_steps_lower_the_loss_on_a_batch():
    network = small()
    lr, hr = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = F.l1_loss(network(lr), hr)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.99 * losses[0]


@pytest.mark.parametrize(
    ("scale", "fresh"),
    [
        (2, ()),
        (3, ("tail.0.0.weight", "tail.0.0.bias")),
        (4, ("tail.0.2.weight", "tail.0.2.bias")),
    ],
)
def test_a_network_begins_with_x2s_weights_and_says_what_is_fresh(scale, fresh):
    parent = small(2).state_dict()
    torch.manual_seed(1)
    child = EDSR(scale, 2, 8)
    before = {k: v.clone() for k, v in child.state_dict().items()}
    done = transfer(child, parent)
    assert done.left == fresh and set(done.taken) == set(before) - set(fresh)
    for name, value in child.state_dict().items():
        assert torch.equal(value, before[name] if name in fresh else parent[name])
        if name.endswith("weight") and "mean" not in name and name not in fresh:
            assert not torch.equal(value, before[name])
    assert str(done).startswith(f"{len(before) - len(fresh)} tensors taken over")
    assert all(name in str(done) for name in fresh)


@pytest.mark.parametrize(
    "other", [{"n_feats": 4}, {"n_resblocks": 1}, {"n_resblocks": 3}, {"activation": nn.PReLU}]
)
def test_weights_of_another_size_are_refused_and_change_nothing(other):
    child = small(4)
    before = {k: v.clone() for k, v in child.state_dict().items()}
    with pytest.raises(UserError, match=r"start: \S+ and \d+ more weights of EDSR do not fit"):
        transfer(child, small(2, **other).state_dict())
    assert all(torch.equal(v, before[k]) for k, v in child.state_dict().items())


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_is_imresize(scale):
    lr = torch.randint(0, 256, (1, 3, 9, 12), dtype=torch.uint8)
    floating = imresize(lr.double().div(255), scale).mul(255)
    sr = upscale(Bicubic(scale), lr)
    assert torch.equal(sr, floating.clamp(0, 255).add(0.5).floor().to(torch.uint8))
    assert torch.equal(Bicubic(scale)(lr[:, :1]), imresize(lr[:, :1], scale))
    assert Bicubic(scale).parameter_count == 0
