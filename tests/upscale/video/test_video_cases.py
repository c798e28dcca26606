"""Files that people have: odd clocks, null frames, damage, many channels. Compared by value."""

import itertools
import random
import struct
from fractions import Fraction

import numpy as np
import pytest

from sr_experiments.core.errors import UserError
from sr_experiments.models.bicubic import Bicubic
from sr_experiments.upscale.__main__ import main
from sr_experiments.upscale.upscaler import Upscaler
from sr_experiments.upscale.video import parts
from sr_experiments.upscale.video.convert import enlarge_video

av = pytest.importorskip("av")
from test_video import audio_of, frames_of, make, number_in, numbered, steady  # noqa: E402


@pytest.fixture(scope="module")
def double():
    return Upscaler(Bicubic(2), 2)


def codes(notes):
    return [note.code for note in notes]


def times_of(path):
    return [frame.time for frame in frames_of(path)]


def encoded(path, codec, shown, *, rate=25, origin=0, audio=None, **settings):
    """A clip whose n-th frame is shown ``shown[n]`` ticks of its rate after ``origin``."""
    with av.open(str(path), "w") as made:
        stream = made.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, rate)
        for name, value in settings.items():
            setattr(stream.codec_context, name, value)
        sound = audio and made.add_stream(audio[0], rate=48000, layout=audio[1])
        for number, tick in enumerate(shown):
            frame = av.VideoFrame(96, 64, "yuv420p")
            for plane, values in zip(frame.planes, numbered(number), strict=True):
                rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
                rows[:, : plane.width] = values
            frame.pts, frame.time_base = tick + origin, Fraction(1, rate)
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
        if audio:
            for packet in tone(sound, (shown[-1] + 1) / rate):
                made.mux(packet)
    return path


def tone(stream, seconds):
    """440 Hz on each channel of a stream of audio, encoded."""
    context = stream.codec_context
    context.open(strict=False)
    count, size = context.layout.nb_channels, context.frame_size or 1024
    wave = (0.3 * np.sin(np.arange(int(seconds * 48000)) * 2 * np.pi * 440 / 48000)).astype("f4")
    resampler = av.AudioResampler(context.format, context.layout, 48000)
    for start in range(0, len(wave) - size, size):
        samples = np.repeat(wave[start : start + size], count)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout=context.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        for piece in resampler.resample(frame):
            yield from stream.encode(piece)
    yield from stream.encode(None)


@pytest.mark.parametrize("target", ["out.mkv", "out.mp4"])
def test_null_frames_of_avi(tmp_path, double, target):
    shown = [n for n in range(100) if n % 10 not in (3, 4, 5)]
    source = encoded(tmp_path / "in.avi", "mpeg4", shown, bit_rate=2_000_000)
    assert codes(enlarge_video(source, tmp_path / target, double)) == []
    assert times_of(tmp_path / target) == pytest.approx([n / 25 for n in shown], abs=0.001)
    assert [number_in(f) for f in frames_of(tmp_path / target)] == list(range(70))


def test_an_avi_that_ends_with_null_frames_is_whole(tmp_path, double):
    source = encoded(tmp_path / "in.avi", "mpeg4", range(50), bit_rate=2_000_000)
    data = bytearray(source.read_bytes())
    at = len(data)
    for _ in range(20):  # the last packets become empty ones
        at = data.rindex(b"00dc", 0, data.rindex(b"idx1") if at == len(data) else at)
        data[at : at + 4] = b"JUNK"
    source.write_bytes(data)
    assert "note-video-truncated" not in codes(enlarge_video(source, tmp_path / "o.mkv", double))


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_frames_out_of_order_in_avi(tmp_path, double, codec):
    source = encoded(
        tmp_path / "in.avi",
        codec,
        range(100),
        bit_rate=2_000_000,
        max_b_frames=2,
        audio=("libmp3lame", "stereo"),
    )
    for target in (tmp_path / "out.mkv", tmp_path / "out.mp4"):
        assert codes(enlarge_video(source, target, double)) == []
        times = times_of(target)
        numbers = [number_in(frame) for frame in frames_of(target)]
        assert numbers == sorted(numbers) and len(numbers) >= 97
        steps = [after - before for before, after in itertools.pairwise(times)]
        assert steps == pytest.approx([0.04] * len(steps), abs=0.002)


def test_an_avi_that_is_cut_short_is_refused(tmp_path, double):
    source = encoded(tmp_path / "in.avi", "mpeg4", range(100), bit_rate=2_000_000)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(UserError) as error:
        enlarge_video(source, tmp_path / "out.mkv", double)
    assert error.value.code == "video-truncated"


@pytest.mark.parametrize("seconds", [1, 5, 3600])
@pytest.mark.parametrize("target", ["out.mkv", "out.mp4"])
def test_a_clock_that_begins_late(tmp_path, double, seconds, target):
    source = encoded(
        tmp_path / "in.mkv", "libx264", range(50), origin=25 * seconds, options={"crf": "0"}
    )
    assert codes(enlarge_video(source, tmp_path / target, double)) == []
    found = times_of(tmp_path / target)
    assert [t - found[0] for t in found] == pytest.approx([n / 25 for n in range(50)], abs=0.002)
    assert found[0] < 0.1


def cut(path, share):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def test_a_late_clock_that_is_cut_short_is_refused(tmp_path, double):
    source = encoded(tmp_path / "in.mkv", "libx264", range(100), origin=250, options={"crf": "0"})
    cut(source, 0.7)
    with pytest.raises(UserError) as error:
        enlarge_video(source, tmp_path / "out.mkv", double)
    assert error.value.code == "video-truncated"


def with_one_dts_twice(path, given):
    """Copy a clip, the sixth packet of audio with the time of the fifth."""
    with av.open(str(given)) as read, av.open(str(path), "w") as made:
        streams = {s.index: made.add_stream_from_template(s) for s in read.streams}
        audio, last = 0, None
        for packet in read.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio":
                audio += 1
                if audio == 6:
                    packet.dts = packet.pts = last
                last = packet.dts
            packet.stream = streams[packet.stream.index]
            made.mux(packet)
    return path


@pytest.mark.parametrize(("count", "part"), [(50, 250), (60, 20)])
def test_two_packets_of_one_time(tmp_path, double, monkeypatch, count, part):
    monkeypatch.setattr(parts, "PART", part)
    plain = make(tmp_path / "plain.mkv", steady(count))
    source = with_one_dts_twice(tmp_path / "in.mkv", plain)
    assert codes(enlarge_video(source, tmp_path / "out.mp4", double, resumable=True)) == []
    assert len(frames_of(tmp_path / "out.mp4")) == count
    before, after = audio_of(plain), audio_of(tmp_path / "out.mp4")
    assert [content for content, _ in after] == [content for content, _ in before]
    offset = after[0][1] - before[0][1]
    late = [float(b - a - offset) for (_, a), (_, b) in zip(before, after, strict=True)]
    # The packet itself can be no better than the file tells.
    assert max(map(abs, late[:5] + late[6:])) <= 0.002


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_s24le", "pcm_s24be", "pcm_f32le", "pcm_u8"])
@pytest.mark.parametrize("layout", ["5.1", "7.1"])
def test_uncompressed_audio_of_many_channels(tmp_path, double, codec, layout):
    suffix = "wav.mkv" if codec == "pcm_u8" else "mov"
    source = encoded(
        tmp_path / f"in.{suffix}", "libx264", range(25), options={"crf": "0"}, audio=(codec, layout)
    )
    notes = enlarge_video(source, tmp_path / "out.webm", double)
    assert codes(notes) == ["note-sound-encoded-in-stereo"]
    assert notes[0].fields["channels"] == (6 if layout == "5.1" else 8)
    with av.open(str(tmp_path / "out.webm")) as made:
        pieces = [frame.to_ndarray() for frame in made.decode(audio=0)]
    left = np.concatenate(pieces, axis=1)[0][4800:38400]
    spectrum = np.abs(np.fft.rfft(left))
    assert abs(np.argmax(spectrum) * 48000 / len(left) - 440) < 2
    assert spectrum.max() ** 2 > 0.95 * (spectrum**2).sum() / 2
    assert np.abs(left).max() < 1.0


def damaged(path, begin=0.5, length=600, seed=0):
    data, at = bytearray(path.read_bytes()), int(path.stat().st_size * begin)
    data[at : at + length] = random.Random(seed).randbytes(length)
    path.write_bytes(data)
    return path


def test_a_gap_of_damage_is_noted(tmp_path, double):
    plain = encoded(tmp_path / "plain.mkv", "mpeg4", range(100), gop_size=5, bit_rate=400_000)
    expected = codes(enlarge_video(plain, tmp_path / "out.mkv", double))
    assert expected == []
    # Blocks whose heads are overwritten are passed over by the reader without a word.
    source = damaged(plain, length=6000)
    notes = {n.code: n for n in enlarge_video(source, tmp_path / "out.mkv", double)}
    times = times_of(tmp_path / "out.mkv")
    missing = sum(max(0.0, b - a - 0.041) for a, b in itertools.pairwise(times))
    assert missing > 0.1
    found = notes["note-frames-missing"].fields
    assert found["seconds"] == pytest.approx(missing, abs=0.05)
    gap = next(a for a, b in itertools.pairwise(times) if b - a > 0.05)
    assert found["first"] == pytest.approx(gap + 0.04, abs=0.03)


def test_gaps_of_a_variable_rate_are_not_damage(tmp_path, double):
    shown = list(itertools.accumulate(random.Random(0).choices([1, 2, 3, 9], k=60)))
    source = encoded(tmp_path / "in.mkv", "libx264", shown, options={"crf": "0"})
    assert codes(enlarge_video(source, tmp_path / "out.mkv", double)) == []


def test_hdr_and_other_tracks_are_noted(tmp_path, double):
    plain = encoded(tmp_path / "plain.mp4", "libx264", range(12), options={"crf": "0"})
    notes = enlarge_video(plain, tmp_path / "out.mp4", double)
    assert codes(notes) == []
    hdr = (
        "log-level=none:master-display=G(13250,34500)B(7500,3000)R(34000,16000)"
        "WP(15635,16450)L(10000000,1):max-cll=1000,400"
    )
    source = encoded(tmp_path / "in.mp4", "libx265", range(12), options={"x265-params": hdr})
    (note,) = enlarge_video(source, tmp_path / "out.mp4", double)
    assert (note.code, note.fields["names"]) == ("note-side-data-dropped", "HDR")


def test_what_can_be_known_before_is_known_before(tmp_path, double, monkeypatch):
    """A container that refuses a stream does so before the first frame is enlarged."""
    from av.error import InvalidDataError

    from sr_experiments.upscale.video.sink import VideoSink

    monkeypatch.setattr(parts, "PART", 20)
    source, enlarged = make(tmp_path / "in.mkv", steady(60)), []

    def refuse(sink, packet):
        raise InvalidDataError(1, "refused")

    with monkeypatch.context() as patch:
        patch.setattr(VideoSink, "_put_other", refuse)
        with pytest.raises(UserError) as error:
            enlarge_video(
                source, tmp_path / "o.mkv", double, progress=enlarged.append, resumable=True
            )
        assert error.value.code == "cannot-write"
        assert sum(enlarged) == 0
        # Where it fails at the end, the finished parts stay.
        patch.setattr(VideoSink, "rehearse", lambda sink, others: None)
        with pytest.raises(UserError):
            enlarge_video(source, tmp_path / "o.mkv", double, resumable=True)
    (note,) = enlarge_video(source, tmp_path / "o.mkv", double, resumable=True)
    assert note.fields["frames"] == 60
    assert not list(tmp_path.glob(".*"))


CRASHES = """
import os, sys
from sr_experiments.upscale.video import source
whole = source.VideoSource.__init__
def crash(self, path, *rest):
    if path.name == "b.mkv" and any("_work" in f.f_code.co_name for f in frames()):
        os.abort()
    whole(self, path, *rest)
def frames():
    frame = sys._getframe()
    while frame:
        yield frame
        frame = frame.f_back
source.VideoSource.__init__ = crash
"""


def test_a_crash_of_a_library_does_not_end_a_batch(tmp_path, capfd, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b", "c"):
        make(folder / f"{name}.mkv", steady(5), audio=False)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(CRASHES)  # in the process that enlarges
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=":")
    assert main([str(folder), str(tmp_path / "out"), "--model", "bicubic"]) == 1
    said = capfd.readouterr()
    assert "2 of 3 videos written" in said.out
    (line,) = [line for line in said.err.splitlines() if line.startswith("error:")]
    assert "b.mkv: a library crashed on it" in line
    assert sorted(p.name for p in (tmp_path / "out").glob("[a-z]*")) == ["a.mkv", "c.mkv"]
    assert len(frames_of(tmp_path / "out" / "c.mkv")) == 5


def test_what_a_folder_holds_besides_is_counted(tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    from PIL import Image

    for suffix in ("png", "jfif", "tga", "pgm", "avif", "jp2"):
        Image.new("L", (8, 8)).save(folder / f"{suffix}.{suffix}")
    for name in ("a.txt", "b.txt", "c.heic", "none", ".hidden"):
        (folder / name).touch()
    (folder / "dangling.png").symlink_to("nowhere.png")
    (folder / "folder.png").mkdir()
    assert main([str(folder), str(tmp_path / "out"), "--model", "bicubic"]) == 0
    said = capsys.readouterr().out
    assert "6 of 6 images written" in said
    (line,) = [line for line in said.splitlines() if line.startswith("passed over")]
    assert "5 files" in line
    for part in ("2 .txt", "1 .heic", "1 without suffix", "1 links to nowhere"):
        assert part in line


@pytest.mark.parametrize("kind", ["avi", "mkv"])
def test_sizes_in_headers(tmp_path, kind):
    from sr_experiments.upscale.video.completeness import is_truncated

    codec = "mpeg4" if kind == "avi" else "libx264"
    path = encoded(tmp_path / f"in.{kind}", codec, range(20))
    name = {"avi": "avi", "mkv": "matroska,webm"}[kind]
    assert is_truncated(path, name) is False
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    assert is_truncated(path, name) is True
    path.write_bytes(data + b"trailing bytes")
    assert is_truncated(path, name) is False
    if kind == "avi":
        unfinished = data[:4] + struct.pack("<I", 0) + data[8:]
    else:
        at = data.index(bytes.fromhex("18538067")) + 4
        unfinished = data[:at] + b"\x01" + b"\xff" * 7 + data[at + 8 :]
    path.write_bytes(unfinished)
    assert is_truncated(path, name) is None
