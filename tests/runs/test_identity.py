"""What makes two runs the same run."""

import shutil

import numpy as np
import pytest

from sr_experiments.config.compose import compose
from sr_experiments.core.errors import UserError
from sr_experiments.imaging.io import read_image, write_png
from sr_experiments.imaging.resize import downscale
from sr_experiments.runs.plan import plan

#: Keys that say where, how fast or how visibly a run computes, each with another legal value.
SAME = {
    "name": "elsewhere",
    "paper": "activation",
    "paths.data": "/nowhere",
    "paths.runs": "/nowhere",
    "paths.report": "/nowhere",
    "paths.cache": None,  # a folder of the test's own
    "reference": "{model:bicubic}",
    "teacher": "{seed:7}",  # the method has no place for one
    "data.allow_overlap": "true",
    "benchmarks.save_images": "false",
    "training.checkpoint_every": "7",
    "trainer.accelerator": "gpu",
    "trainer.devices": "4",
    "trainer.num_nodes": "2",
    "trainer.strategy": "ddp",
    "trainer.images": "host",
    "trainer.threads": "3",
    "trainer.deterministic": "false",
    "trainer.progress": "lines",
    "logger._target_": "other.logger",
    "logger._partial_": "false",
    "logger.project": "other",
    "logger.mode": "online",
}
#: Another legal value where it cannot be guessed, and what goes with it.
OTHER = {
    "start": "{seed:7}",
    "data.train.source": "embedded/val",
    "data.val.source": "embedded/train",
    "data.border": "clamp",
    "data.small": "skip",
    "benchmarks.sets": "[embedded/val]",
    "optimizer.betas": "[0.8,0.999]",
    "scheduler.milestones": "[100]",
    "trainer.precision": "64-true",
    "trainer.fused": "true",
    "trainer.compile": "default",
    "trainer.tf32": "true",
    "training.spike": "null",
    "training.patch_of": "hr",
    "optimizer.fused": "true",
    "training.scales": "[2,3]",
    "averaging": "ema",
}
#: Keys whose other values need other surroundings; they have tests of their own below.
APART = {"data.lr", "data.train.numbers", "data.val.numbers", "budget.name"}
APART |= {"clipping.algorithm", "clipping.value", "weights", "start_optimizer"}


@pytest.fixture(autouse=True)
def places(tmp_path, cache, monkeypatch):
    for name in ("RUNS", "REPORT", "DATA"):
        monkeypatch.setenv(f"SR_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("SR_CACHE", str(cache))


def identity(*overrides):
    return plan(compose(overrides)).identity


def leaves(node, key=""):
    if isinstance(node, dict) and node:
        for name, value in node.items():
            yield from leaves(value, f"{key}.{name}" if key else name)
    else:
        yield key, node


def another(key, value):
    """An override that sets a key to another value than it has."""
    if key in OTHER:
        return f"{key}={OTHER[key]}"
    if isinstance(value, bool):
        return f"{key}={str(not value).lower()}"
    if isinstance(value, int):
        return f"{key}={value + 1}"
    if isinstance(value, float):
        return f"{key}={value * 2 + 0.5}"
    if key.endswith("._target_"):
        return f"{key}=some.other.thing"
    pytest.fail(f"{key}={value}: a new key; say in this test what another value of it is")


def test_every_key_counts_but_for_those_that_cannot_change_a_result(tmp_path):
    default = plan(compose([]))
    found = {default.identity: "the default"}
    keys = {k: v for k, v in leaves(default.config.plain()) if not k.startswith("choices")}
    assert keys.keys() >= {*SAME, *OTHER, *APART}, "keys that are no longer there"
    for key, value in keys.items():
        if key in APART or key.startswith(("model.activation.", "model.convolution.")):
            continue  # the last two show activation and convolution, and are set there
        if key in SAME:
            override = f"{key}={SAME[key] or tmp_path / 'cache'}"
            assert identity(override) == default.identity, f"{override} must not count"
            continue
        override = another(key, value)
        other = identity(override)
        assert other not in found or key.startswith(("activation", "convolution")), (
            f"{override} gives the identity of {found[other]}"
        )
        found[other] = override
        assert other != default.identity, f"{override} must count"


def test_clipping_counts():
    words = ["clipping=none", "clipping=norm", "clipping=value", "clipping.value=2"]
    norm = identity(words[1], words[3])
    assert len({*(identity(w) for w in words[:3]), norm}) == 4


def test_the_name_of_a_budget_is_mere_words():
    quick = plan(compose([])).config
    keys = [f"training.{k}={v}" for k, v in quick.training.model_dump().items() if v is not None]
    keys += [f"model.{k}={quick.model[k]}" for k in ("n_resblocks", "n_feats", "res_scale")]
    assert identity("budget=smoke", *keys) == identity()
    assert identity("budget.name=study", *keys) == identity()
    assert identity("budget=smoke") != identity()


def test_the_order_and_the_spelling_of_overrides_do_not_count():
    assert identity("seed=3", "scale=3") == identity("scale=3", "seed=3")
    assert identity("seed=1", "seed=3", "scale=3") == identity("scale=3", "seed=3")
    assert identity("training.lr=1e-3") == identity("training.lr=0.001") == identity()
    assert identity("activation=relu", "model=edsr") == identity()


def test_bicubic_is_the_same_run_whatever_the_training_says():
    bicubic = identity("model=bicubic")
    for other in (
        "seed=4",
        "training.epochs=3",
        "optimizer.lr=1",
        "budget=smoke",
    ):
        assert identity("model=bicubic", other) == bicubic
    for other in ("scale=3", "data.border=clamp", "benchmarks.sets=[embedded/val]"):
        assert identity("model=bicubic", other) != bicubic


def test_the_parent_counts_with_all_that_makes_it():
    plain = identity("scale=4")
    child = plan(compose(["scale=4", "start={scale:2}"]))
    assert child.start.identity == identity("scale=2") and child.identity != plain
    other = identity("scale=4", "start={scale:2,training.epochs:1}")
    assert len({plain, child.identity, other}) == 3
    assert child.identity == identity("scale=4", "start={scale:2,name:elsewhere}")
    # The parent of a changed run changes with it.
    assert plan(compose(["scale=4", "seed=1", "start={scale:2}"])).start.identity == identity(
        "seed=1"
    )


def test_a_teacher_counts_where_the_method_has_a_place_for_one():
    found = [identity("method=fakd", f"teacher={{seed:{seed}}}") for seed in (7, 8)]
    found += [identity("method=contrastive_l1", "teacher={seed:7}")]
    assert len({identity(), *found}) == 4
    learns = plan(compose(["method=fakd", "teacher={seed:7}"]))
    assert learns.teacher.identity == identity("seed=7"), "a teacher is trained on ground truth"


def test_the_optimiser_of_a_parent_counts():
    start = "start={seed:7}"
    assert identity(start) != identity(start, "start_optimizer=true")


def test_a_parent_in_other_words_does_not_inherit_what_was_said_of_these():
    words = ["method=contrastive_l1", "method.cached=true", "averaging=swa", "averaging.begin=7"]
    child = plan(compose([*words, "teacher={averaging: none}", "model.n_feats=8"]))
    assert child.teacher.identity == identity("model.n_feats=8")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["method=fakd"], r"method=fakd: needs a teacher; set teacher=\{model: edsr\}"),
        (
            ["method=fakd", "teacher={scale: 3}"],
            r"teacher=\{'scale': 3\}: its scale is 3 and the student's 2; they must be equal",
        ),
        (
            ["method=fakd", "teacher={model: bicubic, method: none}"],
            "teacher=.*: that run has no trained weights",
        ),
        (["model=bicubic", "activation=mish"], "activation=mish, model=bicubic: it has no activat"),
        (["start_optimizer=true"], "start_optimizer=true: needs a run to begin with"),
        (["start={method: none}"], "start=.*: that run trains nothing to begin with"),
    ],
)
def test_parents_that_cannot_be_are_refused(words, says):
    with pytest.raises(UserError, match=says):
        identity(*words)


def test_differences_of_a_parent_reach_it_as_they_are():
    words = {
        "name": "it's a name",
        "paper": "1",
        "data.train.numbers": None,
        "optimizer.betas": [0.5, 0.9],
    }
    start = words | {"scheduler": "constant", "benchmarks.save_images": False}
    child = compose(["scale=4"]).model_copy(update={"start": start})
    config = plan(child).start.config
    assert config.name == "it's a name" and config.data.train.numbers is None
    assert config.paper == "1"
    assert config.optimizer["betas"] == [0.5, 0.9] and config.choices["scheduler"] == "constant"
    assert config.benchmarks.save_images is False and config.start is None


def test_the_content_of_a_file_of_weights_counts_and_its_place_does_not(tmp_path):
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    found = [identity(f"weights={tmp_path / name}") for name in "abc"]
    assert found[0] == found[1] and len({identity(), *found}) == 3
    untrained = [identity("method=none", f"weights={tmp_path / name}") for name in "abc"]
    assert len({identity("method=none"), *untrained, *found}) == 5


def test_weights_are_there_and_the_only_beginning(tmp_path):
    with pytest.raises(UserError, match=r"weights=\S+nothing: cannot be read \(No such file"):
        identity(f"weights={tmp_path / 'nothing'}")
    (tmp_path / "a").write_bytes(b"1")
    with pytest.raises(UserError, match=r"weights=\S+, start=.*: a run begins with one of them"):
        identity(f"weights={tmp_path / 'a'}", "start={seed:7}")


def test_a_run_is_compared_without_handing_its_weights_on(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    reference = plan(compose([f"weights={tmp_path / 'a'}", "reference={model:bicubic}"])).reference
    assert reference.weights is None and reference.identity == identity("model=bicubic")


@pytest.fixture
def photographs(tmp_path):
    generator = np.random.default_rng(0)
    for name in "ab":
        image = generator.integers(0, 256, (60, 64, 3), np.uint8)
        write_png(tmp_path / "photos" / f"{name}.png", image)
    return tmp_path / "photos"


def test_a_folders_content_counts_and_its_place_does_not(photographs, tmp_path):
    def of(folder):
        return identity("data=folder", f"data.train.source={folder}")

    first = of(photographs)
    shutil.copytree(photographs, tmp_path / "copy")
    assert of(tmp_path / "copy") == first
    write_png(tmp_path / "copy" / "b.png", 255 - read_image(photographs / "b.png"))
    assert of(tmp_path / "copy") != first
    (tmp_path / "copy" / "b.png").unlink()
    assert of(tmp_path / "copy") != first


def test_numbers_and_low_resolution_files_count(tmp_path):
    generator = np.random.default_rng(0)
    home = tmp_path / "data" / "DIV2K"
    for split, numbers in (("train", (1, 2, 3)), ("valid", (801, 802, 803))):
        for n in numbers:
            image = generator.integers(0, 256, (60, 64, 3), np.uint8)
            write_png(home / f"DIV2K_{split}_HR" / f"{n:04d}.png", image)
            low = home / f"DIV2K_{split}_LR_bicubic" / "X2" / f"{n:04d}x2.png"
            write_png(low, downscale(image, 2))
    base = ["data=div2k", "benchmarks.sets=[DIV2K]"]
    made, disk = identity(*base), identity(*base, "data.lr=disk")
    train = identity(*base, "data.train.numbers=0001-0002")
    val = identity(*base, "data.val.numbers=0801-0802")
    assert len({made, disk, train, val}) == 4
    write_png(low, 255 - read_image(low))
    assert identity(*base) == made and identity(*base, "data.lr=disk") != disk


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ([], "edsr x2 relu quick s0"),
        (["model=ecbsr", "optimizer=sgd", "seed=3"], "ecbsr x2 prelu edge sgd quick s3"),
        (["model=bicubic", "scale=3"], "bicubic x3"),
    ],
)
def test_a_title_names_only_what_is_not_the_default(words, title):
    assert plan(compose(words)).title == title
