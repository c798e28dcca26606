"""What a faster training may not change, and what a training never waits for."""

import csv
import itertools
import json

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from sr_experiments.config.compose import compose
from sr_experiments.core.device import use_tf32
from sr_experiments.runs import execute
from sr_experiments.runs.run import run

WORDS = ["budget=smoke", "logger=csv", "trainer.progress=none", "benchmarks.save_images=false"]


@pytest.fixture
def train(tmp_path, cache, small_photographs, monkeypatch):
    """Carry out a run in this process; returns its folder."""
    monkeypatch.setenv("SR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SR_CACHE", str(cache))

    def carried_out(*words):
        outcome = run(compose([*WORDS, *words]), Console(quiet=True))
        return outcome.directory

    return carried_out


class Waits(TorchDispatchMode):
    """Counts what makes a host wait for its device: a tensor's value becoming a Python number."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("words", "impatient"),
    [
        (["clipping=norm"], False),
        (["clipping=adjustable", "convolution=deconvolution"], False),
        (["clipping=norm"], True),  # shows that the count sees it
    ],
)
def test_no_update_waits_for_the_device(train, monkeypatch, words, impatient):
    """But for a look at the losses every 50 updates and the end of an epoch."""
    waits, counts = Waits(), []
    original = execute.History.on_train_batch_end

    def noted(self, trainer, module, outputs, batch, batch_idx):
        original(self, trainer, module, outputs, batch, batch_idx)
        if impatient:
            outputs["loss"].item()
        counts.append(waits.count)

    monkeypatch.setattr(execute.History, "on_train_batch_end", noted)
    # Adam counts its steps on the host, which looks the same from here.
    usual = ["optimizer=sgd", "training.lr=1e-5", "training.epochs=1"]
    with waits:
        train(*words, *usual, "training.updates_per_epoch=49")
    assert len(counts) == 49
    each = {after - before for before, after in itertools.pairwise(counts)}
    assert each == ({1} if impatient else {0})


def history(folder):
    with (folder / "history.csv").open() as file:
        return [float(row["train_loss"]) for row in csv.DictReader(file)]


def test_compiled_steps_train_the_same(train, monkeypatch):
    """FAKD compares features, which hooks take from inside of the compiled network.

    Its teacher is trained first, supervised and by compiled steps as well. Traced and
    differentiated, but not translated into C++: that is PyTorch's part, and half a minute.
    """
    traced, original = [], torch.compile

    def compile_without_inductor(step, *, mode, dynamic):
        traced.append(mode)
        return original(step, backend="aot_eager", fullgraph=True, dynamic=dynamic)

    monkeypatch.setattr(torch, "compile", compile_without_inductor)
    words = ["method=fakd", "model.res_scale=1.0"]
    words += ["teacher={model.n_resblocks:3}", "model.n_resblocks=3"]
    plain, compiled = train(*words), train(*words, "trainer.compile=default")
    assert plain != compiled and traced == ["default", "default"]
    assert history(compiled) == pytest.approx(history(plain), rel=1e-4)
    one, other = (load_file(p / "checkpoints/weights.safetensors") for p in (plain, compiled))
    assert one.keys() == other.keys()
    assert all(torch.allclose(one[k], other[k], atol=1e-4) for k in one)


def test_the_fast_setting_is_another_run_and_says_so(train, monkeypatch):
    monkeypatch.setattr("sr_experiments.config.schema.computes_bf16", lambda accelerator: True)
    plain, fast = train(), train("trainer=fast")
    assert plain != fast
    result = json.loads((fast / "result.json").read_text())
    assert result["training"]["precision"] == "bf16-mixed"
    assert result["settings"]["optimizer.fused"] is True
    assert history(fast) == pytest.approx(history(plain), rel=0.02)
    assert history(fast) != history(plain)


def allowed() -> tuple[bool, bool]:
    """Whether convolutions and matrix products may compute in TF32."""
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("chosen", [False, True])
def test_tf32_is_for_training_where_it_was_chosen(train, monkeypatch, chosen, capsys):
    seen = {}

    def noted(name):
        original = getattr(execute.Supervised, name)

        def step(self, *args, **kwargs):
            seen[name] = allowed()
            return original(self, *args, **kwargs)

        monkeypatch.setattr(execute.Supervised, name, step)

    noted("training_step")
    noted("test_step")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)  # PyTorch's own default
    words = [*WORDS, "trainer=cpu", *(["trainer.tf32=true"] if chosen else [])]
    folder = run(compose(words), Console()).directory
    assert seen == {"training_step": (chosen, chosen), "test_step": (False, False)}
    named = "32-true, TF32" if chosen else "32-true"
    assert json.loads((folder / "result.json").read_text())["training"]["precision"] == named
    assert capsys.readouterr().out.splitlines()[0].endswith(f"embedded/train, {named}")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_fp32_is_fp32_on_a_gpu():
    torch.manual_seed(0)
    layer, x = torch.nn.Conv2d(64, 64, 3).cuda(), torch.rand(4, 64, 48, 48, device="cuda")
    exact = torch.nn.functional.conv2d(x.double(), layer.weight.double(), layer.bias.double())
    errors = []
    for chosen in (True, False):
        use_tf32(chosen)
        errors.append(((layer(x) - exact).abs().max() / exact.abs().max()).item())
    assert errors[1] < 2e-6 and errors[1] < errors[0] / 10
