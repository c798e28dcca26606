"""Damaged images, configs and checkpoints, given to what reads them.

``python drills/readers.py --images 8000 --configs 1000 --checkpoints 1000 --seed 0`` makes sound
ones, changes them at random, and reads them in one process. Each is read, or refused by a
``UserError`` of one line. Anything else counts: another exception, 20 seconds without an answer,
more than 2 GiB, code that a file brought along. Exits 1 if there was any.
"""

import argparse
import os
import pickle
import random
import resource
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from sr_experiments.config.compose import compose, expand
from sr_experiments.core.errors import UserError
from sr_experiments.imaging.io import read_image
from sr_experiments.models.edsr import EDSR
from sr_experiments.models.srcnn import SRCNN
from sr_experiments.models.weights import save_weights
from sr_experiments.upscale.load_network import load_network

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
from soak import MODES, damage, write_image

SECONDS, MEMORY = 20, 2 * 2**30
#: What only code of a file would do while it is read.
ALARMS = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect")
SOUND = (
    ["+experiment=activation_sweep", "budget=quick", "activation=mish", "scale=4"],
    ["model=rcan", "budget=paper", "averaging=swa", "averaging.begin=200"],
    ["recipe=vdsr", "budget=desk", "clipping=value", "clipping.value=1e-3", "training.lr=0.1"],
    ["method=contrastive_l1", "teacher={seed: 1, model.n_feats: 48}", "budget=study"],
    ["data=folder", "data.train.source=[a,b]", "benchmarks.sets=[Set5]", "trainer.devices=2"],
    ["recipe=srcnn", "training.lr=1e-4", "training.epochs=5", "scale=3", "seed=2", "init=normal"],
)
VALUES = (
    *("null", "-1", "0", "1e400", "nan", "true", "999999999999999999999", "a" * 9999),
    *("''", "'", "[", "{", "}", "[]", "{}", "[[[1]]]", "{a: {b: 1}}", "=", "\\", "../../x", "🙂"),
    *("${", "${oc.env:HOME}", "${by:1,2}", "os.system", "builtins.eval", "!!python/object:os.x"),
    "{_target_: os.system, command: 'touch executed'}",
)


class Hostile:
    """What a pickle does to who unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch executed",)


def config(folder: Path, rng: random.Random) -> Callable[[], object]:
    """A command's words, one or two of them changed."""
    words = list(rng.choice(SOUND))
    for _ in range(rng.randint(1, 2)):
        place = rng.randrange(len(words))
        key, _, value = words[place].partition("=")
        text = list(words[place])
        at = rng.randrange(len(text))
        text[at] = rng.choice([chr(rng.randrange(1, 0x2FF)), "", text[at] * 2])
        words[place] = rng.choice(
            [
                f"{key}={rng.choice(VALUES)}",
                f"{key}='{rng.choice(VALUES)}'",
                f"{key}={rng.choice([0, -3, 1e30, 0.5, 'true', 'null', '[1,x]', '{a: 1}'])}",
                f"{key}.{rng.choice(['x', '_target_', '0', ''])}={value}",
                f"{rng.choice(['+', '++', '~', '-', '@'])}{words[place]}",
                f"{key}={value},{rng.choice(VALUES)}",
                "".join(text),
            ]
        )
    reads = expand if rng.random() < 0.2 else compose
    return lambda: reads(words)


def checkpoint(folder: Path, rng: random.Random) -> Callable[[], object]:
    """A file of weights or a run's checkpoint, damaged, of another shape, or hostile."""
    kind = rng.choice(["safetensors", "pth", "ckpt"])
    path = folder / f"net.{kind}"
    network = EDSR(2, n_resblocks=1, n_feats=4) if rng.random() < 0.5 else SRCNN(2)
    state = dict(network.state_dict())
    name = rng.choice(list(state))
    odd: list[Any] = [None, "text", torch.tensor(torch.nan), torch.zeros(3, 0), Hostile(), [1], {}]
    if rng.random() < 0.4 and kind != "safetensors":
        state[name] = rng.choice(odd)
    if rng.random() < 0.2:
        del state[name]
    if kind == "safetensors":
        target = rng.choice(["sr_experiments.models.srcnn.SRCNN", "os.system", "", "x" * 10_000])
        settings = {"_target_": target, "scale": rng.choice([2, -1, None, "2", 10**9, [2]])}
        save_weights(path, state, settings)
    elif rng.random() < 0.3:
        path.write_bytes(pickle.dumps({name: Hostile()}))
    else:
        content = {"state_dict": {f"network.{k}": v for k, v in state.items()}}
        content |= {"hyper_parameters": rng.choice([{}, Hostile(), {"config": {}}])}
        torch.save(content if kind == "ckpt" else state, path)
    if rng.random() < 0.7:
        damage(path, rng)
    return lambda: load_network(str(path), Fraction(2))


def picture(folder: Path, rng: random.Random) -> Callable[[], object]:
    """An image of any format, damaged."""
    path = folder / f"image.{rng.choice(sorted(MODES))}"
    write_image(path, rng)
    for _ in range(rng.randint(1, 3)):
        damage(path, rng)
    return lambda: read_image(path, keep_grey=rng.random() < 0.5)


def outcome(read: Callable[[], object]) -> tuple[str, str]:
    """What happened, and for what should not have happened the details."""

    def late(number: int, frame: object) -> None:
        raise TimeoutError(f"no answer in {SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    heard.clear()
    try:
        read()
        result = "read", ""
    except UserError as error:
        lines = str(error).splitlines()
        result = ("refused with one line", "") if len(lines) == 1 else ("several lines", str(error))
    except Exception as error:
        result = f"other: {type(error).__name__}", traceback.format_exc()
    finally:
        signal.alarm(0)
    return ("code was executed", ", ".join(heard)) if heard else result


heard: list[str] = []


def main() -> int:
    """Run the drill."""
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = {"images": picture, "configs": config, "checkpoints": checkpoint}
    for name, count in (("images", 8000), ("configs", 1000), ("checkpoints", 1000)):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sys.addaudithook(lambda event, _: heard.append(event) if event in ALARMS else None)
    bad = 0
    with tempfile.TemporaryDirectory(prefix="sr-drill-") as place:
        os.chdir(place)
        for name, make in kinds.items():
            found = Counter[str]()
            for number in range(getattr(options, name)):
                rng = random.Random(f"{options.seed} {name} {number}")
                try:
                    read = make(Path(place), rng)
                except Exception as error:  # writers refuse some
                    found[f"not made ({type(error).__name__})"] += 1
                    continue
                what, details = outcome(read)
                found[what] += 1
                if details:
                    bad += 1
                    print(f"{name} {number}: {what}\n{details}", flush=True)
            print(f"{name}: {', '.join(f'{n:,} {what}' for what, n in found.most_common())}")
        executed = Path("executed").exists()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{memory / 2**30:.2f} GiB at most; code was {'' if executed else 'not '}executed")
    return int(bool(bad) or executed or memory > MEMORY)


if __name__ == "__main__":
    sys.exit(main())
