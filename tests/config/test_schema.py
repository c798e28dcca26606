"""A mistake in a config is one line that names the key and what there is."""

import re
import subprocess
import sys

import pytest
import yaml

from sr_experiments.config import instantiate, schema
from sr_experiments.config.schema import compose, plain
from sr_experiments.core.errors import UserError
from sr_experiments.core.paths import conf_dir

CHOICES = sorted(p for p in conf_dir().glob("**/*.yaml") if p.parent != conf_dir())
GROUPS = sorted({p.parent.name for p in CHOICES} - {"launcher", "experiment"})


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    for name in ("RUNS", "REPORT", "DATA", "CACHE"):
        monkeypatch.setenv(f"SR_{name}", str(tmp_path / name.lower()))


def mistake(*overrides):
    """The message that a user would read."""
    with pytest.raises(UserError) as caught:
        config = plain(compose(overrides))
        for key in ("model", "optimizer", "scheduler", "method", "averaging", "logger"):
            instantiate.check(config[key], key)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    return message


@pytest.mark.parametrize(
    ("override", "says"),
    [
        # Keys that do not exist.
        ("scle=3", "scle: no such key; did you mean scale? (keys: activation, "),
        ("training.batchsize=1", "training.batchsize: no such key; did you mean batch_size? (keys"),
        ("data.train.sorce=x", "data.train.sorce: no such key; did you mean source?"),
        ("+foo=1", "foo: no such key"),
        ("+training.epoch=1", "training.epoch: no such key; did you mean training.epochs?"),
        ("+data.val.number=1", "data.val.number: no such key; did you mean data.val.numbers?"),
        ("experiment=activation_sweep", "experiment: is added to a run, so write +experiment="),
        ("model.activation.inplace=false", "model.activation takes its values from another key"),
        ("model=srcnn model.dropout=0.1", "model.dropout: no such key in the word that was chosen"),
        # Keys of factories, whose schema is a signature.
        ("model.nfeats=8", "model.nfeats: no such key; did you mean n_feats?"),
        ("+model.nfeats=8", "model.nfeats: no such key in EDSR; did you mean n_feats? (scale, "),
        ("+activation.slope=1", "model.activation.slope: no such key in ReLU"),
        ("+optimizer.betas2=1", "optimizer.betas2: no such key in Adam; did you mean betas?"),
        ("+method.loss.size=1", "method.loss.size: no such key in L1Loss"),
        ("~model.scale", "model.scale: EDSR needs a value for it"),
        # Words that are no choice.
        ("data.lr=disc", "data.lr=disc: no such choice; choose from make, disk"),
        ("trainer.precision=16", "trainer.precision=16: no such choice; choose from 32-true, "),
        ("clipping.algorithm=l2", "clipping.algorithm=l2: no such choice; choose from norm, value"),
        ("+experiment=foo", "experiment=foo: no such choice; choose from activation_by_model, "),
        ("hydra/launcher=slrum", "choose from basic, joblib, ray, slurm; did you mean slurm?"),
        ("budget.name=huge", "model.n_resblocks: no value for huge; there is one for smoke, "),
        # Wrong types.
        ("scale=two", "scale=two: expected a whole number"),
        ("scale=2.5", "scale=2.5: expected a whole number"),
        ("training.lr=fast", "training.lr=fast: expected a number"),
        ("trainer.threads=two", "trainer.threads=two: expected a whole number"),
        ("benchmarks.save_images=maybe", "benchmarks.save_images=maybe: expected true or false"),
        ("benchmarks.sets=Set5", "benchmarks.sets=Set5: expected a list, such as [Set5]"),
        ("training=long", "training=long: expected keys, such as training.KEY=VALUE"),
        ("paths.data=null", "paths.data=null: expected a value"),
        ("model.n_feats=many", "model.n_feats=many: expected int"),
        ("model.n_feats=1.5", "model.n_feats=1.5: expected int"),
        ("model.res_scale=high", "model.res_scale=high: expected float"),
        ("model.activation=relu", "model.activation=relu: expected"),
        ("activation.inplace=3", "model.activation.inplace=3: expected bool"),
        ("optimizer.betas=0.9", "optimizer.betas=0.9: expected"),
        ("scheduler.milestones=[a]", "scheduler.milestones=['a']: expected"),
        ("scheduler._target_=torch.optim.Nope", "scheduler._target_=torch.optim.Nope: no such"),
        # Missing values.
        ("data=folder", "data.train.source: has no value; give one as data.train.source=..."),
        ("training.batch_size=???", "training.batch_size: has no value"),
        ("~training.lr", "training.lr: must not be taken away"),
        ("~model", "model: exactly one word is needed"),
        ("seed=${sead}", "seed: Interpolation key 'sead' not found"),
        # Lines that cannot be read.
        ("scale=[2", "scale=[2: cannot be read; write KEY=VALUE"),
        ("scale", "scale: cannot be read; write KEY=VALUE"),
        ("scale=2,3", "scale=2,3: several values need -m (a sweep)"),
        ("activation=[relu,mish]", "activation: exactly one word is needed, or activation=a,b"),
        ("data=null", "a group=null was asked for: a group needs one of its words"),
        # Numbers out of range.
        *((f"{k}=0", f"{k}=0: must be above 0") for k in ("scale", "trainer.num_nodes")),
        *(
            (f"training.{k}=-1", f"training.{k}=-1: must be above 0")
            for k in ("updates_per_epoch", "batch_size", "patch_size", "accumulate")
        ),
        *(
            (f"training.{k}=0", f"training.{k}=0: must be above 0")
            for k in ("validate_every", "checkpoint_every")
        ),
        ("training.recipe_epochs=0", "training.recipe_epochs=0.0: must be above 0"),
        ("training.epochs=-1", "training.epochs=-1: must not be negative"),
        ("training.lr=-1e-3", "training.lr=-0.001: must not be negative"),
        ("training.lr=nan", "training.lr=nan: must not be negative"),
        ("seed=-1", "seed=-1: must not be negative"),
        ("seed=9223372036854775808", "seed=9223372036854775808: must be below 2**63"),
        ("trainer.threads=0", "trainer.threads=0: must be at least 1, or null"),
        ("trainer.devices=0", "trainer.devices=0: must be at least 1, or auto"),
        ("averaging=[swa,ema]", "averaging: exactly one word is needed"),
        ("training.scales=[3,4]", "training.scales=[3, 4], scale=2: the scale that is scored must"),
        ("clipping.value=0.1", "clipping.algorithm=None, clipping.value=0.1: both or neither"),
        ("benchmarks.sets=[]", "benchmarks.sets=[]: name at least one set to be scored on"),
        # Names that would leave their folder.
        ("name=a/b", "name=a/b: one folder's name is needed"),
        ("name=..", "name=..: one folder's name is needed"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(override, says):
    assert says in mistake(*override.split(" "))


@pytest.mark.parametrize("group", GROUPS)
def test_an_unknown_word_lists_the_words_of_its_group(group):
    words = ", ".join(p.stem for p in CHOICES if p.parent.name == group)
    assert mistake(f"{group}=xyzzy") == f"{group}=xyzzy: no such choice; choose from {words}"


def test_clipping_values_below_zero():
    assert mistake("clipping=norm", "clipping.value=-1") == "clipping.value=-1.0: must be above 0"


@pytest.mark.parametrize("begin", ["300", "-1", "1e9"])
def test_averaging_begins_while_there_is_something_to_average(begin):
    says = mistake("averaging=swa", f"averaging.begin={begin}")
    assert says.startswith(f"averaging.begin={float(begin):g}: the training ends at epoch 300")


def test_a_file_that_is_not_yaml_is_named_with_its_line(tmp_path, monkeypatch):
    for path in [conf_dir() / "config.yaml", *CHOICES]:
        target = tmp_path / "conf" / path.relative_to(conf_dir())
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text())
    (tmp_path / "conf" / "model" / "mine.yaml").write_text("# Mine.\n_target_: a.b\nx: [1\ny: 2\n")
    monkeypatch.setattr(schema, "conf_dir", lambda: tmp_path / "conf")
    assert re.search(r"model/mine\.yaml, line \d: not YAML \(.+\)", mistake("model=mine"))


def test_a_last_word_holds_and_words_are_remembered():
    cfg = compose(["scale=2", "activation=relu", "scale=3", "activation=mish"])
    assert cfg.scale == 3 and cfg.words.activation == "mish"
    assert list(cfg.overrides) == ["scale=3", "activation=mish"]
    assert set(cfg.words) == set(schema.WORDS)


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
    config = plain(compose([f"{sign}{group}={path.stem}", *NEEDS.get(path.stem, [])]))
    config["method"].pop("teacher", None)  # replaced by a network
    for key in ("model", "optimizer", "scheduler", "method", "averaging", "logger"):
        instantiate.check(config[key], key)


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


def test_help_lists_every_word_without_importing_torch(imported):
    shown, modules = imported("--help")
    assert "hydra" in modules and "torch" not in modules
    for path in CHOICES:
        group = path.parent.relative_to(conf_dir()).as_posix()
        (listed,) = re.findall(rf"^{group}: (.*)$", shown, re.MULTILINE)
        assert path.stem in listed.split(", ")
    for key in plain(compose([])):
        if key not in ("words", "overrides"):
            assert re.search(rf"^{key}:", shown, re.MULTILINE)
