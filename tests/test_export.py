"""An exported network gives the same values to whoever reads it, at any size."""

import numpy as np
import pytest
import torch

from sr_experiments import export
from sr_experiments.models.edsr import EDSR
from sr_experiments.models.foreign_weights import load_foreign
from sr_experiments.models.network import prepare
from sr_experiments.models.rcan import RCAN
from sr_experiments.models.srcnn import SRCNN
from sr_experiments.models.weights import load_weights, save_weights

SIZES = ((1, 13, 40), (2, 32, 19), (4, 9, 9))
CASES = {
    "rcan": (RCAN, {"scale": 3, "n_resgroups": 1, "n_resblocks": 1, "n_feats": 8, "reduction": 4}),
    "edsr": (EDSR, {"scale": 2, "n_resblocks": 1, "n_feats": 8}),
    "srcnn": (SRCNN, {"scale": 2, "n1": 8, "n2": 4}),
}


@pytest.fixture(params=CASES)
def trained(request, tmp_path):
    """A network with weights as after some training, and its file."""
    kind, arguments = CASES[request.param]
    torch.manual_seed(0)
    network = kind(**arguments)
    config = {"_target_": f"{kind.__module__}.{kind.__qualname__}"} | arguments
    save_weights(tmp_path / "trained.safetensors", network.state_dict(), config)
    return prepare(network), tmp_path / "trained.safetensors"


def exported(file, out, scale):
    assert export.main([str(file), str(out), "--scale", str(scale)]) == 0
    return out


@torch.no_grad()
def test_onnx_and_pt2_are_the_network_at_any_number_and_size(trained, tmp_path):
    network, file = trained
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(exported(file, tmp_path / "n.onnx", network.scale))
    program = torch.export.load(exported(file, tmp_path / "n.pt2", network.scale)).module()
    inner = network.for_scale(1) if network.any_scale else network
    for count, height, width in SIZES:
        x = torch.rand(count, 3 if network.colour == "rgb" else 1, height, width)
        expected = inner(x).numpy()
        (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(program(x).numpy(), expected, atol=1e-5)


@torch.no_grad()
def test_weights_are_read_back_by_name(trained, tmp_path):
    network, file = trained
    state = torch.load(exported(file, tmp_path / "n.pt", network.scale), weights_only=True)
    assert state.keys() == network.state_dict().keys()
    kind, arguments = next(c for c in CASES.values() if isinstance(network, c[0]))
    fresh = kind(**arguments)
    load_foreign(tmp_path / "n.pt", fresh)
    x = torch.rand(1, 3 if network.colour == "rgb" else 1, 11, 12)
    assert torch.equal(prepare(fresh)(x), network(x))
    again, _ = load_weights(exported(file, tmp_path / "n.safetensors", network.scale))
    assert all(torch.equal(again[name], tensor) for name, tensor in network.state_dict().items())


def test_the_card_of_a_run_holds_its_scores(command, tmp_path):
    assert command("budget=smoke", "logger=csv", "trainer=cpu").returncode == 0
    (run,) = (tmp_path / "runs" / "runs").iterdir()
    out = exported(run, tmp_path / "n.pt", 2)
    card = out.with_name("n.pt.md").read_text()
    lines = (run / "scores.csv").read_text().splitlines()[1:]
    values = [float(line.split(",")[4]) for line in lines if ",raw,y," in line]
    assert f"| embedded | y | {sum(values) / len(values):.3f} |" in card
    assert "8 updates of 2 patches" in card and str(tmp_path) not in card


def test_a_wrong_export_and_an_unknown_format_are_refused(trained, tmp_path, capsys, monkeypatch):
    _, file = trained
    assert export.main([str(file), str(tmp_path / "n.xyz")]) == 2
    assert "choose from .safetensors, .pt, .onnx, .pt2" in capsys.readouterr().err
    monkeypatch.setattr(export, "_difference", lambda *_: float("nan"))
    assert export.main([str(file), str(tmp_path / "n.pt")]) == 2
    assert "values differ by nan" in capsys.readouterr().err


def test_weights_of_another_activation_are_not_scored(command, tmp_path):
    """Tensors do not tell an activation; the file's config does. A training may change it."""
    assert command("budget=smoke", "logger=csv").returncode == 0
    (file,) = (tmp_path / "runs").glob("*/*/checkpoints/weights.safetensors")
    words = ["budget=smoke", "logger=csv", f"weights={file}"]
    refused = command(*words, "method=none", "activation=mish", "model.res_scale=0.5")
    assert refused.returncode == 2
    assert (
        "another network: res_scale=1.0 in the file, 0.5 here; activation=ReLU in the file, "
        in (refused.stderr)
    )
    assert command(*words, "method=none").returncode == 0
    assert command(*words, "activation=mish").returncode == 0
