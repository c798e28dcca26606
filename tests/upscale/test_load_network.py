"""Every way to name a network loads that network, or is refused with a reason."""

from fractions import Fraction

import pytest
import torch

from sr_experiments.core.errors import UserError
from sr_experiments.data.catalogue import embedded
from sr_experiments.imaging.io import read_image
from sr_experiments.imaging.resize import downscale, imresize, modcrop
from sr_experiments.models.edsr import EDSR
from sr_experiments.models.espcn import ESPCN
from sr_experiments.models.network import upscale
from sr_experiments.models.vdsr import VDSR
from sr_experiments.models.weights import save_weights
from sr_experiments.upscale.load_network import load_network
from sr_experiments.upscale.shipped import shipped
from sr_experiments.upscale.upscaler import Upscaler

TWO = Fraction(2)
CONFIG = {"_target_": "sr_experiments.models.vdsr.VDSR", "scale": 2, "n_layers": 3, "n_feats": 4}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return VDSR(2, 3, 4)


def same(loaded, network):
    ours, theirs = loaded.network.state_dict(), network.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_a_run_a_checkpoint_a_file_and_a_shipped_name(tmp_path, network, monkeypatch):
    other = VDSR(2, 3, 4)
    run = tmp_path / "run"
    save_weights(run / "checkpoints" / "weights.safetensors", network.state_dict(), CONFIG)
    save_weights(run / "checkpoints" / "weights-averaged.safetensors", other.state_dict(), CONFIG)
    state = {f"network.{k}": v for k, v in network.state_dict().items()} | {"loss.x": torch.ones(1)}
    torch.save({"network": CONFIG, "state_dict": state}, tmp_path / "last.ckpt")
    file = run / "checkpoints" / "weights.safetensors"
    for name in (run, file, tmp_path / "last.ckpt"):
        loaded = load_network(str(name), TWO)
        assert same(loaded, network) and loaded.description.startswith("VDSR 3x4")
    assert same(load_network(str(run), TWO, weights="averaged"), other)
    with pytest.raises(UserError) as error:
        load_network(str(file), TWO, weights="averaged")
    assert error.value.code == "weights-need-run"
    monkeypatch.setattr("sr_experiments.upscale.shipped.SHIPPED", tmp_path / "none")
    with pytest.raises(UserError) as error:
        load_network(None, TWO)
    assert error.value.code == "no-network-ships"
    monkeypatch.setattr("sr_experiments.upscale.shipped.SHIPPED", tmp_path / "shipped")
    save_weights(tmp_path / "shipped" / "small.safetensors", other.state_dict(), CONFIG)
    for name in (None, "small"):
        assert same(load_network(name, TWO), other)
    save_weights(tmp_path / "shipped" / "vdsr.safetensors", network.state_dict(), CONFIG)
    assert same(load_network(None, TWO), network)  # the preferred one, not the first


def test_a_network_that_ships_for_each_scale(tmp_path, monkeypatch):
    monkeypatch.setattr("sr_experiments.upscale.shipped.SHIPPED", tmp_path)
    config = {"_target_": "sr_experiments.models.espcn.ESPCN", "n1": 2, "n2": 2}
    for scale in (2, 3, 4):
        state = ESPCN(scale, 2, 2).state_dict()
        save_weights(tmp_path / f"live_x{scale}.safetensors", state, config | {"scale": scale})
    assert shipped() == ["live"]
    wanted = {Fraction(3, 2): 2, Fraction(2): 2, Fraction(5, 2): 3, Fraction(4): 4, Fraction(5): 4}
    for scale, own in wanted.items():
        assert load_network("live", scale).network.scale == own
    with pytest.raises(UserError) as error:
        Upscaler(load_network("live", Fraction(5)).network, 5)
    assert error.value.code == "scale-above-network"


def test_foreign_weights(tmp_path, research):
    file = str(research / "weights" / "vdsr_twtygqyy_state_dict.pt")
    for architecture in (None, "vdsr", "vdsr:bias=false"):
        network = load_network(file, Fraction(3), architecture=architecture).network
        assert network.scale == 3 and network.size == "20x64"
    with pytest.raises(UserError, match="these are not the weights of VDSR"):
        load_network(file, TWO, architecture="vdsr:bias=true")
    for wrong in ("vgg", "vdsr:bias", "vdsr:bias=no", "vdsr:depth=3"):
        with pytest.raises(UserError, match=wrong.partition(":")[2].partition("=")[0] or "vgg"):
            load_network(file, TWO, architecture=wrong)


def test_an_architecture_is_any_network_of_the_configs(tmp_path):
    torch.save(ESPCN(3, 2, 2).state_dict(), tmp_path / "w.pth")
    file = str(tmp_path / "w.pth")
    with pytest.raises(UserError) as error:
        load_network(file, TWO)
    assert error.value.code == "model-needs-architecture"
    found = load_network(file, Fraction(3), architecture="espcn:n1=2,n2=2").network
    assert isinstance(found, ESPCN) and found.size == "5-3-3 (2-2)"
    with pytest.raises(UserError, match="choose from bicubic, ecbsr, edsr, espcn, fsrcnn, rcan"):
        load_network(file, TWO, architecture="edsr_baseline")


def test_what_holds_no_network_is_refused(tmp_path, network):
    torch.save({"state_dict": {}}, tmp_path / "bare.ckpt")
    (tmp_path / "text.ckpt").write_text("no pickle")
    (tmp_path / "empty").mkdir()
    evil = CONFIG | {"_target_": "os.system"}
    save_weights(tmp_path / "evil.safetensors", network.state_dict(), evil)
    save_weights(tmp_path / "other.safetensors", EDSR(2, 1, 4).state_dict(), CONFIG)
    for name, code in {
        "bare.ckpt": "checkpoint-without-network",
        "text.ckpt": "checkpoint-unreadable",
        "empty": "run-without-weights",
        "other.safetensors": "weights-of-another-network",
        "absent": "model-missing",
    }.items():
        with pytest.raises(UserError) as error:
            load_network(str(tmp_path / name), TWO)
        assert error.value.code == code and "\n" not in str(error.value)
    with pytest.raises(UserError, match="refused"):
        load_network(str(tmp_path / "evil.safetensors"), TWO)


@pytest.mark.parametrize(("scale", "gain"), [(2, 1.3), (3, 0.9), (4, 0.7)])
@pytest.mark.parametrize("name", shipped())
def test_networks_that_ship_are_better_than_bicubic(name, scale, gain):
    """On photographs of the test set; PSNR over R, G and B."""
    network = load_network(name, Fraction(scale)).network
    gains = []
    for path in embedded("test"):
        hr = modcrop(torch.from_numpy(read_image(path)).permute(2, 0, 1), scale)[:, :240, :240]
        lr = downscale(hr, scale)
        sr = upscale(network.for_scale(scale), lr[None])[0]
        psnr, bicubic = (
            (image.double() - hr).square().mean().log10().mul(-10)
            for image in (sr, imresize(lr, scale))
        )
        gains.append((psnr - bicubic).item())
    assert min(gains) > 0 and sum(gains) / len(gains) > gain
