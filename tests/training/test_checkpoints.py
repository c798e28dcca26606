"""Checkpoints are whole or not there; weights carry their network."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from sr_experiments.config import instantiate
from sr_experiments.config.compose import compose
from sr_experiments.core.errors import UserError
from sr_experiments.models.network import prepare
from sr_experiments.training.checkpoints import (
    AtomicCheckpointIO,
    is_whole,
    load_weights,
    save_weights,
)


@pytest.fixture
def saved(tmp_path):
    """A network's weights on disk, the network, and its config."""
    words = ["model.n_resblocks=1", "model.n_feats=4", "activation=prelu", "scale=3"]
    config = compose(words).model
    network = prepare(instantiate.build(config, "model"))
    save_weights(tmp_path / "deep" / "weights.safetensors", network.state_dict(), config)
    return tmp_path / "deep" / "weights.safetensors", network, config


def test_a_network_is_rebuilt_from_its_weights_alone(saved):
    path, network, config = saved
    state, described = load_weights(path)
    assert described == config
    again = prepare(instantiate.build_network(described))
    again.load_state_dict(state)
    lr = torch.rand(2, 3, 9, 8)
    with torch.no_grad():
        assert torch.equal(again(lr), network(lr))
        assert not torch.equal(instantiate.build_network(described)(lr), network(lr))
    assert again.scale == 3


@pytest.mark.parametrize("harm", ["cut", "header", "emptied", "foreign", "folder", "gone"])
def test_damaged_weights_are_one_line(saved, harm):
    path, *_ = saved
    data = path.read_bytes()
    path.unlink()
    if harm == "folder":
        path.mkdir()
    elif harm != "gone":
        spoilt = {
            "cut": data[:-1],
            "header": b"\xff" * 64,
            "emptied": b"",
            "foreign": b"PK\3\4" * 9,
        }
        path.write_bytes(spoilt[harm])
    with pytest.raises(UserError) as caught:
        load_weights(path)
    says = "no such weights" if harm == "gone" else "damaged weights"
    assert f"{path}: {says}" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("metadata", [None, {}, {"network": "{"}, {"network": "[1]"}])
def test_weights_of_another_program_are_one_line(tmp_path, metadata):
    path = tmp_path / "foreign.safetensors"
    save_file({"a": torch.ones(1)}, path, metadata)
    with pytest.raises(UserError) as caught:
        load_weights(path)
    assert str(caught.value) == f"{path}: these weights do not say which network they belong to"


def test_weights_that_name_foreign_code_are_not_built(saved):
    path, network, config = saved
    save_weights(path, network.state_dict(), config | {"activation": {"_target_": "os.getcwd"}})
    with pytest.raises(UserError, match=r"network\.activation\._target_=os\.getcwd: .*refused"):
        instantiate.build_network(load_weights(path)[1])
    assert json.dumps(config)  # a network's config is plain enough for a file


def test_a_checkpoint_comes_back(tmp_path):
    io = AtomicCheckpointIO()
    content = {"state_dict": {"w": torch.arange(5.0)}, "global_step": 7, "rows": [{"loss": 0.1}]}
    io.save_checkpoint(content, tmp_path / "deep" / "last.ckpt")
    found = torch.load(tmp_path / "deep" / "last.ckpt", weights_only=True)
    assert found["global_step"] == 7 and found["rows"] == content["rows"]
    assert torch.equal(found["state_dict"]["w"], content["state_dict"]["w"])
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("stage", ["write_bytes", "replace"])
def test_a_failing_save_keeps_the_old_checkpoint(tmp_path, monkeypatch, stage):
    io, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    io.save_checkpoint({"step": 1}, path)
    before = path.read_bytes()

    def full(self, *arguments):
        if stage == "write_bytes":
            with self.open("wb") as file:
                file.write(arguments[0][:10])  # half of it is on disk already
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(path), stage, full)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 2**20))
    with pytest.raises(UserError) as caught:
        io.save_checkpoint({"step": 2, "w": torch.zeros(2**18)}, path)
    message = str(caught.value)
    assert "No space left on device" in message and "needs 1.0 MiB and 1.0 MiB are free" in message
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_process_killed_while_it_writes_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    io, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    io.save_checkpoint({"step": 1}, path)

    def interrupted(self, data):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(path), "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        io.save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_checkpoint_is_whole_or_not_whatever_byte_is_wrong(tmp_path):
    """Also where a part then seems encrypted, cut short or compressed in an unknown way."""
    path = tmp_path / "last.ckpt"
    torch.save({"weights": torch.arange(50.0), "n": 3}, path)
    assert is_whole(path)
    content, found = path.read_bytes(), set()
    for place in range(len(content)):
        for value in (content[place] ^ 1, 0xFF):
            path.write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
            found.add(is_whole(path))
    assert found == {True, False}  # some bytes only fill space
