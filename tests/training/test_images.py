"""The images that a run keeps are those that it scored."""

import pytest
import torch
from rich.console import Console

from sr_experiments.config import instantiate
from sr_experiments.config.compose import compose
from sr_experiments.data.catalogue import embedded
from sr_experiments.imaging.io import read_image
from sr_experiments.imaging.resize import downscale, modcrop
from sr_experiments.models.network import prepare, upscale
from sr_experiments.runs.run import run
from sr_experiments.training.checkpoints import load_weights


@pytest.fixture
def images(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("SR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SR_CACHE", str(cache))

    def found(*overrides):
        common = ["budget=smoke", "logger=csv", "trainer=cpu", "trainer.progress=none", "scale=3"]
        directory = run(compose([*common, *overrides]), Console(quiet=True)).directory
        files = sorted((directory / "images" / "embedded").glob("*.png"))
        return directory, {path.stem: torch.from_numpy(read_image(path)) for path in files}

    return found


def truths():
    for path in embedded("test"):
        hr = torch.from_numpy(read_image(path)).permute(2, 0, 1)
        yield path.stem, modcrop(hr, 3)


def test_what_a_network_made_by_each_kind_of_its_weights(images):
    directory, found = images("averaging=swa", "averaging.begin=0")
    assert len(found) == 2 * len(embedded("test"))
    for kind, suffix in (("weights", ""), ("weights-averaged", "_averaged")):
        state, node = load_weights(directory / "checkpoints" / f"{kind}.safetensors")
        network = prepare(instantiate.build_network(node))
        network.load_state_dict(state)
        for name, hr in truths():
            sr = upscale(network, downscale(hr, 3)[None])[0]
            assert torch.equal(found[name + suffix].permute(2, 0, 1), sr)


def test_what_others_are_compared_with_keeps_the_ground_truth(images):
    _, found = images("model=bicubic")
    for name, hr in truths():
        assert torch.equal(found[f"{name}_hr"].permute(2, 0, 1), hr)
        assert found[name].shape == found[f"{name}_hr"].shape
    assert len(found) == 2 * len(embedded("test"))
