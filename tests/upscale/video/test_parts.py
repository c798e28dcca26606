"""A long video that is interrupted and resumed, against one uninterrupted pass."""

import itertools
import os
import signal
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from sr_experiments.core.errors import UserError
from sr_experiments.models.bicubic import Bicubic
from sr_experiments.upscale.__main__ import main
from sr_experiments.upscale.upscaler import Upscaler
from sr_experiments.upscale.video.convert import enlarge_video
from sr_experiments.upscale.video.options import VideoOptions

av = pytest.importorskip("av")

from test_video import BASE, audio_of, frames_of, make, number_in  # noqa: E402

#: Steps between frames, in BASE: a variable rate.
TIMES = list(itertools.accumulate(itertools.islice(itertools.cycle([512, 384, 1280]), 63)))
PART = 20


class Counting(Upscaler):
    """Counts the frames that it enlarges, and is interrupted where it should be."""

    def __init__(self, stop=10**9):
        super().__init__(Bicubic(2), 2)
        self.count, self.stop = 0, stop

    def frames(self, frames, progress=lambda pixels: None):
        self.count += len(frames)
        if self.count > self.stop:
            raise KeyboardInterrupt
        return super().frames(frames, progress)


@pytest.fixture
def short_parts(monkeypatch):
    monkeypatch.setattr("sr_experiments.upscale.video.parts.PART", PART)


def packets_of(path):
    with av.open(str(path)) as opened:
        return [(bytes(p), p.pts, p.dts, p.is_keyframe) for p in opened.demux(video=0) if p.size]


def decoded_at(path):
    return [dts for _, _, dts, _ in packets_of(path)]


def folders(path):
    return [p for p in path.iterdir() if p.is_dir()]


KILLED = """
import os, signal, sys
from pathlib import Path
from sr_experiments.upscale.video import convert
from sr_experiments.upscale.video import options as video_options
from sr_experiments.upscale.video import parts
from sr_experiments.upscale.upscaler import Upscaler
from sr_experiments.models.bicubic import Bicubic
parts.PART = 20
done = 0
def progress(pixels):
    global done
    done += pixels
    if done > 50 * 96 * 64:
        os.kill(os.getpid(), signal.SIGKILL)
options = video_options.VideoOptions(crf=8)
source, target = map(Path, sys.argv[1:])
convert.enlarge_video(
    source, target, Upscaler(Bicubic(2), 2), options, progress=progress, resumable=True
)
"""


def test_killed_half_way(tmp_path, short_parts):
    source = make(tmp_path / "in.mp4", TIMES)
    options, target, whole = VideoOptions(crf=8), tmp_path / "out.mp4", tmp_path / "whole.mp4"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(source), str(target)], env=environment, timeout=120
    )
    assert ended.returncode == -signal.SIGKILL
    (folder,) = folders(tmp_path)
    assert folder.name.startswith(".out.mp4.") and not target.exists()
    upscaler, done = Counting(), []
    notes = enlarge_video(source, target, upscaler, options, progress=done.append, resumable=True)
    (frames,) = (note.fields["frames"] for note in notes)
    assert [note.code for note in notes] == ["note-resumed"]
    assert frames in (20, 40) and upscaler.count == 63 - frames
    assert sum(done) == 63 * 96 * 64
    enlarge_video(source, whole, Counting(), options, resumable=True)
    assert packets_of(target) == packets_of(whole)
    assert audio_of(target) == audio_of(whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out.mp4", "whole.mp4"]
    # And against a pass without parts: the same, but for more key frames.
    enlarge_video(source, tmp_path / "pass.mp4", Counting(), options)
    made, expected = frames_of(target), frames_of(tmp_path / "pass.mp4")
    assert [number_in(f) for f in made] == list(range(63))
    assert [f.time for f in made] == [f.time for f in expected]
    assert [f.time for f in made] == pytest.approx([float(t * BASE) for t in TIMES])
    assert audio_of(target) == audio_of(tmp_path / "pass.mp4")
    assert decoded_at(target) == decoded_at(tmp_path / "pass.mp4")
    keys = [number for number, frame in enumerate(made) if frame.key_frame]
    assert keys == [0, 20, 40, 60]
    with av.open(str(target)) as a, av.open(str(tmp_path / "pass.mp4")) as b:
        assert a.duration == b.duration
        assert a.streams.video[0].average_rate == b.streams.video[0].average_rate


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("mkv", VideoOptions(lossless=True)),
        ("mkv", VideoOptions(crf=8, start=Fraction("0.5"), duration=Fraction("2.9"))),
        ("webm", VideoOptions(crf=20)),
    ],
)
def test_interrupted_twice(tmp_path, short_parts, suffix, options):
    source = make(tmp_path / "in.mp4", TIMES)  # AAC is re-encoded for WebM
    target, whole = tmp_path / f"out.{suffix}", tmp_path / f"pass.{suffix}"
    for stop in (27, 24):  # 20 frames are whole after the first, 40 after the second
        with pytest.raises(KeyboardInterrupt):
            enlarge_video(source, target, Counting(stop), options, resumable=True)
    notes = enlarge_video(source, target, last := Counting(), options, resumable=True)
    assert (notes[-1].code, notes[-1].fields) == ("note-resumed", {"frames": 40})
    assert enlarge_video(source, whole, every := Counting(), options) == notes[:-1]
    assert last.count == every.count - 40
    made, expected = frames_of(target), frames_of(whole)
    assert [number_in(f) for f in made] == [number_in(f) for f in expected]
    assert [f.time for f in made] == [f.time for f in expected]
    assert audio_of(target) == audio_of(whole)
    for one, other in zip(made, expected, strict=True):
        error = np.abs(one.to_ndarray(format="gray").astype(int) - other.to_ndarray(format="gray"))
        assert error.max() <= (0 if options.lossless else 24) and error.mean() < 1
    assert not folders(tmp_path)


def test_only_the_same_conversion_resumes(tmp_path, short_parts):
    source, target = make(tmp_path / "in.mp4", TIMES, audio=False), tmp_path / "out.mp4"

    def interrupted():
        with pytest.raises(KeyboardInterrupt):
            enlarge_video(source, target, Counting(27), resumable=True)
        assert len(folders(tmp_path)) == 1

    interrupted()
    assert enlarge_video(source, target, Counting(), VideoOptions(crf=30), resumable=True) == []
    assert not folders(tmp_path)  # the parts of other options are removed
    interrupted()
    facts = source.stat()
    os.utime(source, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    assert enlarge_video(source, target, Counting(), resumable=True) == []
    interrupted()
    (part,) = folders(tmp_path)[0].glob("*.part")
    part.write_bytes(part.read_bytes()[:-1])  # a damaged part does not count
    assert enlarge_video(source, target, Counting(), resumable=True) == []
    assert not folders(tmp_path)


def test_parts_stay_where_they_are_of_use(tmp_path, short_parts, monkeypatch):
    whole = make(tmp_path / "whole.mkv", [512 * n for n in range(60)], audio=False)
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size * 7 // 10])
    with pytest.raises(UserError) as error:
        enlarge_video(source, target, Counting(), resumable=True)
    assert error.value.code == "video-truncated"
    assert len(folders(tmp_path)) == 1 and not target.exists()
    options = VideoOptions(keep_readable=True)
    notes = enlarge_video(source, target, Counting(), options, resumable=True)
    assert [note.code for note in notes] == ["note-video-truncated", "note-resumed"]
    assert not folders(tmp_path)
    target.unlink()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with pytest.raises(KeyboardInterrupt):
        enlarge_video(whole, target, Counting(27), resumable=True)
    monkeypatch.setattr("sr_experiments.upscale.video.parts.os.fsync", full)
    with pytest.raises(UserError) as error:
        enlarge_video(whole, target, Counting(), resumable=True)
    assert error.value.code == "cannot-write-part"
    assert error.value.message.fields["reason"] == "No space left on device"
    monkeypatch.undo()
    assert len(folders(tmp_path)) == 1 and not target.exists()


def test_the_command_says_how_to_resume_and_does(tmp_path, short_parts, monkeypatch, capsys):
    source, target = make(tmp_path / "in.mp4", TIMES, audio=False), tmp_path / "out.mp4"
    call, whole = [str(source), str(target), "--model", "bicubic"], Upscaler.frames
    counted = itertools.count(1)

    def stopping(upscaler, frames, progress):
        if next(counted) > 27:
            raise KeyboardInterrupt
        return whole(upscaler, frames, progress)

    monkeypatch.setattr(Upscaler, "frames", stopping)
    assert main(call) == 130
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "resumes a long video" in error
    monkeypatch.setattr(Upscaler, "frames", whole)
    assert main(call) == 0
    assert "resumed after 20 frames" in capsys.readouterr().out
    assert [number_in(f) for f in frames_of(target)] == list(range(63))
    assert not folders(tmp_path)


def test_two_at_once(tmp_path, short_parts):
    source, target = make(tmp_path / "in.mp4", TIMES, audio=False), tmp_path / "out.mp4"
    seen = []

    class Second(Counting):
        def frames(self, frames, progress=lambda pixels: None):
            if not seen:
                seen.append(1)
                with pytest.raises(UserError) as error:
                    enlarge_video(source, target, Counting(), resumable=True)
                assert error.value.code == "video-locked"
            return super().frames(frames, progress)

    assert enlarge_video(source, target, Second(), resumable=True) == []
    assert seen and not folders(tmp_path)
