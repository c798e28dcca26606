import errno
import io
import os
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut
from web_helpers import photograph, png, write_clip

from sr_experiments.core.errors import UserError
from sr_experiments.imaging.formats import list_images
from sr_experiments.imaging.io import read_image
from sr_experiments.imaging.resize import imresize
from sr_experiments.metrics.scoring import score_image
from sr_experiments.serve.conversion import Conversion, result_suffix
from sr_experiments.serve.jobs import Job, JobSettings
from sr_experiments.serve.limits import Limits
from sr_experiments.serve.model_list import BICUBIC, ModelList
from sr_experiments.serve.probe import probe
from sr_experiments.serve.refusals import JobCancelledError, VisitorError, for_visitor
from sr_experiments.upscale import __main__ as upscale

MakeJob = Callable[..., Job]
LIMITS = Limits(megapixels=2, result_megapixels=3)


@pytest.fixture
def convert(tmp_path: Path) -> Conversion:
    return Conversion(ModelList(), LIMITS, tmp_path / "kept")


@pytest.fixture
def job(tmp_path: Path) -> MakeJob:
    def make(suffix: str, content: bytes, **settings: Any) -> Job:
        folder = tmp_path / "0123"
        folder.mkdir()
        source = folder / f"source{suffix}"
        source.write_bytes(content)
        held = probe(source, f"mine{suffix}", LIMITS)
        made = Job("0123", "ann", f"mine{suffix}", folder, source, held, began=1e12)
        made.settings = JobSettings(**{"model": "vdsr"} | settings)
        return made

    return make


def jpeg() -> bytes:
    return _saved("JPEG")


def moving_gif() -> bytes:
    frames = [Image.fromarray(photograph(24, 30, seed)) for seed in range(3)]
    return _saved("GIF", frames[0], save_all=True, append_images=frames[1:], duration=40, loop=0)


def _saved(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    out = io.BytesIO()
    (image or Image.fromarray(photograph())).save(out, kind, **options)
    return out.getvalue()


CASES = [
    (".png", png, {}, []),
    (".jpg", jpeg, {"scale": Fraction(3, 2), "denoise": 0.4}, ["--denoise", "0.4"]),
    (".gif", moving_gif, {"scale": Fraction(3), "sharpen": 0.5}, ["--sharpen", "0.5"]),
    (".bmp", lambda: _saved("BMP"), {"model": BICUBIC, "scale": Fraction(4)}, []),
    (".webp", lambda: _saved("WEBP", lossless=True), {}, []),
]


@pytest.mark.parametrize(("suffix", "content", "settings", "options"), CASES)
def test_a_result_is_the_command_lines_bit_by_bit(
    convert: Conversion,
    job: MakeJob,
    tmp_path: Path,
    suffix: str,
    content: Callable[[], bytes],
    settings: dict[str, Any],
    options: list[str],
) -> None:
    made = job(suffix, content(), **settings)
    convert(made)
    assert made.result is not None and made.share == pytest.approx(0.99)
    scale = float(settings.get("scale", 2))
    large = tmp_path / f"cli{made.result.suffix}"
    asked = [str(made.source), str(large), "--scale", f"{scale:g}"]
    asked += ["--model", settings.get("model", "vdsr"), *options]
    assert upscale.main(asked) == 0
    assert made.result.read_bytes() == large.read_bytes()
    # Beside it always: bicubic of the upload itself, whatever the filters.
    beside = read_image(made.folder / f"bicubic{made.result.suffix}")
    if suffix != ".gif":
        size = tuple(int(np.ceil(scale * side)) for side in read_image(made.source).shape[:2])
        whole = int(np.ceil(scale))
        plain = torch.from_numpy(read_image(made.source)).permute(2, 0, 1).double()
        plain = imresize(plain, whole).clamp(0, 255)
        plain = imresize(plain, size=size) if whole != scale else plain
        expected = plain.clamp(0, 255).add(0.5).floor().permute(1, 2, 0).numpy()
        assert np.abs(beside.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "libx264"), (".mkv", "libx264")])
def test_a_video_is_the_command_lines_and_has_two_sides_to_compare(
    convert: Conversion, job: MakeJob, tmp_path: Path, suffix: str, codec: str
) -> None:
    av = pytest.importorskip("av")
    made = job(suffix, write_clip(tmp_path / f"clip{suffix}", codec).read_bytes())
    convert(made)
    assert made.result is not None and made.result.suffix == result_suffix(
        made.source, made.media.kind
    )
    large = tmp_path / f"cli{suffix}"
    assert upscale.main([str(made.source), str(large), "--model", "vdsr"]) == 0

    def frames(path: Path) -> list[np.ndarray]:
        with av.open(str(path)) as file:
            return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]

    ours, theirs = frames(made.result), frames(large)
    assert len(ours) == len(theirs) == 10
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    before, after = (frames(made.folder / f"{side}.mp4") for side in ("before", "after"))
    assert len(before) == len(after) == 10 and before[0].shape == after[0].shape == (96, 128, 3)
    assert all(np.array_equal(a, b) for a, b in zip(after, ours, strict=True))
    assert not np.array_equal(before[3], after[3])


def test_the_ground_truth_gives_the_scores_of_the_suite(convert: Conversion, job: MakeJob) -> None:
    truth = astronaut()[40:120, 180:284]
    made = job(".png", png(imresize(truth, 0.5)))
    made.reference, made.reference_name = made.folder / "reference.png", "hr.png"
    made.reference.write_bytes(png(truth))
    convert(made)
    assert made.scores is not None and made.scores.protocol == "y"
    for name, found in (("bicubic", made.scores.bicubic), ("result", made.scores.network)):
        sr = torch.from_numpy(read_image(made.folder / f"{name}.png")).permute(2, 0, 1)
        hr = torch.from_numpy(truth).permute(2, 0, 1)
        assert found == tuple(score_image(sr, hr, 2)["y"])
    assert made.scores.network[0] > made.scores.bicubic[0]


@pytest.mark.parametrize("size", [(79, 104), (160, 208)])
def test_a_ground_truth_of_another_size_is_refused_and_the_result_stands(
    convert: Conversion, job: MakeJob, size: tuple[int, int]
) -> None:
    made = job(".png", png())
    made.reference, made.reference_name = made.folder / "reference.png", "hr.png"
    made.reference.write_bytes(png(photograph(*size)))
    convert(made)
    assert made.result is not None and made.scores is None and made.reference_failure is not None
    said = str(made.reference_failure)
    assert f"{size[1]}x{size[0]}" in said and "104x80" in said


@pytest.mark.parametrize("keep", [False, True])
def test_only_with_consent_images_are_kept_to_train_on(
    convert: Conversion, job: MakeJob, tmp_path: Path, keep: bool
) -> None:
    exif = Image.Exif()
    exif[0x010E] = "my home"
    content = _saved("JPEG", exif=exif)
    made = job(".jpg", content, keep=keep)
    convert(made)
    kept = tmp_path / "kept"
    if not keep:
        assert not kept.exists()
        return
    (image,) = list_images(kept)  # what data=folder lists
    assert image.suffix == ".png" and b"my home" not in image.read_bytes()
    assert np.array_equal(read_image(image), read_image(made.source))


@pytest.mark.parametrize("kind", ["image", "video"])
def test_cancelling_stops_between_tiles_or_frames(
    convert: Conversion, job: MakeJob, tmp_path: Path, kind: str
) -> None:
    if kind == "image":
        made = job(".png", png(photograph(700, 700)))
    else:
        made = job(".mp4", write_clip(tmp_path / "clip.mp4").read_bytes())
    shares: list[float] = []

    class Stop(threading.Event):
        def is_set(self) -> bool:
            shares.append(made.share)
            return len(shares) > 3

    made.stop = Stop()
    with pytest.raises(JobCancelledError):
        convert(made)
    assert 0 < shares[-1] < 0.9 and shares == sorted(shares)
    assert not any(path.name.startswith((".", "result")) for path in made.folder.iterdir())


def test_a_full_disk_is_named(
    convert: Conversion, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = job(".png", png())

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError) as caught:
        convert(made)
    assert for_visitor(caught.value, "mine.png").code == "server-disk-full"
    assert [path.name for path in made.folder.iterdir()] == ["source.png"]


def test_a_result_beyond_the_limit_is_refused_before_any_work(
    convert: Conversion, job: MakeJob
) -> None:
    made = job(".png", png(photograph(700, 700)), scale=Fraction(4))
    with pytest.raises(VisitorError, match=r"would have 7.8 megapixels; the limit is 3"):
        convert(made)
    assert [path.name for path in made.folder.iterdir()] == ["source.png"]


def test_networks_of_the_command_line_are_offered(tmp_path: Path) -> None:
    from sr_experiments.upscale.shipped import SHIPPED, default_network, shipped

    mine = tmp_path / "mine.safetensors"
    mine.write_bytes((SHIPPED / "vdsr.safetensors").read_bytes())
    first, *others = ModelList([f"mine={mine}"]).names
    assert first == default_network()
    assert others == [*(name for name in shipped() if name != first), "mine", "bicubic"]
    for wrong in ("mine", f"={mine}", f"vdsr={mine}", f"bicubic={mine}", "mine=nowhere"):
        with pytest.raises(UserError, match="--model"):
            ModelList([wrong])


@pytest.mark.parametrize(
    "asked",
    [
        {"model": "../../etc/passwd"},
        {"scale": "8"},
        {"scale": 1e9},
        {"denoise": 2},
        {"denoise": float("nan")},
        {"sharpen": "1"},
        {"sharpen": True},
    ],
)
def test_settings_that_cannot_be_chosen_are_refused(asked: dict[str, object]) -> None:
    with pytest.raises(VisitorError, match=next(iter(asked))):
        ModelList().settings(asked, may_keep=True)


def test_consent_counts_only_where_it_can_be_given() -> None:
    models = ModelList()
    assert models.settings({"keep": True}, may_keep=True).keep
    assert not models.settings({"keep": True}, may_keep=False).keep
    assert not models.settings({"keep": "true"}, may_keep=True).keep
    assert not models.settings({}, may_keep=True).keep
