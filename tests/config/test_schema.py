"""A mistake in a config is one line that names the key, the value and what is expected."""

import re
import subprocess
import sys

import pytest
import yaml
from pydantic import ValidationError

from sr_experiments.config import compose as compose_module
from sr_experiments.config import instantiate
from sr_experiments.config.compose import compose, expand, parent_config
from sr_experiments.config.schema import CHOICES as GROUPS_KEPT
from sr_experiments.config.schema import RunConfig
from sr_experiments.core.errors import UserError
from sr_experiments.core.paths import conf_dir

CHOICES = sorted(p for p in conf_dir().glob("**/*.yaml") if p.parent != conf_dir())
GROUPS = sorted({p.parent.name for p in CHOICES} - {"launcher", "experiment"})
NODES = ("model", "optimizer", "scheduler", "method", "averaging", "logger")


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    for name in ("RUNS", "REPORT", "DATA", "CACHE"):
        monkeypatch.setenv(f"SR_{name}", str(tmp_path / name.lower()))


def check_nodes(config):
    for key in NODES:
        node = dict(getattr(config, key) or {})
        node.pop("teacher", None)  # replaced by a network
        instantiate.check(node, key)


def mistake(*overrides):
    """The error that a user would read."""
    with pytest.raises(UserError) as caught:
        check_nodes(compose(overrides))
    message = str(caught.value)
    assert "\n" not in message and len(message) < 700
    return caught.value


@pytest.mark.parametrize(
    ("override", "code", "says"),
    [
        # Keys that do not exist, or must not be set.
        ("scle=3", "unknown-key", "scle: no such key; did you mean scale? (keys here: activation,"),
        ("data.train.sorce=x", "unknown-key", "data.train.sorce: no such key; did you mean data."),
        ("+foo=1", "unknown-key", "foo: no such key"),
        ("+training.epoch=1", "unknown-key", "did you mean training.epochs?"),
        ("experiment=swa_sweep", "experiment-without-plus", "+experiment=swa_sweep"),
        ("model.activation.inplace=false", "interpolated-key", "model.activation takes its values"),
        ("model=srcnn model.dropout=0.1", "unknown-key", "model.dropout: no such key"),
        ("~data.val.numbers", "key-removed", "data.val.numbers: must not be removed"),
        # Keys of factories, whose schema is a signature.
        ("model.nfeats=8", "unknown-key", "model.nfeats: no such key; did you mean model.n_feats?"),
        ("+model.nfeats=8", None, "model.nfeats: no such key in EDSR; did you mean n_feats? ("),
        ("~model.scale", None, "model.scale: EDSR needs a value for it"),
        ("model.n_feats=1.5", None, "model.n_feats=1.5: expected int"),
        ("scheduler._target_=torch.optim.Nope", None, "torch.optim.Nope: no such"),
        # Values of the wrong type, or none of the choices.
        ("data.lr=disc", "invalid-value", "data.lr=disc: expected 'make' or 'disk'"),
        ("trainer.precision=16", "invalid-value", "trainer.precision=16: expected '32-true', "),
        ("scale=two", "invalid-value", "scale=two: expected a valid integer"),
        ("scale=2.5", "invalid-value", "scale=2.5: expected a valid integer"),
        ("training.lr=fast", "invalid-value", "training.lr=fast: expected a valid number"),
        ("benchmarks.save_images=maybe", "invalid-value", "expected a valid boolean"),
        ("benchmarks.sets=Set5", "invalid-value", "expected a list, such as [Set5]"),
        ("training=long", "invalid-value", "expected keys, such as training.KEY=VALUE"),
        ("start=3", "invalid-value", "expected keys, such as start.KEY=VALUE"),
        ("paths.data=null", "invalid-value", "paths.data=None: expected"),
        ("name=a/b", "invalid-value", "name=a/b: expected a folder name"),
        ("name=..", "invalid-value", "name=..: expected a folder name"),
        # Missing values.
        ("data=folder", "no-value", "data.train.source: has no value; set data.train.source=..."),
        ("training.batch_size=???", "no-value", "training.batch_size: has no value"),
        ("optimizer._target_=null", "no-value", "optimizer: has no value"),
        ("seed=${sead}", "unresolved", "seed: Interpolation key 'sead' not found"),
        ("budget.name=huge", "unresolved", "model.n_resblocks: no value for huge; there is one"),
        # Choices.
        ("~model", "one-choice-needed", "model: exactly one choice is needed"),
        ("activation=[relu,mish]", "one-choice-needed", "activation: exactly one choice is needed"),
        ("data=null", "one-choice-needed", "data: exactly one choice is needed"),
        ("+experiment=foo", "unknown-choice", "experiment=foo: no such choice; choose from activ"),
        ("hydra/launcher=slrum", "unknown-choice", "choose from basic, joblib, ray, slurm; did"),
        # Lines that cannot be read.
        ("scale=[2", "unreadable-override", "scale=[2: cannot be read; write KEY=VALUE"),
        ("scale", "unreadable-override", "scale: cannot be read; write KEY=VALUE"),
        (
            "data.train.source=[é]=x",
            "unreadable-override",
            """'data.train.source="[é]=x"'""",
        ),
        ("data.train.source=~/x", "unreadable-override", """'data.train.source="~/x"'"""),
        ("scale=2,3", "sweep-without-m", "scale=2,3: several values need -m (a sweep)"),
        # What excludes what.
        ("training.scales=[3,4]", "scale-not-trained", "training.scales=[3, 4], scale=2"),
        ("clipping.value=0.1", "clipping-incomplete", "clipping.algorithm=None, clipping.value=0."),
        ("averaging=swa averaging.begin=300", "averaging-too-late", "averaging.begin=300: the tra"),
        ("averaging=swa averaging.begin=-1", "averaging-too-late", "averaging.begin=-1: the train"),
        (
            "trainer=fast trainer.precision=16-mixed clipping=norm",
            "fused-clipping",
            "trainer.fused=true, trainer.precision=16-mixed",
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(override, code, says):
    error = mistake(*override.split(" "))
    assert says in str(error)
    assert code is None or error.code == code


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (None, "scale", 0),
        (None, "seed", -1),
        (None, "seed", 2**63),
        ("trainer", "num_nodes", 0),
        ("trainer", "threads", 0),
        ("trainer", "devices", 0),
        ("training", "epochs", -1),
        ("training", "lr", -1e-3),
        ("training", "lr", float("nan")),
        ("training", "recipe_epochs", 0),
        *(("training", f"{k}", 0) for k in ("updates_per_epoch", "batch_size", "patch_size")),
        *(("training", f"{k}", 0) for k in ("accumulate", "validate_every", "checkpoint_every")),
        ("clipping", "value", -1.0),
        ("benchmarks", "sets", []),
    ],
)
def test_numbers_out_of_range_are_refused_with_their_key(base, section, key, value):
    values = {**base.plain(), "changes": ()}
    changed = {key: value} if section is None else {section: {**values[section], key: value}}
    RunConfig.of(values)
    with pytest.raises(UserError) as caught:
        RunConfig.of(values | changed)
    assert caught.value.code == "invalid-value"
    assert str(caught.value).startswith(f"{section}.{key}=" if section else f"{key}=")


@pytest.fixture(scope="module")
def base():
    return compose([])


def test_a_config_is_frozen_and_comes_back_from_json(base):
    with pytest.raises(ValidationError):
        base.training.epochs = 3
    config = compose(["+experiment=swa_sweep", "seed=3", "teacher={model: vdsr}"])
    assert RunConfig.model_validate_json(config.model_dump_json()) == config


def test_derived_values(base):
    assert base.updates == 10 * 100 and compose(["method=none"]).updates == 0
    assert compose(["model=vdsr", "training.scales=[2,3,4]"]).further_scales == (3, 4)
    assert compose(["reference={model: bicubic}"]).is_compared
    assert not compose(["reference={model: bicubic}", "method=none"]).is_compared
    assert not base.trainer.is_distributed and compose(["trainer=ddp"]).trainer.is_distributed


@pytest.mark.parametrize("group", GROUPS)
def test_an_unknown_choice_lists_the_choices_of_its_group(group):
    choices = ", ".join(p.stem for p in CHOICES if p.parent.name == group)
    error = mistake(f"{group}=xyzzy")
    assert str(error) == f"{group}=xyzzy: no such choice; choose from {choices}"


def test_a_swept_choice_is_checked_before_the_first_job():
    with pytest.raises(UserError, match=r"activation=mihs: no such choice.*did you mean mish\?"):
        expand(["activation=relu,mihs"])
    sweep = expand(["+experiment=swa_sweep", "seed=0,1"])
    assert len(sweep.jobs) == 6


def test_a_file_that_is_not_yaml_is_named_with_its_line(tmp_path, monkeypatch):
    for path in [conf_dir() / "config.yaml", *CHOICES]:
        target = tmp_path / "conf" / path.relative_to(conf_dir())
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text())
    (tmp_path / "conf" / "model" / "mine.yaml").write_text("# Mine.\n_target_: a.b\nx: [1\ny: 2\n")
    monkeypatch.setattr(compose_module, "conf_dir", lambda: tmp_path / "conf")
    error = mistake("model=mine")
    assert error.code == "not-yaml" and re.search(r"model/mine\.yaml, line \d", str(error))


def test_the_last_override_of_a_key_holds_and_choices_are_kept():
    config = compose(["scale=2", "activation=relu", "scale=3", "activation=mish"])
    assert config.scale == 3 and config.choices["activation"] == "mish"
    assert set(config.choices) == set(GROUPS_KEPT)


def test_a_parent_is_the_config_with_differences():
    child = compose(["training.lr=0.5", "model.n_feats=4", "start={model: vdsr, seed: 7}"])
    parent = parent_config(child, "start")
    assert (parent.seed, parent.training.lr, parent.start) == (7, 0.5, None)
    # Another choice brings its own keys, and its values for the parent's budget.
    assert parent.model["n_feats"] == 16
    child = compose(["start={budget: paper}"])
    assert child.model["n_feats"] == 16
    assert parent_config(child, "start").model["n_feats"] == 256


NEEDS = {"folder": ["data.train.source=/photographs"]}


@pytest.mark.parametrize("path", CHOICES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_choice_says_what_it_is_and_composes(path):
    first, *lines = path.read_text().splitlines()
    about = lines[0] if first.startswith("# @package") else first
    assert re.fullmatch(r"# \S.{6,}", about), "a sentence about the choice comes first"
    assert isinstance(yaml.safe_load(path.read_text()), dict)
    group = path.parent.relative_to(conf_dir()).as_posix()
    if group == "hydra/launcher":
        plugin = {"slurm": "submitit"}.get(path.stem, path.stem)
        pytest.importorskip(f"hydra_plugins.hydra_{plugin}_launcher")
    sign = "+" if group == "experiment" else ""
    check_nodes(compose([f"{sign}{group}={path.stem}", *NEEDS.get(path.stem, [])]))


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Output of a command, and the modules that it imported."""

    def call(*arguments):
        command = [sys.executable, "-X", "importtime", "-m", "sr_experiments", *arguments]
        folder = tmp_path_factory.mktemp("cwd")
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert list(folder.iterdir()) == [], "looking writes nothing"
        return done.stdout, set(re.findall(r"\|\s+([\w.]+)$", done.stderr, re.MULTILINE))

    return call


def test_the_config_is_shown_without_importing_torch(imported):
    shown, modules = imported("--cfg", "job", "scale=3")
    assert yaml.safe_load(shown)["scale"] == 3
    assert {"hydra", "omegaconf"} <= modules
    assert not modules & {"torch", "lightning"}


@pytest.mark.parametrize(
    ("arguments", "key", "value"),
    [
        (["+experiment=ecbsr_ships", "scale=3"], "start", {"scale": 2}),
        (["recipe=vdsr", "model=vdsr", "budget=paper"], "training.scales", [2, 3, 4]),
    ],
)
def test_the_config_is_shown_resolved(imported, arguments, key, value):
    shown = yaml.safe_load(imported(*arguments, "--cfg", "job", "--resolve")[0])
    for part in key.split("."):
        shown = shown[part]
    assert shown == value


def test_help_lists_every_choice_without_importing_torch(imported):
    shown, modules = imported("--help")
    assert "hydra" in modules and "torch" not in modules
    for path in CHOICES:
        group = path.parent.relative_to(conf_dir()).as_posix()
        (listed,) = re.findall(rf"^\+?{group}: (.*)$", shown, re.MULTILINE)
        assert path.stem in re.sub(r"[][]", "", listed).split(", ")
    for key in RunConfig.model_fields:
        if key not in ("choices", "changes"):
            assert re.search(rf"^{key}:", shown, re.MULTILINE)
