"""Enlarged videos against their sources: frames, times, colours and audio."""

import itertools
import threading
from fractions import Fraction

import numpy as np
import pytest
import torch

from sr_experiments.core.errors import UserError
from sr_experiments.imaging.resize import imresize
from sr_experiments.models.bicubic import Bicubic
from sr_experiments.models.vdsr import VDSR
from sr_experiments.upscale.__main__ import main
from sr_experiments.upscale.upscaler import Upscaler
from sr_experiments.upscale.video.convert import enlarge_video, measure_video
from sr_experiments.upscale.video.options import VideoOptions

av = pytest.importorskip("av")

WIDTH, HEIGHT, RATE = 96, 64, 25
BASE = Fraction(1, 12800)
CAPTIONS = ("00:00:00,200 --> 00:00:00,600", "00:00:01,000 --> 00:00:01,400")
#: Red's and blue's share of luma.
SHARES = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


@pytest.fixture(scope="module")
def double():
    return Upscaler(Bicubic(2), 2)


def numbered(number, height=HEIGHT, width=WIDTH):
    """Y, Cb and Cr with the number's bits as bright and dark blocks."""
    y = np.full((height, width), 60, np.uint8)
    for bit in range(8):
        if number >> bit & 1:
            y[8:24, 4 + 11 * bit : 12 + 11 * bit] = 200
    columns, rows = np.arange(width // 2), np.arange(height // 2)[:, None]
    cb = (128 + 25 * np.sin(columns / 9 + rows / 11)).astype(np.uint8)
    cr = (128 + 25 * np.cos(columns / 7 - rows / 13)).astype(np.uint8)
    return y, cb, cr


def number_in(frame):
    """What the blocks say, at any size."""
    y = frame.to_ndarray(format="gray")
    unit = y.shape[1] / WIDTH
    return sum(
        (int(y[int(16 * unit), int((8 + 11 * bit) * unit)]) > 128) << bit for bit in range(8)
    )


def make(path, times, *, planes=numbered, audio=True, subtitles=False, rotation=None, **tags):
    """A clip whose frames are shown at ``times`` (in BASE), the last for as long as before."""
    kind = {"wmv": "asf"}.get(path.suffix[1:])
    codec = "wmv2" if path.suffix == ".wmv" else "vp9" if path.suffix == ".webm" else "h264"
    fast = {"movflags": "faststart"} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", format=kind, container_options=fast) as made:
        made.metadata["title"] = "A clip"
        if path.suffix == ".mkv":
            second = {"id": 1, "start": 0, "end": 1000, "time_base": Fraction(1, 1000)}
            made.set_chapters([second | {"metadata": {"title": "First"}}])
        rate = 30 if path.suffix == ".wmv" else RATE
        base = Fraction(1, rate) if path.suffix in (".wmv", ".avi") else BASE
        codec = {"h264": "libx264", "vp9": "libvpx-vp9"}.get(codec, codec)
        video = made.add_stream(codec, rate=rate, time_base=base)
        y, _, _ = planes(0)
        video.height, video.width = y.shape
        context = video.codec_context
        if codec == "wmv2":
            context.bit_rate = 2_000_000
        else:
            context.options = {"crf": "0", "preset": "veryfast", "cpu-used": "8"}
        for name, value in tags.items():
            setattr(context, name, value)
        if rotation is not None:
            video.set_display_rotation(*rotation)
        if audio:
            # FFmpeg's WMA encoder wants a rate of bits.
            codec = {".webm": "libopus", ".wmv": "wmav2"}.get(path.suffix, "aac")
            track = made.add_stream(codec, rate=48000, layout="stereo", bit_rate=96_000)
        if subtitles:
            text = path.with_suffix(".srt")
            text.write_text("".join(f"{n}\n{w}\nWords {n}\n\n" for n, w in enumerate(CAPTIONS, 1)))
            with av.open(str(text)) as given:
                captions = made.add_stream_from_template(given.streams[0])
                for packet in [p for p in given.demux() if p.size]:
                    packet.stream = captions
                    made.mux(packet)
        span = times[-1] + (times[-1] - times[-2])
        for number, time in enumerate(times):
            frame = av.VideoFrame(video.width, video.height, "yuv420p")
            for plane, values in zip(frame.planes, planes(number), strict=True):
                rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
                rows[:, : plane.width] = values
            for name, value in tags.items():
                if name.startswith("color"):
                    setattr(frame, name, value)
            end = times[number + 1] if number + 1 < len(times) else span
            frame.pts, frame.time_base = time if base == BASE else number, base
            frame.duration = end - time if base == BASE else 1
            made.mux(video.encode(frame))
        made.mux(video.encode(None))
        if audio:
            total = int(span * BASE * 48000)
            tone = (0.3 * np.sin(np.arange(total) * 0.05)).astype(np.float32)
            track.codec_context.open(strict=False)
            step = track.codec_context.frame_size or 1024
            fifo = av.AudioFifo()
            whole = av.AudioFrame.from_ndarray(tone[None], format="flt", layout="mono")
            whole.sample_rate, whole.pts = 48000, 0
            resampler = av.AudioResampler(
                track.codec_context.format, track.codec_context.layout, 48000
            )
            for piece in resampler.resample(whole):
                piece.pts = None
                fifo.write(piece)
            sample = 0
            while (part := fifo.read(step, partial=True)) is not None:
                part.pts, part.time_base = sample, Fraction(1, 48000)
                sample += part.samples
                made.mux(track.encode(part))
            made.mux(track.encode(None))
    return path


def steady(count):
    return [number * 512 for number in range(count)]


def frames_of(path):
    with av.open(str(path)) as opened:
        return list(opened.decode(video=0))


def audio_of(path):
    with av.open(str(path)) as opened:
        return [(bytes(p), p.pts * p.time_base) for p in opened.demux(audio=0) if p.size]


def captions_of(path):
    with av.open(str(path)) as opened:
        found = [p for p in opened.demux(subtitles=0) if p.size]
        return [
            (bytes(p), float(p.pts * p.time_base), float(p.duration * p.time_base)) for p in found
        ]


def reference(frame, matrix, full):
    """RGB of a 4:2:0 frame in float64, by the inverse of the definition of Y, Cb and Cr."""
    planes = [
        np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[:, : p.width].astype(np.float64)
        for p in frame.planes
    ]
    height, width = planes[0].shape
    columns, rows = np.arange(width) / 2, np.arange(height) / 2 - 0.25  # left, and between rows
    for index in (1, 2):
        wide = np.stack([np.interp(columns, np.arange(width // 2), r) for r in planes[index]])
        planes[index] = np.stack(
            [np.interp(rows, np.arange(height // 2), c) for c in wide.T], axis=1
        )
    red, blue = SHARES[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    forth = np.stack(
        [
            luma,
            (np.array([0, 0, 1]) - luma) / (2 * (1 - blue)),
            (np.array([1, 0, 0]) - luma) / (2 * (1 - red)),
        ]
    )
    y, cb, cr = planes
    scaled = [y / 255, (cb - 128) / 255, (cr - 128) / 255]
    if not full:
        scaled = [(y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224]
    rgb = np.einsum("ij,jhw->ihw", np.linalg.inv(forth), np.stack(scaled))
    return (rgb * 255).round().clip(0, 255)


def test_times_order_and_audio(tmp_path, double):
    source = make(tmp_path / "in.mp4", steady(50))
    for suffix in ("mp4", "mkv"):
        target = tmp_path / f"out.{suffix}"
        done: list[int] = []
        crf = VideoOptions(crf=8)
        assert enlarge_video(source, target, double, crf, progress=done.append) == []
        assert sum(done) == measure_video(source) == 50 * WIDTH * HEIGHT
        made = frames_of(target)
        assert [number_in(f) for f in made] == list(range(50))
        assert {(f.width, f.height) for f in made} == {(2 * WIDTH, 2 * HEIGHT)}
        before, after = audio_of(source), audio_of(target)
        assert [data for data, _ in before] == [data for data, _ in after]
        assert len(before) > 90
        # AAC begins before zero, which Matroska cannot store: frames and audio begin later by that.
        shift = after[0][1] - before[0][1]
        assert shift == (0 if suffix == "mp4" else Fraction(21, 1000) + Fraction(1, 3000))
        given = [f.time + float(shift) for f in frames_of(source)]
        assert [f.time for f in made] == pytest.approx(given, abs=1e-3)
        with av.open(str(source)) as a, av.open(str(target)) as b:
            assert abs(a.duration - b.duration) <= av.time_base / RATE
            assert b.streams.video[0].average_rate == RATE
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out.mkv", "out.mp4"]
    content = (tmp_path / "out.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # a browser can begin at once


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
def test_variable_rate_and_rotation(tmp_path, double, suffix):
    steps = itertools.cycle([512, 384, 1280, 256])
    times = list(itertools.accumulate(itertools.islice(steps, 23), initial=0))
    source = make(
        tmp_path / "in.mp4",
        times,
        rotation=(90, True),
        sample_aspect_ratio=Fraction(4, 3),
        audio=False,
    )
    target = tmp_path / f"out.{suffix}"
    notes = enlarge_video(source, target, double, VideoOptions(crf=8))
    assert [note.code for note in notes] == ["note-pixels-made-square"] * (suffix == "webm")
    before, after = frames_of(source), frames_of(target)
    assert [number_in(f) for f in after] == list(range(24))
    finest = 0 if suffix == "mp4" else 5.1e-4  # Matroska's milliseconds
    assert [f.time for f in after] == pytest.approx([t * BASE for t in times], abs=finest)
    matrices = [bytes(f[0].side_data["DISPLAYMATRIX"]) for f in (before, after)]
    assert matrices[0] == matrices[1] and before[0].rotation == after[0].rotation
    with av.open(str(source)) as a, av.open(str(target)) as b:
        assert abs(a.duration - b.duration) <= av.time_base * 512 * BASE
        shown = b.streams.video[0]
        assert shown.sample_aspect_ratio == Fraction(1 if suffix == "webm" else "4/3")
        assert (shown.width, shown.height) == (256 if suffix == "webm" else 192, 128)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 5, 9])
def test_colours_are_the_references(tmp_path, double, matrix, full):
    tags = {"colorspace": matrix, "color_range": 1 + full, "color_primaries": 1, "color_trc": 13}
    source = make(tmp_path / "in.mp4", steady(4), audio=False, **tags)
    given = frames_of(source)
    assert {(int(f.colorspace), int(f.color_range)) for f in given} == {(matrix, 1 + full)}
    large = [imresize(torch.from_numpy(reference(f, matrix, full)), 2) for f in given]
    expected = [rgb.clamp(0, 255).numpy() for rgb in large]
    enlarge_video(source, tmp_path / "out.mkv", double, VideoOptions(lossless=True))
    for frame, rgb in zip(frames_of(tmp_path / "out.mkv"), expected, strict=True):
        assert frame.format.name == "bgr0" and int(frame.color_trc) == 13
        made = frame.to_ndarray(format="rgb24").transpose(2, 0, 1)
        assert np.abs(made - rgb).max() <= 1
    enlarge_video(source, tmp_path / "out.mp4", double, VideoOptions(crf=0))
    for frame, rgb in zip(frames_of(tmp_path / "out.mp4"), expected, strict=True):
        assert (int(frame.colorspace), int(frame.color_range)) == (matrix, 1 + full)
        assert (int(frame.color_primaries), int(frame.color_trc)) == (1, 13)
        # Chroma at half the size, and three roundings, where colours are not clipped.
        inner = ((rgb > 20) & (rgb < 235)).all(0)
        error = np.abs(reference(frame, matrix, full) - rgb)[:, inner]
        assert inner.mean() > 0.3 and error.mean() < 0.7 and np.quantile(error, 0.99) <= 3


def test_untagged_colours_are_tagged(tmp_path, double):
    """Players take untagged rows below 720 for BT.601 and others for BT.709."""
    source = make(tmp_path / "in.mp4", steady(2), audio=False)
    assert int(frames_of(source)[0].colorspace) == 2
    enlarge_video(source, tmp_path / "out.mp4", double)
    frame = frames_of(tmp_path / "out.mp4")[0]
    assert (int(frame.colorspace), int(frame.color_range)) == (6, 1)


def test_a_frame_is_enlarged_as_an_image_is(tmp_path):
    torch.manual_seed(2)
    upscaler = Upscaler(VDSR(2, 3, 4).eval(), 2, self_ensemble=True, denoise=0.3)
    source = make(tmp_path / "in.mp4", steady(2), audio=False)
    enlarge_video(source, tmp_path / "out.mkv", upscaler, VideoOptions(lossless=True))
    for given, made in zip(frames_of(source), frames_of(tmp_path / "out.mkv"), strict=True):
        rgb = torch.from_numpy(reference(given, 6, False).astype(np.uint8))
        expected = upscaler.frames(rgb[None])[0].permute(1, 2, 0).numpy().astype(int)
        assert np.abs(made.to_ndarray(format="rgb24") - expected).max() <= 1


@pytest.mark.parametrize("suffix", ["mov", "avi", "mkv", "webm", "wmv"])
def test_containers_in(tmp_path, double, suffix):
    source = make(tmp_path / f"in.{suffix}", steady(30))
    target = tmp_path / ("out.webm" if suffix == "webm" else "out.mkv")
    notes = enlarge_video(source, target, double, VideoOptions(crf=8))
    assert [number_in(f) for f in frames_of(target)] == list(range(30))
    if suffix == "wmv":
        fields = {"format": "matroska", "codec": "wmav2", "name": "AAC"}
        assert [(n.code, n.fields) for n in notes] == [("note-sound-encoded", fields)]
        assert_same_tone(source, target)
    else:
        assert notes == []
        assert [d for d, _ in audio_of(source)] == [d for d, _ in audio_of(target)]
    with av.open(str(source)) as a, av.open(str(target)) as b:
        assert abs(a.duration - b.duration) <= 2 * av.time_base / RATE


def test_subtitles_chapters_and_title(tmp_path, double):
    source = make(tmp_path / "in.mkv", steady(50), audio=False, subtitles=True)
    target = tmp_path / "out.mkv"
    assert enlarge_video(source, target, double) == []
    assert captions_of(target) == [(b"Words 1", 0.2, 0.4), (b"Words 2", 1.0, 0.4)]
    with av.open(str(target)) as made:
        assert made.metadata["title"] == "A clip"
        assert [c["metadata"]["title"] for c in made.chapters()] == ["First"]
    part = VideoOptions(start=Fraction("0.4"), duration=Fraction("0.5"))
    enlarge_video(source, target, double, part)
    assert captions_of(target) == [(b"Words 1", 0.0, 0.2)]
    notes = enlarge_video(source, tmp_path / "out.mp4", double)
    assert [note.code for note in notes] == ["note-subtitles-dropped"]
    assert notes[0].fields["codec"] == "subrip"


@pytest.mark.parametrize(
    "kind",
    [
        "yuv420p",
        "yuvj422p",
        "yuv444p",
        "yuv411p",
        "yuv420p10le",
        "nv12",
        "p010le",
        "yuyv422",
        "gray",
        "gray10le",
        "rgb24",
        "bgra",
        "gbrp",
        "yuva420p",
    ],
)
def test_pixel_formats(kind):
    """Three bars, by swscale from RGB; chroma near their edges belongs to both."""
    from sr_experiments.upscale.video.frame_colour import colour_of, to_rgb

    bars = np.zeros((16, 99, 3), np.uint8)
    for index, value in enumerate([(200, 60, 90), (30, 160, 220), (120, 120, 50)]):
        bars[:, 33 * index : 33 * index + 33] = value if "gray" not in kind else 3 * [value[0]]
    full = kind.startswith(("yuvj", "gray"))
    made = av.VideoFrame.from_ndarray(bars, format="rgb24").reformat(
        format=kind, dst_colorspace="ITU709", dst_color_range="JPEG" if full else "MPEG"
    )
    if made.format.name.startswith(("yuv", "nv", "p0")):
        made.colorspace = 1
    error = np.abs(to_rgb(made, colour_of(made)).transpose(1, 2, 0).astype(int) - bars)
    assert max(error[:, 33 * i + 8 : 33 * i + 25].max() for i in range(3)) <= 2


def test_ten_bits_become_eight(tmp_path, double):
    with av.open(str(tmp_path / "in.mkv"), "w") as made:
        video = made.add_stream("ffv1", rate=RATE)
        video.width, video.height, video.pix_fmt = 16, 12, "gray10le"
        grey = np.linspace(0, 1023, 16 * 12).reshape(12, 16).astype(np.uint16)
        frame = av.VideoFrame.from_ndarray(grey, format="gray10le")
        frame.pts = 0
        made.mux([*video.encode(frame), *video.encode(None)])
    target = tmp_path / "out.mkv"
    notes = enlarge_video(tmp_path / "in.mkv", target, double, VideoOptions(lossless=True))
    assert [(n.code, n.fields) for n in notes] == [("note-video-depth-reduced", {"bits": 10})]
    large = imresize(torch.from_numpy(grey / 1023 * 255), 2).clamp(0, 255).numpy()
    shown = frames_of(target)[0].to_ndarray(format="rgb24")
    # Rounded before and after, and bicubic weights add up to more than one in size.
    assert np.abs(shown - large[..., None]).max() <= 1.25


def test_chroma_is_written_where_players_look_for_it():
    """On a ramp, each chroma sample is that of its own column, and between its two rows."""
    from sr_experiments.upscale.video.frame_colour import Colour, from_rgb

    ramp = np.zeros((3, 32, 40), np.uint8)
    ramp[2] = 10 + 5 * np.arange(40) + np.arange(32)[:, None]
    cb = 128 + ramp[2].astype(float) * (1 - 0.0722) / (2 * (1 - 0.0722)) * 224 / 255
    for centred in (False, True):
        frame = from_rgb(ramp, Colour(1, False, 1, 1, centred))
        made = np.frombuffer(frame.planes[1], np.uint8).reshape(16, -1)[:, :20]
        there = (cb[::2] + cb[1::2]) / 2
        there = (there[:, ::2] + there[:, 1::2]) / 2 if centred else there[:, ::2]
        assert np.abs(made - there)[:, 1:].max() <= 0.5 + 1e-4


def test_audio_that_the_container_does_not_support_is_reencoded(tmp_path, double):
    source = make(tmp_path / "in.mp4", steady(25))
    notes = enlarge_video(source, tmp_path / "out.webm", double)
    assert [note.code for note in notes] == ["note-sound-encoded"]
    assert notes[0].fields == {"format": "webm", "codec": "aac", "name": "Opus"}
    assert_same_tone(source, tmp_path / "out.webm")


def assert_same_tone(source, target):
    """The same pitch and loudness, for the same time."""
    spectra = []
    for path in (source, target):
        with av.open(str(path)) as opened:
            samples = np.concatenate([f.to_ndarray()[0] for f in opened.decode(audio=0)])
        spectra.append((len(samples), np.abs(np.fft.rfft(samples[9600:33600]))))
    (length, given), (made, heard) = spectra
    assert abs(length - made) < 0.1 * 48000
    assert given.argmax() == heard.argmax() and heard.max() == pytest.approx(given.max(), rel=0.1)


def test_a_part(tmp_path, capsys):
    source = make(tmp_path / "in.mp4", steady(50))
    call = [str(source), str(tmp_path / "out.mp4"), "--model", "bicubic", "--crf", "8"]
    assert main([*call, "--start", "0.7", "--duration", "0.52"]) == 0
    made = frames_of(tmp_path / "out.mp4")
    # Frame n is shown at 0.04 n: 18 at 0.72 is the first from 0.7 on, 30 at 1.2 the last.
    assert [number_in(f) for f in made] == list(range(18, 31))
    assert [f.time for f in made] == pytest.approx([0.02 + 0.04 * n for n in range(13)])
    begin, end = Fraction("0.7"), Fraction("1.22")
    wanted = [(data, time - begin) for data, time in audio_of(source) if begin <= time < end]
    part = audio_of(tmp_path / "out.mp4")
    assert len(part) > 20 and [d for d, _ in part] == [d for d, _ in wanted]
    assert [float(t) for _, t in part] == pytest.approx([float(t) for _, t in wanted], abs=1e-4)
    assert main([*call, "--overwrite", "--start", "9"]) == 1
    error = capsys.readouterr().err
    assert "--start 9" in error and "2.00 seconds" in error and error.count("\n") == 1


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "wmv"])
def test_cut_short(tmp_path, capsys, suffix):
    whole = make(tmp_path / f"whole.{suffix}", steady(100), planes=noisy)
    source = tmp_path / f"in.{suffix}"
    end = whole.stat().st_size * 6 // 10
    if suffix == "avi":  # between two frames, so that none is broken
        end = whole.read_bytes().rfind(b"00dc", 0, end)
    source.write_bytes(whole.read_bytes()[:end])
    target = tmp_path / "out.mkv"
    call = [str(source), str(target), "--model", "bicubic"]
    assert main(call) == 1
    error = capsys.readouterr().err
    assert "cut short" in error and "seconds can be read" in error and error.count("\n") == 1
    assert {p.name for p in tmp_path.iterdir()} == {whole.name, source.name}
    assert main([*call, "--duration", "1"]) == 0  # that much is there
    assert "cut short" not in capsys.readouterr().out
    assert main([*call, "--keep-readable", "--overwrite"]) == 0
    assert "cut short" in capsys.readouterr().out
    count, rate = len(frames_of(target)), 30 if suffix == "wmv" else RATE
    told = float(error.split("only ")[1].split()[0])
    assert 40 < count < 80 and abs(count / rate - told) < 0.2 and " of 4." in error


def noisy(number):
    y, cb, cr = numbered(number)
    y = y + np.random.default_rng(number).integers(0, 30, y.shape, dtype=np.uint8)
    return y, cb, cr


def test_files_that_are_no_videos(tmp_path, double):
    late = make(tmp_path / "late.mp4", steady(30))
    content = late.read_bytes()
    # An index at the end, as most programs write it, and the end missing.
    moov = content.index(b"moov") - 4
    size = int.from_bytes(content[moov : moov + 4], "big")
    (tmp_path / "a_index.mp4").write_bytes(content[:moov] + content[moov + size : -100])
    (tmp_path / "b_text.mp4").write_text("These are words.\n" * 99)
    (tmp_path / "c_empty.mkv").write_bytes(b"")
    # A list of other files, which FFmpeg would follow.
    (tmp_path / "d_list.mp4").write_text("ffconcat version 1.0\nfile late.mp4\n")
    with av.open(str(tmp_path / "d_list.mp4")) as followed:
        assert followed.streams.video
    for name, code in {
        "a_index.mp4": "video-index-missing",
        "b_text.mp4": "video-unreadable",
        "c_empty.mkv": "video-empty",
        "d_list.mp4": "video-unreadable",
    }.items():
        with pytest.raises(UserError) as error:
            enlarge_video(tmp_path / name, tmp_path / "out" / name, double)
        assert error.value.code == code
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("in.mp4 out.avi", "can be written as .mp4, .mkv, .webm"),
        ("in.mp4 out.png", "can be written as .mp4, .mkv, .webm"),
        ("in.mp4 out.mp4 --lossless", ".mkv only"),
        ("in.mp4 out.mkv --lossless --crf 3", "exclude each other"),
        ("in.mp4 out.mp4 --crf 60", "at most 51"),
        ("in.mp4 out.mp4 --crf x", "--crf: x"),
        ("in.mp4 out.mp4 --start -1", "--start"),
        ("in.mp4 there.mp4", "--overwrite replaces"),
        ("in.mp4 in.mp4 --overwrite", "would replace"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.mp4").write_bytes(b"1")
    (tmp_path / "there.mp4").write_bytes(b"mine")
    assert main([*arguments.split(), "--model", "bicubic"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and says in error
    assert (tmp_path / "there.mp4").read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_of_both(tmp_path, double):
    (tmp_path / "in").mkdir()
    make(tmp_path / "in" / "a.mov", steady(3))
    make(tmp_path / "in" / "b.avi", steady(3))
    assert main([str(tmp_path / "in"), str(tmp_path / "out"), "--model", "bicubic"]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.mp4", "b.mkv"]


def test_odd_sides(tmp_path):
    source = make(tmp_path / "in.mp4", steady(2), audio=False)
    upscaler = Upscaler(Bicubic(2), Fraction(97, 96))
    assert upscaler.size(HEIGHT, WIDTH) == (65, 97)
    notes = enlarge_video(source, tmp_path / "out.mp4", upscaler)
    assert [note.code for note in notes] == ["note-sides-made-even"]
    assert notes[0].fields == {"before": "97x65", "after": "96x64"}
    assert enlarge_video(source, tmp_path / "out.webm", upscaler) == []
    assert (frames_of(tmp_path / "out.webm")[0].width) == 97


def test_a_failure_on_the_way_leaves_nothing(tmp_path, double):
    source = make(tmp_path / "in.mp4", steady(30))
    before = threading.active_count()

    def fail(pixels):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enlarge_video(source, tmp_path / "out.mp4", double, progress=fail)
    with pytest.raises(UserError) as error:
        enlarge_video(source, tmp_path / "out.mp4", double, max_pixels=96 * 64 - 1)
    assert error.value.code == "video-too-large"
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]
    assert threading.active_count() == before


def test_a_batch_changes_nothing(tmp_path, double):
    source = make(tmp_path / "in.mp4", steady(23))
    for name, upscaler in (("a", double), ("b", Upscaler(Bicubic(2), 2, batch=5))):
        enlarge_video(source, tmp_path / f"{name}.mp4", upscaler)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
