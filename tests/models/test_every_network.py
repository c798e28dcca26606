"""Every network of conf/model: it trains, it is saved and rebuilt, and its arithmetic stays.

``OMP_NUM_THREADS=1 python tests/models/test_every_network.py`` writes ``golden_losses.json`` anew;
do so only where a change of the losses is meant.
"""

import json
from functools import cache
from itertools import combinations, product
from pathlib import Path

import pytest
import torch

from sr_experiments.config import instantiate
from sr_experiments.config.compose import compose
from sr_experiments.core.errors import UserError
from sr_experiments.core.paths import conf_dir
from sr_experiments.data.datamodule import Batch
from sr_experiments.imaging.resize import downscale
from sr_experiments.models.network import prepare, upscale
from sr_experiments.training.checkpoints import load_weights, save_weights
from sr_experiments.training.module import Supervised

GOLDEN = Path(__file__).with_name("golden_losses.json")
MODELS = sorted(p.stem for p in (conf_dir() / "model").glob("*.yaml") if p.stem != "bicubic")
CONVOLUTIONS = sorted(p.stem for p in (conf_dir() / "convolution").glob("*.yaml"))


@cache
def node(*words):
    """The network's config at its smallest size."""
    return compose([*words, "budget=smoke", "data=embedded", "benchmarks=embedded"]).model


def pairs(row):
    """Every two values of a row, with their places in it."""
    return set(combinations(enumerate(row), 2))


def covering(*values):
    """Rows of one value each in which any two values of two parameters meet at least once."""
    rows, every = [], list(product(*values))
    missing = set().union(*map(pairs, every))
    while missing:
        rows.append(max(every, key=lambda row: len(pairs(row) & missing)))
        missing -= pairs(rows[-1])
    return rows


PARAMETERS = (MODELS, (2, 3, 4), ("relu", "mish", "prelu"), CONVOLUTIONS)
GRID = covering(*PARAMETERS)


def images(scale, count=4):
    generator = torch.Generator().manual_seed(0)
    shape = (count, 3, 10 * scale, 8 * scale)
    hr = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return downscale(hr, scale), hr


def test_any_two_values_of_two_parameters_meet_in_the_grid():
    for first, second in combinations(range(len(PARAMETERS)), 2):
        met = {(row[first], row[second]) for row in GRID}
        assert met == set(product(PARAMETERS[first], PARAMETERS[second]))


@pytest.mark.parametrize(("model", "scale", "activation", "convolution"), GRID)
def test_it_trains_and_is_rebuilt_from_its_file(tmp_path, model, scale, activation, convolution):
    parts = {"activation": node("model=srcnn", f"activation={activation}")["activation"]}
    parts["convolution"] = node("model=srcnn", f"convolution={convolution}")["convolution"]
    config = node(f"model={model}") | parts | {"scale": scale}
    if "reduction" in config:  # of fewer hidden units in its attention, all may begin dead
        config |= {"reduction": 1}
    torch.manual_seed(0)
    network = instantiate.build(config, "model")
    module = Supervised(network)
    lr, hr = images(scale)
    kind = instantiate.resolve(parts["activation"]["_target_"])
    used = sum(isinstance(part, kind) for part in network.modules())
    assert used >= network_places(network), "each place has an activation of its own"

    before = module.training_step(Batch(lr, hr, 0), 0)
    before.backward()
    idle = [k for k, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []
    torch.optim.Adam(network.parameters(), lr=1e-4).step()
    assert module.training_step(Batch(lr, hr, 0), 0).item() < before.item()

    save_weights(tmp_path / "w.safetensors", network.state_dict(), config)
    state, described = load_weights(tmp_path / "w.safetensors")
    again = instantiate.build_network(described)
    again.load_state_dict(state)
    first, second = (upscale(prepare(n), lr) for n in (network, again))
    assert first.shape == hr.shape and first.dtype == torch.uint8
    assert torch.equal(first, second) and first.unique().numel() > 1
    with torch.no_grad():
        assert torch.equal(network(network.encode(lr)), again(again.encode(lr)))
    assert again.size == network.size and again.scale == scale


def network_places(network):
    """How many activations of the config's kind a network has at least, by its sizes."""
    sizes = vars(network)
    return {
        "ECBSR": lambda: sizes["n_blocks"] + 1,
        "EDSR": lambda: sizes["n_resblocks"],
        "RCAN": lambda: sizes["n_resgroups"] * sizes["n_resblocks"],
        "SRResNet": lambda: 2 + sizes["n_resblocks"],
        "VDSR": lambda: sizes["n_layers"] - 1,
        "FSRCNN": lambda: sizes["m"] + 3,
        "SRCNN": lambda: 2,
        "ESPCN": lambda: 2,
    }[type(network).__name__]()


@pytest.mark.parametrize(
    ("model", "changes", "counts"),
    [
        ("edsr_baseline", {}, (1_369_859, 1_554_499, 1_517_571)),
        ("edsr", {}, (40_729_603, 43_680_003, 43_089_923)),
        ("rcan", {}, (15_444_643, 15_629_283, 15_592_355)),  # published: 15.44, 15.63, 15.59 M
        ("srcnn", {}, (8_129, 8_129, 8_129)),
        ("srcnn_955", {}, (57_281, 57_281, 57_281)),
        ("vdsr", {}, (665_921, 665_921, 665_921)),
        ("vdsr", {"bias": False}, (664_704, 664_704, 664_704)),
        # Published: 12,464 weights; and 173 biases, 7 slopes.
        ("fsrcnn", {}, (12_464 + 173 + 7,) * 3),
        # 25 * 64 + 9 * 64 * 32 + 9 * 32 * scale^2 weights, 64 + 32 + scale^2 biases.
        ("espcn", {}, (21_284, 22_729, 24_752)),
        # By hand: head 4,896, blocks 4 * 8,256, tail 1,200, 3,510 or 8,256, slopes 5.
        ("ecbsr", {}, (39_125, 41_435, 46_181)),
        # By hand: head 15,617, blocks 16 * 74,113, closing 37,056, tail 15,555, and 147,713 a x2.
        ("srresnet", {}, (1_401_749, 1_586_389, 1_549_462)),
        ("srresnet", {"batch_norm": False}, (1_397_525, 1_582_165, 1_545_238)),
    ],
)
def test_parameters_at_the_papers_size(model, changes, counts):
    config = compose([f"model={model}", "budget=paper"]).model | changes
    for scale, count in zip((2, 3, 4), counts, strict=True):
        with torch.device("meta"):
            network = instantiate.build(config | {"scale": scale}, "model")
        assert network.parameter_count == count


@pytest.mark.parametrize(
    ("model", "words"),
    [("srresnet", "prelu"), ("fsrcnn", "prelu"), ("espcn", "tanh"), ("ecbsr", "prelu")],
)
def test_a_networks_own_activation_yields_to_the_users(model, words):
    assert compose([f"model={model}"]).choices["activation"] == words
    chosen = compose(["activation=mish", f"model={model}"])
    assert chosen.choices["activation"] == "mish"
    assert chosen.model["activation"]["_target_"] == "torch.nn.Mish"


@pytest.mark.parametrize(
    ("model", "change", "says"),
    [
        ("srcnn", {"kernels": [9, 2, 5]}, r"kernels=\[9, 2, 5\]: odd sizes"),
        ("srcnn", {"n2": 0}, "n1=8, n2=0: at least 1 of each"),
        ("vdsr", {"n_layers": 1}, "n_layers=1: at least 2"),
        ("rcan", {"reduction": 9}, "reduction=9: at least 1 and at most n_feats=8"),
        ("rcan", {"scale": 5}, "scale=5: RCAN can do 2, 3, 4"),
        ("fsrcnn", {"m": 0}, "d=8, s=4, m=0: at least 1 of each"),
        ("ecbsr", {"n_blocks": 0}, "n_blocks=0, n_feats=8: at least 1 of each"),
    ],
)
def test_sizes_that_make_no_network_are_refused(model, change, says):
    with pytest.raises(UserError, match=says):
        instantiate.build(node(f"model={model}") | change, "model")


def losses(model):
    """Twenty updates of the real training step on fixed images, in float32."""
    torch.manual_seed(0)
    network = instantiate.build(node(f"model={model}"), "model")
    module = Supervised(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    lr, hr = images(network.scale)
    trace = []
    for t in range(20):
        loss = module.training_step(Batch(lr, hr, t), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        trace.append(loss.item())
    return trace


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("model", MODELS)
def test_losses_are_those_of_old(model):
    golden = json.loads(GOLDEN.read_text())
    assert golden.keys() == set(MODELS)
    assert losses(model) == pytest.approx(golden[model], rel=1e-5)


if __name__ == "__main__":
    torch.set_num_threads(1)
    GOLDEN.write_text(json.dumps({model: losses(model) for model in MODELS}, indent=1) + "\n")
