"""Each network once more, from its paper and a state dict alone, and the public key layouts."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sr_experiments.imaging.resize import imresize
from sr_experiments.models.ecbsr import ECBSR
from sr_experiments.models.espcn import ESPCN
from sr_experiments.models.fsrcnn import FSRCNN
from sr_experiments.models.rcan import RCAN
from sr_experiments.models.srcnn import SRCNN
from sr_experiments.models.srresnet import SRResNet
from sr_experiments.models.transfer import transfer
from sr_experiments.models.vdsr import VDSR


class Paper:
    """A network's layers by name, on nothing but its state dict."""

    def __init__(self, state):
        self.state = state

    def conv(self, x, name):
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, self.state.get(f"{name}.bias"), padding=weight.shape[-1] // 2)

    def norm(self, x, name):
        """Batch normalisation as it is scored: by the running moments."""
        mean, var, weight, bias = (
            self.state[f"{name}.{key}"].view(1, -1, 1, 1)
            for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    def slope(self, x, name):
        return torch.where(x > 0, x, x * self.state[f"{name}.weight"])


def srcnn(p, x, scale):
    x = p.conv(imresize(x, scale), "head.0").relu()
    return p.conv(p.conv(x, "body.0").relu(), "tail")


def vdsr(p, x, scale, residual=True):
    enlarged = imresize(x, scale)
    x = p.conv(enlarged, "head.0").relu()
    for layer in range(3):
        x = p.conv(x, f"body.{layer}.0").relu()
    return p.conv(x, "tail") + (enlarged if residual else 0)


def espcn(p, x, scale):
    x = p.conv(p.conv(p.conv(x, "head.0").tanh(), "body.0").tanh(), "tail.0")
    n, _, h, w = x.shape  # periodic shuffling, equation 4
    x = x.view(n, scale, scale, h, w).permute(0, 3, 1, 4, 2)
    return x.reshape(n, 1, h * scale, w * scale)


def ecbsr(p, x, scale):
    def branches(x, name):
        """The branches one by one, as the paper trains them; figure 3 and equations 1 to 7."""
        key = f"{name}." if name else ""
        expand, squeeze, mix, strength = (
            p.state[f"{key}{part}"] for part in ("expand", "squeeze", "mix", "strength")
        )
        y = p.conv(x, name)
        y = y + F.conv2d(F.conv2d(x, expand[:, :, None, None]), squeeze, padding=1)
        sobel = torch.outer(x.new_tensor([1, 2, 1]), x.new_tensor([1, 0, -1]))
        laplacian = x.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
        for kernel, by, share in zip((sobel, sobel.T, laplacian), mix, strength, strict=True):
            z = F.conv2d(x, by[:, :, None, None])
            depthwise = kernel.expand(len(by), 1, 3, 3)
            y = y + share.view(1, -1, 1, 1) * F.conv2d(z, depthwise, padding=1, groups=len(by))
        return y

    y = p.slope(branches(x, "head.0"), "head.1")
    for block in (0, 1):
        y = p.slope(branches(y, f"body.{block}.0"), f"body.{block}.1")
    y = F.pixel_shuffle(branches(y, "tail"), scale)
    return y + F.interpolate(x, scale_factor=scale, mode="nearest")


def fsrcnn(p, x, scale):
    for name in ("head", "shrink", "mapping.0", "mapping.1", "expand"):
        x = p.slope(p.conv(x, f"{name}.0"), f"{name}.1")
    # A transposed convolution is a convolution of the stretched image with the turned kernel.
    n, c, h, w = x.shape
    stretched = x.new_zeros(n, c, h * scale, w * scale)
    stretched[..., ::scale, ::scale] = x
    kernel = p.state["tail.weight"].flip(-2, -1).transpose(0, 1)
    return F.conv2d(stretched, kernel, p.state["tail.bias"], padding=4)


def srresnet(p, x, scale, batch_norm=True):
    norm = p.norm if batch_norm else (lambda x, name: x)
    second = 3 if batch_norm else 2
    head = p.slope(p.conv(x, "head.0"), "head.1")
    x = head
    for block in ("body.0.body", "body.1.body"):
        inner = norm(p.conv(x, f"{block}.0"), f"{block}.1")
        inner = p.slope(inner, f"{block}.{second - 1}")
        x = x + norm(p.conv(inner, f"{block}.{second}"), f"{block}.{second + 1}")
    x = head + norm(p.conv(x, "body.2"), "body.3")
    for step in range({2: 1, 3: 1, 4: 2}[scale]):
        x = F.pixel_shuffle(p.conv(x, f"tail.0.{3 * step}"), 3 if scale == 3 else 2)
        x = p.slope(x, f"tail.0.{3 * step + 2}")
    return p.conv(x, "tail.1")


def rcan(p, x, scale):
    x = p.conv(p.conv(x * 255, "sub_mean"), "head.0")
    head = x
    for group in ("body.0.body", "body.1.body"):
        start = x
        for block in range(3):
            name = f"{group}.{block}.body"
            inner = p.conv(p.conv(x, f"{name}.0").relu(), f"{name}.2")
            gate = inner.mean((2, 3), keepdim=True)
            gate = p.conv(gate, f"{name}.3.conv_du.0").relu()
            x = x + inner * p.conv(gate, f"{name}.3.conv_du.2").sigmoid()
        x = start + p.conv(x, f"{group}.3")
    x = head + p.conv(x, "body.2")
    for step in range({2: 1, 3: 1, 4: 2}[scale]):
        x = F.pixel_shuffle(p.conv(x, f"tail.0.{2 * step}"), 3 if scale == 3 else 2)
    return p.conv(p.conv(x, "tail.1"), "add_mean") / 255


NETWORKS = {
    "srcnn": (SRCNN, {"n1": 6, "n2": 4}, srcnn, {}),
    "srcnn_955": (SRCNN, {"n1": 6, "n2": 4, "kernels": (9, 5, 5)}, srcnn, {}),
    "vdsr": (VDSR, {"n_layers": 5, "n_feats": 6}, vdsr, {}),
    "vdsr_direct": (
        VDSR,
        {"n_layers": 5, "n_feats": 6, "residual": False, "bias": False},
        vdsr,
        {"residual": False},
    ),
    "espcn": (ESPCN, {"n1": 6, "n2": 4}, espcn, {}),
    "ecbsr": (ECBSR, {"n_blocks": 2, "n_feats": 6}, ecbsr, {}),
    "fsrcnn": (FSRCNN, {"d": 6, "s": 4, "m": 2}, fsrcnn, {}),
    "srresnet": (SRResNet, {"n_resblocks": 2, "n_feats": 6}, srresnet, {}),
    "srresnet_without": (
        SRResNet,
        {"n_resblocks": 2, "n_feats": 6, "batch_norm": False},
        srresnet,
        {"batch_norm": False},
    ),
    "rcan": (
        RCAN,
        {"n_resgroups": 2, "n_resblocks": 3, "n_feats": 8, "reduction": 4},
        rcan,
        {},
    ),
}


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", NETWORKS)
def test_forward_is_the_papers_arithmetic(name, scale):
    kind, sizes, paper, options = NETWORKS[name]
    torch.manual_seed(0)
    network = kind(scale, **sizes).double()
    for module in network.modules():  # moments and slopes that show where they are used
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                nn.init.uniform_(tensor, 0.5, 1.5)
        if isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, 0.1, 0.4)
    channels = 3 if network.colour == "rgb" else 1
    lr = torch.rand(2, channels, 11, 8, dtype=torch.double)
    with torch.no_grad():
        wanted = paper(Paper(network.state_dict()), lr, scale, **options)
        found = network.eval()(lr)
    assert found.shape == (2, channels, 11 * scale, 8 * scale)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_rcans_names_and_shapes_are_those_of_the_official_checkpoints(scale):
    n, inner = 8, 2
    layers = {"head.0": (3, n, 3), "body.2": (n, n, 3), "tail.1": (n, 3, 3)}
    for group in (0, 1):
        layers[f"body.{group}.body.3"] = (n, n, 3)
        for block in (0, 1, 2):
            name = f"body.{group}.body.{block}.body"
            layers |= {f"{name}.{layer}": (n, n, 3) for layer in (0, 2)}
            layers[f"{name}.3.conv_du.0"] = (n, inner, 1)
            layers[f"{name}.3.conv_du.2"] = (inner, n, 1)
    layers |= {
        2: {"tail.0.0": (n, 4 * n, 3)},
        3: {"tail.0.0": (n, 9 * n, 3)},
        4: {"tail.0.0": (n, 4 * n, 3), "tail.0.2": (n, 4 * n, 3)},
    }[scale]
    shapes = {f"{k}.weight": (out, into, side, side) for k, (into, out, side) in layers.items()}
    shapes |= {f"{k}.bias": (out,) for k, (_, out, _) in layers.items()}
    for shift in ("sub_mean", "add_mean"):
        shapes |= {f"{shift}.weight": (3, 3, 1, 1), f"{shift}.bias": (3,)}
    state = RCAN(scale, 2, 3, n, 4).state_dict()
    assert {k: tuple(v.shape) for k, v in state.items()} == shapes


@pytest.mark.parametrize("name", NETWORKS)
def test_x4_begins_with_what_x2_shares(name):
    kind, sizes, _, _ = NETWORKS[name]
    parent, child = kind(2, **sizes), kind(4, **sizes)
    done = transfer(child, parent.state_dict())
    assert all(left.startswith(child.scale_dependent or "nothing") for left in done.left)
    for key in done.taken:
        assert torch.equal(child.state_dict()[key], parent.state_dict()[key])
    assert "head.0.weight" in done.taken and bool(done.left) == bool(child.scale_dependent)
