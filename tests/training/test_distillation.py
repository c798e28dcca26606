"""A student and its teacher, in one training."""

import json

import pytest
import torch
from rich.console import Console

from sr_experiments.config import instantiate
from sr_experiments.config.compose import compose
from sr_experiments.core.errors import UserError
from sr_experiments.core.paths import conf_dir
from sr_experiments.data.datamodule import Batch, SuperResolutionData
from sr_experiments.data.sources import find_images
from sr_experiments.imaging.resize import downscale
from sr_experiments.models.edsr import EDSR
from sr_experiments.models.network import upscale
from sr_experiments.models.srcnn import SRCNN
from sr_experiments.models.vdsr import VDSR
from sr_experiments.runs.run import run
from sr_experiments.training.checkpoints import load_weights
from sr_experiments.training.distillation.contrastive import Contrastive
from sr_experiments.training.distillation.distillation_loss import NetworkOutput
from sr_experiments.training.distillation.distilled import Distilled
from sr_experiments.training.distillation.fakd import FAKD
from sr_experiments.training.distillation.output_l1 import OutputL1

METHODS = sorted(
    p.stem for p in (conf_dir() / "method").glob("*.yaml") if "teacher:" in p.read_text()
)


def batch(count=3):
    generator = torch.Generator().manual_seed(0)
    hr = torch.randint(0, 256, (count, 3, 24, 24), dtype=torch.uint8, generator=generator)
    return Batch(downscale(hr, 2), hr, 0)


def networks():
    torch.manual_seed(0)
    return EDSR(2, 3, 8), EDSR(2, 6, 12)


@pytest.mark.parametrize("method", METHODS)
def test_only_the_student_learns(method):
    node = compose([f"method={method}", "teacher={seed: 1}"]).method
    node.pop("teacher")
    student, teacher = networks()
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    module = instantiate.build(node, "method")(network=student, teacher=teacher)
    module.train()
    assert not teacher.training
    optimizer = module.configure_optimizers()["optimizer"]
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert {id(p) for p in student.parameters() if p.requires_grad} <= held
    assert not held & {id(p) for p in teacher.parameters()}
    losses = []
    for _ in range(5):
        loss = module.training_step(batch(), 0)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in student.parameters() if p.requires_grad)
        optimizer.step()
    assert losses[-1] < losses[0]
    assert all(p.grad is None for p in teacher.parameters())
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())
    assert not [k for k in module.state_dict() if "teacher" in k]
    extra = [k for k in module.state_dict() if not k.startswith("network.")]
    assert bool(extra) == (method in ("fitnet", "lsfd")), "adapters alone are kept beside it"


@pytest.mark.parametrize("last_tap", ["paper", "code"])
def test_a_step_is_the_loss_of_both_networks_answers(last_tap):
    student, teacher = networks()
    loss = FAKD(last_tap=last_tap)
    module = Distilled(student, teacher, loss)
    found = module.training_step(batch(), 0)
    lr, hr, *_ = batch()

    def look(network, indices):  # without hooks: the blocks one after the other
        shallow = network.head(network.sub_mean(lr.float()))
        features, x = [], shallow
        for index, layer in enumerate(network.body):
            x = layer(x)
            if index in indices:
                features.append(x)
        features.append(x if last_tap == "paper" else shallow + x)
        return NetworkOutput(network.add_mean(network.tail(shallow + x)), tuple(features))

    expected = loss(look(student, (0, 1)), look(teacher, (1, 3)), hr.float())
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_cached_teachers_images_are_cut_and_turned_like_the_ground_truth(cache):
    data = SuperResolutionData(
        find_images("embedded/train", cache, cache), None, [], scale=2, cache=cache,
        batch_size=16, patch_size=12,
    )  # fmt: skip
    data.setup()
    assert data.stream.batch(3).teacher_sr is None
    data.teacher_sr = data.train_pairs.hr
    for t in range(3):
        cut = data.stream.batch(t)
        assert torch.equal(cut.teacher_sr, cut.hr)


def test_a_cached_teacher_is_not_asked_and_its_images_are_learned_from():
    student, teacher = networks()
    lr, hr, number, _ = batch()
    teacher_sr = upscale(teacher, lr)
    calls = []
    teacher.register_forward_hook(lambda *_: calls.append(1))
    module = Distilled(student, teacher, OutputL1(weight=1.0), cached=True)
    found = module.training_step(Batch(lr, hr, number, teacher_sr), 0)
    assert calls == []
    answer = student(student.encode(lr)) * 255
    torch.testing.assert_close(found, (answer - teacher_sr.float()).abs().mean())


@pytest.fixture
def train(tmp_path, small_photographs, monkeypatch):
    monkeypatch.setenv("SR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "cache"))

    def directory(*overrides):
        common = ["budget=smoke", "logger=csv", "trainer=cpu", "trainer.progress=none"]
        return run(compose([*common, *overrides]), Console(quiet=True)).directory

    return directory


def test_a_run_trains_its_teacher_first_and_keeps_it_out_of_its_files(train, tmp_path):
    words = ["method=output_l1", "teacher={model.n_feats: 12}"]
    directory = train(*words)
    (teacher,) = (p for p in tmp_path.glob("runs/runs/*") if p != directory and p.is_dir())
    result = json.loads((directory / "result.json").read_text())
    assert result["training"]["teacher"] == teacher.name
    checkpoint = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)
    assert {k.split(".")[0] for k in checkpoint["state_dict"]} == {"network"}
    assert load_weights(directory / "checkpoints" / "weights.safetensors")[1]["n_feats"] == 8

    # Taught from images that were made beforehand: near, and not the same.
    made = train(*words, "method.cached=true")
    assert made != directory
    one, other = (
        load_weights(d / "checkpoints" / "weights.safetensors")[0] for d in (directory, made)
    )
    assert any(not torch.equal(one[k], other[k]) for k in one)
    stores = set((tmp_path / "cache" / "stores").glob("*.bin"))
    train(*words, "method.cached=true", "method.distillation.weight=0.6")
    assert set((tmp_path / "cache" / "stores").glob("*.bin")) == stores, "made once for all"


def test_a_file_of_weights_teaches_as_well(train, tmp_path):
    first = train("model.n_feats=12", "model.n_resblocks=2", "training.epochs=1")
    file = first / "checkpoints" / "weights.safetensors"
    teacher = f"{{method: none, weights: {file}, model.n_feats: 12, model.n_resblocks: 2}}"
    again = train("method=contrastive_l1", f"teacher={teacher}")
    straight = train(
        "method=contrastive_l1",
        "teacher={model.n_feats: 12, model.n_resblocks: 2, training.epochs: 1}",
    )
    one, other = (
        load_weights(d / "checkpoints" / "weights.safetensors")[0] for d in (again, straight)
    )
    assert again != straight and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize(
    ("student", "teacher", "options", "says"),
    [
        (EDSR(2, 3, 8), EDSR(3, 3, 8), {}, "its scale is 3 and the student's 2"),
        (VDSR(2, 5, 8), EDSR(2, 3, 8), {}, "EDSR takes rgb input and its student VDSR y"),
        (EDSR(2, 3, 8), EDSR(2, 3, 8), {"cached": True}, "method.cached=true: this loss compares"),
        (EDSR(2, 3, 8), EDSR(2, 3, 8), {"student_taps": ["body.9"]}, "no layer 'body.9'"),
        (EDSR(2, 3, 8), EDSR(2, 3, 8), {"student_taps": ["body"]}, "1 feature maps? of the stud"),
        (
            EDSR(2, 3, 8),
            EDSR(2, 3, 8),
            {"teacher_taps": ["tail"] * 3},
            "features of tap 1 are 24x24 in the",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(student, teacher, options, says):
    with pytest.raises(UserError, match=says):
        Distilled(student, teacher, FAKD(), **options)


def test_the_codes_last_tap_needs_a_skip():
    with pytest.raises(UserError, match="last_tap=code: VDSR has no skip around its body"):
        Distilled(VDSR(2, 8, 4), VDSR(2, 8, 4), FAKD(last_tap="code"))


def test_networks_with_few_layers_have_fewer_taps():
    module = Distilled(SRCNN(2), VDSR(2, 8, 4), FAKD())
    assert [taps.names for taps in module.taps] == [("head", "body"), ("body.2", "body.5")]
    assert module.training_step(batch(), 0).isfinite()


def test_one_image_has_no_negatives():
    student, teacher = networks()
    module = Distilled(student, teacher, Contrastive("l1"))
    with pytest.raises(UserError, match="a batch of 1 image has no negatives"):
        module.training_step(batch(1), 0)


def test_cached_outputs_of_a_teacher_are_kept_apart_by_all_that_changes_them(train, monkeypatch):
    from sr_experiments.runs import assembly

    keys, open_made = [], assembly.open_made

    def spy(pairs, key, *args, **options):
        keys.append(key)
        return open_made(pairs, key, *args, **options)

    monkeypatch.setattr(assembly, "open_made", spy)
    words = ["method=output_l1", "teacher={seed: 1}", "method.cached=true", "training.epochs=1"]
    changes = "data.border=clamp", "data.small=skip", "training.patch_size=16", "scale=3"
    for change in ([], *([word] for word in changes)):
        train(*words, *change)
    kept = [key.rpartition("/")[2] for key in keys]
    assert len(keys) == 5 and len(set(kept)) == 5
