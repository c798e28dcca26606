"""ONNX Runtime against PyTorch: how close its values are, and what is refused."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from sr_experiments.core.errors import UserError
from sr_experiments.imaging.io import read_image
from sr_experiments.models.bicubic import Bicubic
from sr_experiments.models.edsr import EDSR
from sr_experiments.models.espcn import ESPCN
from sr_experiments.models.layers.deconvolution import Deconvolution
from sr_experiments.models.network import upscale
from sr_experiments.models.vdsr import VDSR
from sr_experiments.upscale import onnx_network
from sr_experiments.upscale.__main__ import main
from sr_experiments.upscale.onnx_network import OnnxNetwork, fingerprint
from sr_experiments.upscale.upscaler import Upscaler

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(autouse=True, scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SR_CACHE", str(folder))
        yield folder / "onnx"


def vdsr(seed=1):
    torch.manual_seed(seed)
    return VDSR(2, 3, 8).eval()


def noise(count=1, height=171, width=203):
    made = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=made)


@pytest.mark.parametrize("kind", ["EDSR", "deconvolution"])
def test_values_are_those_of_pytorch(kind):
    torch.manual_seed(1)
    factory = {"convolution": Deconvolution} if kind == "deconvolution" else {}
    network, lr = EDSR(3, 1, 8, **factory).eval(), noise(2)
    made = Upscaler(network, 3, engine="onnx", tile=151)
    assert made.engine == "onnx" and made.engine_note.code == "engine-onnx"
    values, expected = made.values(lr[0]), Upscaler(network, 3).values(lr[0])
    assert 0 < (values - expected).abs().max() / 255 < 1e-5  # 0 would be PyTorch itself
    difference = (made.frames(lr).int() - upscale(network, lr).int()).abs()
    assert difference.max() <= 1 and difference.float().mean() < 1e-3


def test_one_file_serves_each_scale(exported, research, monkeypatch):
    network = vdsr()
    image = read_image(research / "benchmark" / "B100" / "HR" / "img_001.png")[:161, :151]
    lr = torch.from_numpy(image).permute(2, 0, 1)[None]
    Upscaler(network, 2, engine="onnx")
    assert (exported / f"vdsr-{fingerprint(network)[:24]}.onnx").is_file()
    monkeypatch.setattr(torch.onnx, "export", None)  # it is not called again
    for scale in (2, 3, 4):
        expected = upscale(network.for_scale(scale), lr)
        made = Upscaler(network, scale, engine="onnx").frames(lr)
        assert (made.int() - expected.int()).abs().max() <= 1


def test_a_file_that_does_not_fit_is_made_anew(exported):
    network, other = vdsr(1), vdsr(2)
    assert fingerprint(network) != fingerprint(other)
    residual = VDSR(2, 3, 8, residual=False).eval()
    residual.load_state_dict(network.state_dict())
    assert fingerprint(network) != fingerprint(residual)  # the same weights, another network
    device = torch.device("cpu")
    for model in (network, other):
        OnnxNetwork(model, 2, device)
    one, two = (exported / f"vdsr-{fingerprint(n)[:24]}.onnx" for n in (network, other))
    whole = one.read_bytes()
    assert whole != two.read_bytes()
    for content in (two.read_bytes(), whole[:-100], b""):  # another's, cut short, empty
        one.write_bytes(content)
        probe = torch.rand(1, 1, 20, 30)
        with torch.no_grad():
            error = (OnnxNetwork(network, 2, device)(probe) - network(probe)).abs().max()
        assert error < 1e-5
        exported_again = one.read_bytes()
        assert exported_again != content
        OnnxNetwork(network, 2, device)
        assert one.read_bytes() == exported_again
    assert {p.suffix for p in exported.iterdir()} == {".onnx"}  # nothing half-written


class DataDependent(ESPCN):
    def forward(self, lr):
        return super().forward(lr) if lr.mean() > 0.4 else super().forward(lr) * 2


def test_what_cannot_be_exported_is_refused(tmp_path, monkeypatch, capsys, exported):
    for network, code in (
        (DataDependent(2, 8, 4).eval(), "onnx-not-exportable"),
        (Bicubic(2), "onnx-without-parameters"),
        (ESPCN(2, 8, 4).eval().double(), "onnx-needs-float32"),
    ):
        with pytest.raises(UserError) as error:
            Upscaler(network, 2, engine="onnx")
        assert error.value.code == "onnx-refused" and "\n" not in str(error.value)
        automatic = Upscaler(network, 2, engine="auto")
        assert automatic.engine == "torch"
        for message in (error.value.message, automatic.engine_note):
            assert message.fields["reason"].code == code
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save("a.png")
    assert main(["a.png", "out.png", "--engine", "onnx"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "[onnx]" in error


def test_auto_chooses_what_is_clearly_faster(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(noise()[0].permute(1, 2, 0).numpy()).save("a.png")
    network = vdsr()
    for speedup, chosen in ((1.1, "torch"), (1.5, "onnx")):
        monkeypatch.setattr(onnx_network, "_speedup", lambda *_, speedup=speedup: speedup)
        made = Upscaler(network, 2, engine="auto")
        assert made.engine == chosen and made.engine_note.fields["speedup"] == speedup
    assert main(["a.png", "out.png", "--engine", "auto"]) == 0
    said = capsys.readouterr().out
    assert "ONNX Runtime, 1.5 times as fast here" in said and "not bit by bit" in said
    assert main(["a.png", "torch.png"]) == 0
    assert "ONNX" not in capsys.readouterr().out  # unasked, it is PyTorch
