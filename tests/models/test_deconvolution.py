"""Network deconvolution is the iteration that its paper describes, however it is computed."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from two_processes import train, train_in_two

from sr_experiments.config import instantiate
from sr_experiments.config.compose import compose
from sr_experiments.models.layers import products
from sr_experiments.models.layers.deconvolution import Deconvolution, whiten
from sr_experiments.training.checkpoints import load_weights, save_weights


def newton_schulz(covariance, n_iter):
    """The coupled iteration, written as in the paper."""
    norm = covariance.pow(2).sum().sqrt()
    unit = torch.eye(len(covariance), dtype=covariance.dtype)
    y, z = covariance / norm, unit
    for _ in range(n_iter):
        t = 0.5 * (3 * unit - z @ y)
        y, z = y @ t, t @ z
    return z / norm.sqrt()


def patches_of(x, block, k, stride):
    """Every patch of every block of channels, gathered pixel by pixel."""
    pad = k // 2
    padded = F.pad(x, (pad,) * 4)
    rows = []
    for image in padded:
        for top in range(0, x.shape[2], stride):
            for left in range(0, x.shape[3], stride):
                patch = image[:, top : top + k, left : left + k]
                rows += [part.reshape(-1) for part in patch.split(block)]
    return torch.stack(rows)


def reference(layer, x, statistics=None):
    """``y = (x - mean) D w + b`` in float64 by autograd alone; and mean and D."""
    weight = layer.weight.double()
    k, n = layer.kernel_size[0], layer.block
    if statistics is None:
        rows = patches_of(x, n, k, layer.sampling_stride)
        mean = rows.mean(0)
        covariance = (rows - mean).T @ (rows - mean) / len(rows)
        covariance = covariance + layer.eps * torch.eye(len(mean), dtype=torch.double)
        mean, deconv = mean, newton_schulz(covariance, layer.n_iter)
    else:
        mean, deconv = statistics
    parts = []
    for group in weight.split(n, dim=1):  # each block of channels by itself
        folded = group.reshape(len(weight), -1) @ deconv
        parts.append((folded.view_as(group), folded @ mean))
    whole = torch.cat([w for w, _ in parts], dim=1)
    bias = -sum(shift for _, shift in parts)
    bias = bias if layer.bias is None else bias + layer.bias.double()
    return F.conv2d(x, whole, bias, padding=k // 2), mean, deconv


def photograph_like(*shape):
    """Smooth, with a mean: strongly correlated over pixels and channels."""
    base = torch.rand(*shape, dtype=torch.double)
    mixed = F.avg_pool2d(base, 3, 1, 1) + 0.3 * base.mean(1, keepdim=True)
    return mixed + 0.1 * base


CASES = [
    {"channels": 6, "block": 64, "k": 3, "stride": 3, "bias": True},
    {"channels": 12, "block": 5, "k": 3, "stride": 2, "bias": False},  # three blocks of four
    {"channels": 8, "block": 4, "k": 1, "stride": 1, "bias": True},
    {"channels": 1, "block": 64, "k": 5, "stride": 3, "bias": True},
]


def layer_of(case, **options):
    torch.manual_seed(0)
    made = Deconvolution(
        case["channels"],
        7,
        case["k"],
        bias=case["bias"],
        block=case["block"],
        sampling_stride=case["stride"],
        **options,
    )
    return made, photograph_like(3, case["channels"], 10, 8)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_training_and_eval_are_the_papers_formula(case, dtype):
    layer, x = layer_of(case)
    layer, tolerance = layer.to(dtype), 1e-10 if dtype == torch.float64 else 2e-4
    running_mean = torch.zeros(len(layer.running_mean), dtype=torch.double)
    running_deconv = torch.eye(len(running_mean), dtype=torch.double)
    for batch in (x, 2 * x.flip(0, 2) + 1):  # the running statistics are those of both
        wanted, mean, deconv = reference(layer, batch)
        got = layer(batch.to(dtype))
        assert got.shape == wanted.shape == (3, 7, 10, 8)
        torch.testing.assert_close(got.double(), wanted, rtol=tolerance, atol=tolerance)
        running_mean = 0.9 * running_mean + 0.1 * mean
        running_deconv = 0.9 * running_deconv + 0.1 * deconv
    close = partial(torch.testing.assert_close, rtol=tolerance, atol=tolerance)
    close(layer.running_mean.double(), running_mean.detach())
    close(layer.running_deconv.double(), running_deconv.detach())
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    layer.eval()
    wanted = reference(layer, x, (running_mean, running_deconv))[0]
    close(layer(x.to(dtype)).double(), wanted)  # with gradients: folded anew
    with torch.no_grad():
        for _ in range(2):
            close(layer(x.to(dtype)).double(), wanted)
    assert all(torch.equal(v, before[k]) for k, v in layer.state_dict().items())


def test_gradients_are_those_of_the_plain_formula():
    for case in CASES[:2]:
        layer, x = layer_of(case)
        layer.double()
        x.requires_grad_()
        probe = torch.randn(3, 7, 10, 8, dtype=torch.double)
        inputs = [x, *layer.parameters()]
        got = torch.autograd.grad((layer(x) * probe).sum(), inputs)
        wanted = torch.autograd.grad((reference(layer, x)[0] * probe).sum(), inputs)
        for one, other in zip(got, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)
        # The statistics are part of the gradient, not constants of it.
        fixed = [s.detach() for s in reference(layer, x)[1:]]
        other = torch.autograd.grad((reference(layer, x, fixed)[0] * probe).sum(), x)[0]
        assert not torch.allclose(got[0], other, rtol=1e-2)
    small = Deconvolution(2, 2, 3, sampling_stride=2).double()
    x = torch.rand(1, 2, 5, 4, dtype=torch.double, requires_grad=True)
    weight = small.weight.detach().clone().requires_grad_()

    def call(x, weight):
        return torch.func.functional_call(small, {"weight": weight}, (x,))

    assert torch.autograd.gradcheck(call, (x, weight))


def test_float32_gradients_by_the_fast_products_are_those_of_float64():
    torch.manual_seed(0)
    layer = Deconvolution(48, 5, 3, block=24)  # two blocks
    assert len(layer.running_mean) >= products.SMALLEST, "or this is the slow way"
    x = photograph_like(3, 48, 12, 9).requires_grad_()
    probe = torch.randn(3, 5, 12, 9, dtype=torch.double)
    wanted = torch.autograd.grad((reference(layer, x)[0] * probe).sum(), [x, layer.weight])
    single = x.detach().float().requires_grad_()
    loss = (layer(single) * probe.float()).sum()
    with torch.autocast("cpu", dtype=torch.bfloat16):  # as where the loop wraps the whole step
        got = torch.autograd.grad(loss, [single, layer.weight])
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other.float(), rtol=1e-3, atol=1e-3 * float(other.std()))


@pytest.mark.parametrize("side", [products.SMALLEST - 1, products.SMALLEST, 300])
def test_both_ways_to_multiply_agree(side, monkeypatch):
    torch.manual_seed(0)
    left, right = torch.randn(70, side), torch.randn(side, 90)
    patches, long = torch.randn(7, side, 130), torch.randn(2, side, 600)  # split unevenly
    ways, convolve = [], F.conv1d
    monkeypatch.setattr(F, "conv1d", lambda *a, **k: ways.append(1) or convolve(*a, **k))

    def answers():
        views = left.T.contiguous().T, right.T.contiguous().T  # as transposed as they come
        batched = products.product(left, patches[:, :, :40])
        return [
            products.product(left, right),
            products.product(*views),
            batched,
            products.gram(patches),
            products.gram(long),
        ]

    def exactly():
        a, b, p, q = left.double(), right.double(), patches.double(), long.double()
        return [
            a @ b,
            a @ b,
            a @ p[:, :, :40],
            *(torch.einsum("bik,bjk->ij", v, v) for v in (p, q)),
        ]

    first, again, taken = answers(), answers(), bool(ways)
    assert taken == (side >= products.SMALLEST and torch.backends.mkldnn.is_available())
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    ways.clear()
    monkeypatch.setattr(products, "SMALLEST", 10**9)
    plain = answers()
    assert not ways
    for one, other, exact in zip(first, plain, exactly(), strict=True):
        assert one.shape == exact.shape
        for found in (one, other):
            assert float((found - exact).norm() / exact.norm()) < 1e-6


def test_five_steps_are_far_from_the_inverse_root_and_twenty_are_not():
    torch.manual_seed(0)
    rows = patches_of(photograph_like(4, 3, 24, 24), 3, 3, 1)
    rows = rows - rows.mean(0)
    covariance = rows.T @ rows / len(rows) + 1e-5 * torch.eye(27, dtype=torch.double)
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors @ torch.diag(values.rsqrt()) @ vectors.T
    unit = torch.eye(27, dtype=torch.double)
    error = {
        n: float((whiten(unit, covariance, n)[1] - root).norm() / root.norm()) for n in (5, 20)
    }
    assert error[5] > 0.5 and error[20] < 1e-6


def test_float32_holds_behind_layers_that_count_to_255():
    torch.manual_seed(0)
    layer = Deconvolution(16, 7, 3)
    x = 255 * photograph_like(4, 16, 24, 24)
    torch.testing.assert_close(layer(x.float()).double(), reference(layer, x)[0], rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("channels", "block", "used"), [(64, 64, 64), (64, 48, 32), (6, 4, 3), (7, 4, 1), (3, 64, 3)]
)
def test_the_block_is_the_largest_divisor(channels, block, used):
    layer = Deconvolution(channels, 2, 3, block=block)
    assert layer.block == used and layer.running_deconv.shape == (9 * used, 9 * used)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_leaves_the_statistics_exact(dtype):
    layer, x = layer_of(CASES[0])
    twin = copy.deepcopy(layer)
    x = x.float()
    with torch.autocast("cpu", dtype=dtype):
        out = layer(x)
        out.float().square().mean().backward()
    assert out.dtype == dtype
    assert all(bool(p.grad.isfinite().all()) for p in layer.parameters())
    wanted = twin(x)
    torch.testing.assert_close(layer.running_deconv, twin.running_deconv)
    torch.testing.assert_close(out.float(), wanted, rtol=0.05, atol=0.05)
    with torch.no_grad(), torch.autocast("cpu", dtype=dtype):
        out = layer.eval()(x)
    assert out.dtype == dtype and out.isfinite().all()


def test_what_is_kept_for_eval_follows_every_change():
    layer, x = layer_of(CASES[0])
    x = x.float()
    layer(x)
    layer.eval()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    other = {k: v + 0.1 for k, v in layer.state_dict().items()}

    def folded():
        with torch.inference_mode():
            return layer(x).clone()

    def unfolded():
        return layer(x).detach()

    seen = [folded()]

    def changed():
        now = folded()
        torch.testing.assert_close(now, unfolded())
        assert not torch.allclose(now, seen[-1], rtol=1e-4)
        seen.append(now)

    layer(x).sum().backward()
    optimizer.step()
    changed()
    layer.load_state_dict(other)
    changed()
    layer.weight.data = layer.weight.data * 2
    changed()
    layer.train()(2 * x)
    layer.eval()
    changed()
    assert torch.equal(copy.deepcopy(layer)(x), unfolded())
    assert folded().data_ptr() != 0 and layer.double()(x.double()).dtype == torch.float64


def test_folding_is_done_once(monkeypatch):
    layer, x = layer_of(CASES[0])
    layer.eval()
    folds, fold = [], layer.folded
    monkeypatch.setattr(layer, "folded", lambda: folds.append(1) or fold())
    with torch.no_grad():
        for _ in range(3):
            layer(x.float())
    assert len(folds) == 1


def test_buffers_travel_with_the_weights(tmp_path):
    words = ["convolution=deconvolution", "model.n_resblocks=1", "model.n_feats=8"]
    config = compose([*words, "convolution.n_iter=4"]).model
    torch.manual_seed(0)
    network = instantiate.build(config, "model")
    layers = [m for m in network.modules() if isinstance(m, Deconvolution)]
    assert len(layers) == 2 and all(m.n_iter == 4 for m in layers), "the block's, no others"
    lr = torch.rand(2, 3, 9, 8)
    network(lr)
    save_weights(tmp_path / "weights.safetensors", network.state_dict(), config)
    state, description = load_weights(tmp_path / "weights.safetensors")
    again = instantiate.build_network(description)
    again.load_state_dict(state)
    network.eval(), again.eval()
    with torch.no_grad():
        assert torch.equal(network(lr), again(lr))
    fresh = instantiate.build_network(description)
    fresh.load_state_dict({k: v for k, v in state.items() if "running" not in k}, strict=False)
    assert not torch.equal(fresh.eval()(lr), network(lr)), "the buffers matter"


@pytest.mark.parametrize(
    "options",
    [{"eps": 0.0}, {"momentum": 0.0}, {"momentum": 2.0}, {"n_iter": 0}, {"block": 0}],
)
def test_numbers_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Deconvolution(4, 4, 3, **options)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(Deconvolution(3, 6, 3), nn.ReLU(), Deconvolution(6, 3, 3))

    def forward(self, x):
        return self.layers(x)


def two():
    return Two().double()


def test_two_processes_are_one_with_the_joined_batch(tmp_path):
    x, y = photograph_like(4, 3, 12, 12), photograph_like(4, 3, 12, 12)
    states = train_in_two(two, x, y, tmp_path)
    alone = two()
    start = copy.deepcopy(alone.state_dict())
    train(alone, x, y)
    for name, wanted in alone.state_dict().items():
        assert not torch.allclose(wanted, start[name])
        assert torch.equal(states[0][name], states[1][name])
        torch.testing.assert_close(states[0][name], wanted, rtol=1e-9, atol=1e-11)
