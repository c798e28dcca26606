"""A node is checked against what it names; a checkpoint's network comes from trusted code only."""

import os
import subprocess

import pytest
import torch

from sr_experiments.config import instantiate
from sr_experiments.config.compose import compose
from sr_experiments.core.errors import UserError
from sr_experiments.core.paths import conf_dir

EDSR = {"_target_": "sr_experiments.models.edsr.EDSR", "scale": 2, "n_resblocks": 1, "n_feats": 4}
MODELS = sorted(p.stem for p in (conf_dir() / "model").glob("*.yaml"))
ACTIVATIONS = sorted(p.stem for p in (conf_dir() / "activation").glob("*.yaml"))


def refused(node, **options):
    with pytest.raises(UserError) as caught:
        instantiate.check(node, "model", **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"nfeats": 8}, "model.nfeats: no such key in EDSR; did you mean n_feats? (scale, n_res"),
        ({"n_feats": "8"}, "model.n_feats=8: expected int"),
        ({"n_feats": True}, "model.n_feats=True: expected int"),
        ({"n_feats": None}, "model.n_feats=None: expected int"),
        ({"n_feats": [8]}, "model.n_feats=[8]: expected int"),
        ({"res_scale": "x"}, "model.res_scale=x: expected float"),
        ({"activation": "relu"}, "model.activation=relu: expected"),
        ({"activation": {"_target_": "torch.nn.ReLU", "inplace": 1}}, "model.activation.inplace=1"),
        (
            {"activation": {"_target_": "torch.nn.Relu"}},
            "model.activation._target_=torch.nn.Relu: ",
        ),
        ({"_target_": "sr_experiments.models.edsr.EDSSR"}, "no such class or function"),
        ({"_target_": "sr_experiments.models.nothing.EDSR"}, "no such class or function"),
        ({"_target_": "nothing.at.all"}, "no such class or function"),
        ({"_target_": "EDSR"}, "model._target_=EDSR: no such class or function"),
        ({"_target_": ".models..edsr"}, "no such class or function"),
        ({"_target_": "torch.pi"}, "no such class or function"),
    ],
)
def test_a_node_is_held_against_the_signature_of_what_it_names(change, says):
    instantiate.check(EDSR, "model")
    assert says in refused(EDSR | change)


def test_what_is_missing_is_named_unless_the_node_is_partial():
    node = {k: v for k, v in EDSR.items() if k != "scale"}
    assert refused(node) == "model.scale: EDSR needs a value for it"
    instantiate.check(node | {"_partial_": True}, "model")


def test_nodes_inside_lists_and_nodes_are_checked():
    bad = {"_target_": "torch.nn.L1Loss", "reduction": 5}
    assert refused({"losses": [{"_target_": "torch.nn.L1Loss"}, bad]}).startswith(
        "model.losses[1].reduction=5: expected"
    )


def test_numbers_as_yaml_writes_them_are_accepted():
    instantiate.check(EDSR | {"res_scale": 1, "rgb_range": 255}, "model")  # int for float
    adam = {"_target_": "torch.optim.Adam", "_partial_": True, "betas": [0.9, 0.999], "lr": 1}
    instantiate.check(adam, "optimizer")  # list for tuple
    assert "optimizer.betas=[0.9]: expected" in _message(adam | {"betas": [0.9]}, "optimizer")


def _message(node, key):
    with pytest.raises(UserError) as caught:
        instantiate.check(node, key)
    return str(caught.value)


def test_a_value_that_the_callee_refuses_is_one_line():
    for change, says in (
        ({"n_feats": 0}, "model: n_resblocks=1, n_feats=0: at least 1 of each"),
        ({"scale": 5}, "scale=5: EDSR can do 2, 3, 4"),
    ):
        with pytest.raises(UserError) as caught:
            instantiate.build(EDSR | change, "model")
        assert str(caught.value) == says


def foreign(mark):
    """Nodes that would run something if they were built."""
    touch = f"touch {mark}"
    yield {"_target_": "os.system", "command": touch}
    yield {"_target_": "posix.system", "command": touch}
    yield {"_target_": "subprocess.Popen", "args": ["touch", str(mark)]}
    yield {"_target_": "builtins.eval", "_args_": [f"open({str(mark)!r}, 'w')"]}
    yield {"_target_": "builtins.open", "file": str(mark), "mode": "w"}
    yield {"_target_": "torch.load", "f": str(mark), "weights_only": False}
    yield {"_target_": "torch.hub.load", "repo_or_dir": str(mark), "model": "x"}
    # Through a trusted module to what it imported.
    yield {"_target_": "torch.nn.modules.module.torch.load", "f": str(mark)}
    yield {"_target_": "torch.nn.modules.module.torch.os.system", "command": touch}
    yield {"_target_": "sr_experiments.models.network.torch.hub.load", "repo_or_dir": str(mark)}
    yield {"_target_": "sr_experiments.models.network.nn.modules.module.torch.save", "f": str(mark)}
    yield {"_target_": "sr_experiments.models.edsr.Network.__init_subclass__"}
    yield {"_target_": "sr_experiments.imaging.io.write_png", "path": str(mark), "image": 0}
    yield {"_target_": "hydra.utils.get_method", "path": "os.system"}
    # A name that only looks like a trusted one.
    yield {"_target_": "sr_experiments.models_of_mine.x"}
    yield {"_target_": "torch.nnn.x"}
    yield {"_target_": ["os.system"], "command": touch}
    yield {"_target_": "${oc.decode:os.system}", "command": touch}
    # An interpolation that turns into a node.
    yield "${oc.decode:'{_target_: os.system, command: \"" + touch + "\"}'}"
    yield "${oc.env:HOME}"


@pytest.mark.parametrize("node", [{"_target_": "", "scale": 2}, {"_target_": None}, {"scale": 2}])
def test_a_description_that_names_nothing_is_no_network(node):
    with pytest.raises(UserError, match="not a part of a network; refused"):
        instantiate.build_network(node)


def test_a_checkpoint_runs_nothing_but_networks(tmp_path, monkeypatch):
    mark, ran = tmp_path / "mark", []
    monkeypatch.setattr(os, "system", lambda command: ran.append(command))
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: ran.append(a))
    identity = {"_target_": "torch.nn.Identity"}  # takes any argument
    for node in foreign(mark):
        nested = [
            EDSR | {"activation": node},
            EDSR | {"activation": identity | {"_partial_": True, "extra": node}},
            EDSR | {"activation": identity | {"_args_": [node]}},
            EDSR | {"activation": identity | {"deep": {"er": [[node]]}}},
        ]
        for description in [*([node] if isinstance(node, dict) else []), *nested]:
            with pytest.raises(UserError, match=r"refused|no such|expected"):
                instantiate.build_network(description)
            assert not ran and not mark.exists(), description


@pytest.mark.parametrize(
    ("model", "activation"),
    [*((model, "relu") for model in MODELS), *(("edsr", word) for word in ACTIVATIONS)],
)
def test_every_network_is_rebuilt_from_its_config(model, activation):
    words = [f"model={model}", f"activation={activation}", "scale=3", "budget=smoke"]
    config = compose([*words, "data=embedded"]).model
    first = instantiate.build(config, "model")
    again = instantiate.build_network(config)
    shapes = {k: v.shape for k, v in first.state_dict().items()}
    assert {k: v.shape for k, v in again.state_dict().items()} == shapes
    again.load_state_dict(first.state_dict())
    lr = torch.rand(1, 1 if first.colour == "y" else 3, 7, 6)
    with torch.no_grad():
        assert torch.equal(again(lr), first(lr))
    assert again.scale == 3 and again.size == first.size
