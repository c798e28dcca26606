"""Folders of runs with known scores, written as the runner writes them."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

Scores = Mapping[str, Mapping[str, tuple[float, float]]]


@pytest.fixture
def write_run(tmp_path: Path) -> Callable[..., Path]:
    """A writer of run folders below ``tmp_path / "runs"``.

    ``scores`` is data set -> image -> (luma PSNR, RGB SSIM). The other halves of the two protocols
    and the averaged weights get values of their own, far away, so that taking them is seen.
    """
    count = 0

    def write(
        scores: Scores,
        *,
        activation: str = "relu",
        scale: int = 2,
        seed: int = 0,
        folder: str | None = None,
        identity: str | None = None,
        choices: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        size: str = "4x16",
        parameters: int = 12_345,
        updates: int = 1500,
        ended: str = "2026-01-02T10:00:00",
        bicubic: bool = False,
        experiment: str = "activation_sweep",
        network: str = "EDSR",
        averaged: Scores | None = None,
        also: Sequence[str] = (),
        history: Sequence[tuple[int, int, float, float | None]] = (),
        diverged_at: int | None = None,
        mean_error: float | None = None,
    ) -> Path:
        nonlocal count
        count += 1
        identity = identity or f"{count:064x}"
        said = {
            "model": "bicubic" if bicubic else "edsr",
            "activation": activation,
            "convolution": "plain",
            "method": "none" if bicubic else "supervised",
            "data": "embedded",
            "benchmarks": "embedded",
            "budget": "quick",
        } | dict(choices or {})
        rows, means = [], {}
        rules = [("y", 0, None), ("rgb", None, 1), *((name, 0, None) for name in also)]
        for dataset, raw in scores.items():
            for weights, shift in (("raw", 0.0), ("averaged", 5.0 if averaged is None else 0.0)):
                images = averaged[dataset] if averaged and weights == "averaged" else raw
                for protocol, psnr_at, ssim_at in rules:
                    table = {
                        image: (
                            pair[0] + shift if psnr_at == 0 else 11.0,
                            pair[1] if ssim_at == 1 else 0.111,
                        )
                        for image, pair in images.items()
                    }
                    rows += [
                        f"{dataset},{image},{weights},{protocol},{p!r},{s!r}"
                        for image, (p, s) in table.items()
                    ]
                    psnrs, ssims = zip(*table.values(), strict=True)
                    means.setdefault(dataset, {}).setdefault(weights, {})[protocol] = {
                        "psnr": sum(psnrs) / len(psnrs),
                        "ssim": sum(ssims) / len(ssims),
                        "images": len(table),
                    }
        name = folder or f"{activation}-x{scale}-s{seed}-{count:08x}"
        directory = tmp_path / "runs" / experiment / name
        directory.mkdir(parents=True)
        header = "dataset,image,weights,protocol,psnr,ssim"
        if mean_error is not None:  # runs written before lack it
            header, rows = f"{header},mean_error", [f"{row},{mean_error!r}" for row in rows]
        (directory / "scores.csv").write_text("\n".join([header, *rows]) + "\n")
        training = {
            "data": said["data"],
            "images": 9,
            "updates": updates,
            "batch_size": 16,
            "patch_size": 24,
            "seconds": 17.2,
            "precision": "32-true",
            "diverged_at": diverged_at,
        }
        result = {
            "identity": identity,
            "experiment": experiment,
            "choices": said,
            "settings": {
                "seed": seed,
                "scale": scale,
                "model.scale": scale,
                "model.activation._target_": activation,
                "optimizer.lr": 0.001,
            }
            | dict(settings or {}),
            "scale": scale,
            "seed": seed,
            "network": {
                "name": "Bicubic" if bicubic else network,
                "size": "none" if bicubic else size,
                "parameters": 0 if bicubic else parameters,
            },
            "training": None if bicubic else training,
            "means": means,
            "device": "cpu",
            "versions": {},
        }
        (directory / "result.json").write_text(json.dumps(result))
        status = {
            "state": "finished",
            "identity": identity,
            "experiment": experiment,
            "error": None,
            "started": "2026-01-02T09:00:00",
            "ended": ended,
        }
        (directory / "status.json").write_text(json.dumps(status))
        if history:
            names = [
                f"val_psnr_{rule}{kind}" for rule in ("y", *also) for kind in ("", "_averaged")
            ]
            lines = [",".join(["epoch", "update", "lr", "train_loss", *names])]
            for epoch, update, psnr, mean in history:
                both = [repr(psnr), "" if mean is None else repr(mean)]
                lines.append(
                    ",".join([str(epoch), str(update), "0.001", "1.0", *both * len(names[::2])])
                )
            (directory / "history.csv").write_text("\n".join(lines) + "\n")
        return directory

    return write
