"""Weights from elsewhere: whole, checked, and scored as published."""

import csv
import hashlib
import json
import math
import re
from fractions import Fraction

import pytest
import torch
from safetensors.torch import save_file

from sr_experiments.core.errors import UserError
from sr_experiments.data.sources import find_images
from sr_experiments.data.store import open_pairs
from sr_experiments.metrics.scoring import score_image
from sr_experiments.models.edsr import EDSR
from sr_experiments.models.foreign_weights import load_foreign, recognise
from sr_experiments.models.network import upscale_luma
from sr_experiments.models.rcan import RCAN
from sr_experiments.models.srcnn import SRCNN
from sr_experiments.models.srresnet import SRResNet
from sr_experiments.models.vdsr import VDSR
from sr_experiments.models.weights import save_weights
from sr_experiments.upscale.load_network import load_network

#: PSNR of Set5 under y_first that these public weights are known for.
VDSR_SET5 = {3: 33.748, 4: 31.434}


def vdsr(**options):
    return VDSR(2, **({"n_layers": 4, "n_feats": 4, "bias": False} | options))


def public_vdsr():
    """A file of the public repository's layout, in an order of its own."""
    layers = {f"residual_layer.{i}.conv.weight": torch.rand(4, 4, 3, 3) for i in (0, 1)}
    return {
        **layers,
        "input.weight": torch.rand(4, 1, 3, 3),
        "output.weight": torch.rand(1, 4, 3, 3),
    }


def saved(folder, state, name="weights.pt"):
    path = folder / name
    save_file(state, path) if name.endswith(".safetensors") else torch.save(state, path)
    return path


def test_the_public_vdsr_layout_is_renamed(tmp_path):
    state, network = public_vdsr(), vdsr()
    load_foreign(saved(tmp_path, state), network)
    pairs = {
        "head.0": "input",
        "body.0.0": "residual_layer.0.conv",
        "body.1.0": "residual_layer.1.conv",
        "tail": "output",
    }
    own = network.state_dict()
    assert len(own) == len(pairs)
    assert all(torch.equal(own[f"{a}.weight"], state[f"{b}.weight"]) for a, b in pairs.items())


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: EDSR(4, 2, 8),
        lambda: RCAN(3, 1, 2, 8, 4),
        lambda: SRResNet(2, 1, 4),
        lambda: vdsr(bias=True),
    ],
    ids=["edsr", "rcan", "srresnet", "vdsr"],
)
def test_official_and_own_names_load_as_they_are(tmp_path, make, name):
    source, network = make(), make()
    source.train()(torch.rand(1, 1 if source.colour == "y" else 3, 6, 6))  # moments move
    load_foreign(saved(tmp_path, source.state_dict(), name), network)
    own = network.state_dict()
    assert all(torch.equal(own[k], v) for k, v in source.state_dict().items())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("input.weight"), r"1 missing \(head\.0\.weight\)"),
        (lambda s: s.update(more=torch.ones(1)), r"4 missing \(head.*; 5 unknown \(residual_layer"),
        (
            lambda s: s.update({"output.weight": torch.ones(1, 8, 3, 3)}),
            r"1 of another kind \(tail\.weight 1x8x3x3 instead of 1x4x3x3\)",
        ),
        (
            lambda s: s.update({"output.weight": torch.ones(1, 4, 3, 3).int()}),
            r"tail\.weight 1x4x3x3 whole numbers instead of 1x4x3x3",
        ),
        (
            lambda s: s.update({"residual_layer.2.conv.weight": torch.ones(1)}),
            r"1 unknown \(body\.2",
        ),
        (lambda s: s.update(epoch=3), r"not a plain state dict \(epoch is int\)"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(tmp_path, change, says):
    state, network = public_vdsr(), vdsr()
    change(state)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with pytest.raises(UserError, match=says) as caught:
        load_foreign(saved(tmp_path, state), network)
    assert "\n" not in str(caught.value) and "weights.pt" in str(caught.value)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_a_bias_too_much_is_told_with_the_network(tmp_path):
    with pytest.raises(UserError) as caught:
        load_foreign(saved(tmp_path, public_vdsr()), vdsr(bias=True))
    wanted = (
        r"weights=\S+: these are not the weights of VDSR 4x4 at scale=2: "
        r"4 missing \(head\.0\.bias, body\.0\.0\.bias, body\.1\.0\.bias \.\.\.\); "
        r"the file holds VDSR with n_layers=4, n_feats=4, bias=False; "
        r"change the model's keys or the file"
    )
    assert re.fullmatch(wanted, str(caught.value))


def test_layers_of_another_range_are_refused(tmp_path):
    path = saved(tmp_path, EDSR(2, 1, 4, rgb_range=1.0).state_dict())
    network = EDSR(2, 1, 4)
    with pytest.raises(UserError, match=r"sub_mean is .*another range \(model\.rgb_range\)"):
        load_foreign(path, network)
    load_foreign(path, EDSR(2, 1, 4, rgb_range=1.0))


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize(
    ("make", "sizes"),
    [
        (lambda: EDSR(3, 5, 12), {"scale": 3, "n_resblocks": 5, "n_feats": 12, "res_scale": 1.0}),
        (lambda: EDSR(4, 1, 256), {"scale": 4, "n_resblocks": 1, "n_feats": 256, "res_scale": 0.1}),
        (
            lambda: RCAN(2, 3, 2, 16, 4),
            {"scale": 2, "n_resgroups": 3, "n_resblocks": 2, "n_feats": 16, "reduction": 4},
        ),
        (lambda: SRCNN(2, (9, 5, 5), 6, 4), {"kernels": [9, 5, 5], "n1": 6, "n2": 4}),
        (lambda: vdsr(bias=True), {"n_layers": 4, "n_feats": 4, "bias": True}),
    ],
    ids=["edsr", "edsr_large", "rcan", "srcnn", "vdsr"],
)
def test_a_files_tensors_tell_the_network_and_its_sizes(tmp_path, make, sizes, name):
    network = make()
    path = saved(tmp_path, network.state_dict(), name)
    assert recognise(path) == (type(network), sizes)
    found = load_network(str(path), Fraction(2)).network
    assert all(torch.equal(found.state_dict()[k], v) for k, v in network.state_dict().items())


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda s: {"module." + k: v for k, v in s.items()},
        lambda s: {"params": {k: v + 1 for k, v in s.items()}, "params_ema": s},
        lambda s: {"state_dict": {"_orig_mod.module." + k: v for k, v in s.items()}, "epoch": 3},
        lambda s: {"params." + k: v for k, v in s.items()},
    ],
    ids=["parallel", "averaged", "compiled", "flat"],
)
def test_what_training_code_puts_around_weights_is_taken_off(tmp_path, wrapped):
    source, network = EDSR(2, 1, 4), EDSR(2, 1, 4)
    load_foreign(saved(tmp_path, wrapped(source.state_dict())), network)
    assert all(torch.equal(network.state_dict()[k], v) for k, v in source.state_dict().items())


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_weights_that_are_no_numbers_are_refused(tmp_path, name, value):
    state = EDSR(2, 1, 4).state_dict()
    state["tail.1.weight"][0, 0, 0, 0] = value
    path = saved(tmp_path, state, name)
    said = r"1 of 108 values of tail\.1\.weight are not finite"
    with pytest.raises(UserError, match=said):
        load_foreign(path, EDSR(2, 1, 4))
    config = {"_target_": "sr_experiments.models.edsr.EDSR", "scale": 2}
    save_weights(tmp_path / "own.safetensors", state, config | {"n_resblocks": 1, "n_feats": 4})
    for file in (path, tmp_path / "own.safetensors"):
        with pytest.raises(UserError, match=said):
            load_network(str(file), Fraction(2))


class Touch:
    """A pickle that runs a command where it is trusted."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_no_code_of_a_file_is_run_and_damage_is_one_line(tmp_path):
    hostile = saved(tmp_path, {"a": Touch(tmp_path / "mark")}, "hostile.pt")
    whole = saved(tmp_path, public_vdsr()).read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pt").write_text("not weights")
    (tmp_path / "half.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    names = ("half.pt", "text.pt", "half.safetensors")
    for path in (hostile, *(tmp_path / n for n in names), tmp_path):
        with pytest.raises(UserError, match="cannot be read without executing code") as caught:
            load_foreign(path, vdsr())
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "mark").exists()
    with pytest.raises(UserError, match="no such file"):
        load_foreign(tmp_path / "nothing.pt", vdsr())


def test_public_vdsr_weights_score_as_published(research, cache):
    scale = 3  # 4: by the command, below
    network = VDSR(scale, bias=False).eval()
    load_foreign(research / "weights" / "vdsr_twtygqyy_state_dict.pt", network)
    common = {"root": research, "cache": cache, "scale": scale}
    pairs = open_pairs(find_images("Set5", **common), scale, cache)
    found = []
    for index in range(len(pairs)):
        hr = pairs[index][1]
        plane = upscale_luma(network, hr[None])[0]
        # Only the luma counts here, so the colours may be the truth's own.
        found.append(score_image(hr, hr, scale, sr_luma=plane)["y_first"].psnr)
    assert sum(found) / 5 == pytest.approx(VDSR_SET5[scale], abs=0.0006)


def test_the_command_scores_public_weights(research, command, environment, tmp_path):
    environment["SR_DATA"] = str(research)
    words = ["model=vdsr", "model.bias=false", "method=none", "budget=paper", "logger=csv"]
    weights = research / "weights" / "vdsr_twtygqyy_state_dict.pt"
    done = command(*words, f"weights={weights}", "benchmarks.sets=[Set5]", "scale=4")
    assert done.returncode == 0, done.stderr
    assert f"weights of {weights} (SHA-256 " in done.stdout
    (scores,) = (tmp_path / "runs").rglob("scores.csv")
    rows = [row for row in csv.DictReader(scores.open()) if row["protocol"] == "y_first"]
    mean = sum(float(row["psnr"]) for row in rows) / len(rows)
    assert len(rows) == 5 and mean == pytest.approx(VDSR_SET5[4], abs=0.0006)
    (result,) = (tmp_path / "runs").rglob("result.json")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert json.loads(result.read_text())["settings"]["weights"] == digest
    # The same file for a network that it does not fit is one line, and leaves no run.
    done = command("model=vdsr", *words[2:], f"weights={weights}", "benchmarks.sets=[Set5]")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert re.search(r"weights=\S+: these are not .*20 missing \(head\.0\.bias, ", done.stderr)
    assert len(done.stderr.strip().splitlines()) == 1
    assert len(list((tmp_path / "runs").rglob("status.json"))) == 1
