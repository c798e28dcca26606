"""Networks that ship: their files, facts and cards belong together, and runs make all three."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from sr_experiments.core.errors import UserError
from sr_experiments.imaging.colour import luma_uint8
from sr_experiments.imaging.io import read_image
from sr_experiments.models.ecbsr import ECBSR
from sr_experiments.models.layers.edge import EdgeConvolution
from sr_experiments.models.network import upscale_luma
from sr_experiments.models.weights import save_weights
from sr_experiments.runs.records import (
    RESULT,
    SCORE_COLUMNS,
    SCORES,
    STATUS,
    Mean,
    NetworkRecord,
    Result,
    Status,
    TrainingRecord,
)
from sr_experiments.ship import SpeedFacts, card, main, read_facts
from sr_experiments.upscale.load_network import load_network
from sr_experiments.upscale.shipped import SHIPPED, shipped

NAMES = shipped()


CONFIG = {
    "_target_": "sr_experiments.models.ecbsr.ECBSR",
    "n_blocks": 1,
    "n_feats": 4,
    "convolution": {"_target_": f"{EdgeConvolution.__module__}.EdgeConvolution", "_partial_": True},
    "ends": {"_target_": f"{EdgeConvolution.__module__}.EdgeConvolution", "_partial_": True},
}
#: Data set -> image -> dB of bicubic; a network's are higher by a gain of its own.
BICUBIC = {"Set5": {"baby": 30.0, "bird": 33.0}, "B100": {"img_001": 25.0}}


def write_run(folder: Path, scale: int, gain: float, network: ECBSR | None) -> Path:
    """A finished run's directory; averaged weights gain 1 dB more, and protocol ``y`` is 7 dB."""
    kinds = {"raw": gain, "averaged": gain + 1}
    rows, means = [",".join(SCORE_COLUMNS)], {}
    for dataset, images in BICUBIC.items():
        for weights, more in kinds.items():
            for protocol in ("y", "y_first"):
                psnr = {n: 7.0 if protocol == "y" else v + more for n, v in images.items()}
                rows += [f"{dataset},{n},{weights},{protocol},{v},0.5,0.0" for n, v in psnr.items()]
                mean = Mean(psnr=sum(psnr.values()) / len(psnr), ssim=0.5, images=len(psnr))
                means.setdefault(dataset, {}).setdefault(weights, {})[protocol] = mean
    training = TrainingRecord(
        data="pool", images=9, updates=1234, batch_size=16, patch_size=32, precision="32-true"
    )
    if scale == 3:
        training = training.model_copy(update={"start": "made-x2"})
    result = Result(
        identity=f"{scale}{gain}" + "0" * 8,
        experiment="made",
        choices={"optimizer": "adam", "averaging": "ema", "init": None},
        settings={"optimizer.lr": 0.002},
        scale=scale,
        seed=5,
        network=NetworkRecord(name="ECBSR", size="", parameters=99 if network else 0),
        training=training if network else None,
        means=means,
    )
    path = folder / f"{'made' if network else 'bicubic'}-x{scale}"
    path.mkdir(parents=True)
    (path / RESULT).write_text(result.to_json())
    (path / STATUS).write_text(Status(state="finished", identity=result.identity).to_json())
    (path / SCORES).write_text("\n".join(rows) + "\n")
    if network:
        file = path / "checkpoints" / "weights-averaged.safetensors"
        save_weights(file, network.state_dict(), CONFIG | {"scale": scale})
    return path


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Networks for x2 and x3, and bicubic."""
    torch.manual_seed(0)
    for scale, gain in ((2, 2.5), (3, -1.25)):
        write_run(tmp_path / "runs", scale, gain, ECBSR(scale, 1, 4))
        write_run(tmp_path / "runs", scale, 0.0, None)
    return tmp_path / "runs"


def test_runs_become_files_facts_and_a_card(runs, tmp_path, capsys):
    target = tmp_path / "networks"
    call = ["made", str(runs), "--weights", "averaged", "--folder", str(target)]
    assert main(call) == 0
    files = ["made.json", "made.md", "made_x2.safetensors", "made_x3.safetensors"]
    assert sorted(p.name for p in target.iterdir()) == files
    lines = (target / "made.md").read_text().replace("\n  ", " ").splitlines()
    assert "| x2 | 35.00 (31.50) | 28.50 (25.00) | 3 of 3 | +3.50 |" in lines
    assert "| x3 | 31.25 (31.50) | 24.75 (25.00) | 0 of 3 | -0.25 |" in lines
    (x2,) = (line for line in lines if line.startswith("- x2: 1,234 updates at a rate of 0.002"))
    assert "16 patches of 32x32" in x2 and "9 images; one seed (5)" in x2
    assert any("from the weights of `made-x2`" in line for line in lines)
    assert "- `optimizer=adam averaging=ema`; averaged weights." in lines

    kept = load_network(str(runs / "made-x3"), Fraction(3), weights="averaged").network
    made = load_network(str(target / "made_x3.safetensors"), Fraction(3)).network
    facts = read_facts(target / "made.json")
    assert made.parameter_count == facts.scales["3"].parameters < kept.parameter_count
    lr = torch.rand(1, 1, 9, 8)
    with torch.no_grad():
        torch.testing.assert_close(made(lr), kept(lr), rtol=0, atol=1e-5)

    # What was written by hand and what was measured stay, and the card alone can be made again.
    speed = SpeedFacts(
        machine="a mill", seconds={"made": 0.25, "vdsr": 2.5}, frames={"made": 12.0, "vdsr": 1.0}
    )
    changed = facts.model_copy(update={"about": ["Of nothing."], "speed": speed})
    (target / "made.json").write_text(changed.to_json())
    for again in (call, [call[0], *call[4:]]):
        (target / "made.md").unlink()
        assert main(again) == 0
        text = (target / "made.md").read_text()
        assert "\n- Of nothing.\n- x2:" in text and "(a share of 0.100)" in text
    assert read_facts(target / "made.json") == changed


def test_runs_that_make_no_card_are_refused(runs, tmp_path, capsys):
    call = ["made", "--folder", str(tmp_path), "--weights", "averaged"]
    assert main(call) == 2 and "made.json: no such facts" in capsys.readouterr().err
    alone = runs / "made-x2"
    for name in ("alone", "twice"):
        (tmp_path / name).mkdir()
    (tmp_path / "alone" / alone.name).symlink_to(alone)
    (tmp_path / "none").mkdir()
    for folder, says in (("alone", "no run of bicubic at x2"), ("none", "no finished run")):
        assert main(["made", str(tmp_path / folder), *call[1:]]) == 2
        assert says in capsys.readouterr().err
    assert main(["made", str(tmp_path / "alone"), str(runs), *call[1:]]) == 2
    assert "are both of x2" in capsys.readouterr().err
    assert not list(tmp_path.glob("made*"))
    (tmp_path / "made.json").write_text("{}")
    with pytest.raises(UserError, match="Field required"):
        read_facts(tmp_path / "made.json")


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_what_its_facts_say(name):
    facts = read_facts(SHIPPED / f"{name}.json")
    assert (SHIPPED / f"{name}.md").read_text(encoding="utf-8") == card(facts)
    assert facts.files == {p.name: p.stat().st_size for p in SHIPPED.glob(f"{name}*.safetensors")}
    assert sum(facts.files.values()) <= 500_000
    gains = [o - b for s in facts.scales.values() for i in s.scores.values() for o, b in i.values()]
    assert min(gains) > 0
    if name == "ecbsr":  # the default is worth its place: VDSR 10x24 has 36.68, 32.78 and 30.47
        for scale, least in (("2", 37.0), ("3", 33.0), ("4", 30.7)):
            ours = [ours for ours, _ in facts.scales[scale].scores["Set5"].values()]
            assert sum(ours) / len(ours) >= least


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_facts_are_what_the_files_score(research, name, scale):
    """To 0.001 dB, which is more than processors differ by."""
    facts = read_facts(SHIPPED / f"{name}.json")
    network = load_network(name, Fraction(scale)).network.for_scale(scale)
    assert network.parameter_count == facts.scales[str(scale)].parameters
    for image in ("woman", "bird"):
        hr = torch.from_numpy(read_image(research / f"benchmark/Set5/HR/{image}.png"))
        hr = hr.permute(2, 0, 1)[None]
        hr = hr[..., : hr.shape[-2] // scale * scale, : hr.shape[-1] // scale * scale]
        sr = upscale_luma(network, hr)
        truth = luma_uint8(hr)
        error = (sr.double() - truth.double())[..., scale:-scale, scale:-scale].square().mean()
        psnr = 10 * (255**2 / error).log10().item()
        assert psnr == pytest.approx(facts.scales[str(scale)].scores["Set5"][image][0], abs=1e-3)
