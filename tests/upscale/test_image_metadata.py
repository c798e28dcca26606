"""Metadata never costs the pixels, and is not applied twice; what is dropped is noted."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageSequence, PngImagePlugin

from sr_experiments.imaging.io import read_image
from sr_experiments.models.bicubic import Bicubic
from sr_experiments.upscale.convert_image import enlarge_file
from sr_experiments.upscale.upscaler import Upscaler

RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (24, 32, 3), dtype=np.uint8)
SUFFIXES = ["png", "jpg", "webp", "tif"]
ARTIST, GPS, EXIF, ORIENTATION, WIDTH = 315, 0x8825, 0x8769, 0x0112, 0xA002


@pytest.fixture(scope="module")
def double():
    return Upscaler(Bicubic(2), 2)


def enlarged(source, target, upscaler):
    """Enlarge, check the pixels of the result, and return its notes as text."""
    Image.fromarray(read_image(source)).save(source.with_name("plain.png"))
    enlarge_file(
        source.with_name("plain.png"), target.with_name("expected" + target.suffix), upscaler
    )
    notes = enlarge_file(source, target, upscaler)
    expected = read_image(target.with_name("expected" + target.suffix))
    assert np.array_equal(read_image(target), expected)
    return [str(note) for note in notes]


def ascii_entry(tag, text):
    return tag, 2, len(text) + 1, text.encode() + b"\0"


def rational_entry(tag, *parts):
    return tag, 5, 1, struct.pack("<2I", *(part & 0xFFFFFFFF for part in parts))


def exif_of(*entries):
    """EXIF made by hand: one directory of (tag, type, count, bytes)."""
    body, data, at = b"", b"", 8 + 2 + 12 * len(entries) + 4
    for tag, kind, count, content in sorted(entries):
        value = content.ljust(4, b"\0") if len(content) <= 4 else struct.pack("<I", at + len(data))
        data += content if len(content) > 4 else b""
        body += struct.pack("<HHI", tag, kind, count) + value
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries))
    return b"Exif\0\0" + head + body + b"\0" * 4 + data


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["artist", "gps", "both", "nested"])
def test_tags_are_carried_into_every_format(tmp_path, double, suffix, kind):
    exif = Image.Exif()
    if kind != "gps":
        exif[ARTIST] = "me"
    if kind in ("gps", "both"):
        exif.get_ifd(GPS).update({1: "N", 2: (48.0, 6.0, 0.0)})
    if kind == "nested":
        exif.get_ifd(EXIF).update({WIDTH: 32, 0xA003: 24, 0x9003: "2026:01:01 00:00:00"})
    Image.fromarray(RGB).save(tmp_path / "in.jpg", exif=exif, quality=100)
    target = tmp_path / f"out.{suffix}"
    assert enlarged(tmp_path / "in.jpg", target, double) == []
    with Image.open(target) as seen:
        found = seen.getexif()
        assert found.get(ARTIST) == (None if kind == "gps" else "me")
        if kind in ("gps", "both"):
            assert tuple(map(float, found.get_ifd(GPS)[2])) == (48.0, 6.0, 0.0)
        if kind == "nested":
            assert found.get_ifd(EXIF)[WIDTH] == 64
            assert found.get_ifd(EXIF)[0x9003] == "2026:01:01 00:00:00"


def test_a_described_tiff_stays_one(tmp_path, double):
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'></x:xmpmeta>"
    Image.fromarray(RGB).save(
        tmp_path / "in.tif", description="a cat", software="s", tiffinfo={700: xmp}
    )
    assert enlarged(tmp_path / "in.tif", tmp_path / "out.tif", double) == []
    with Image.open(tmp_path / "out.tif") as seen:
        assert seen.tag_v2[270] == "a cat" and seen.tag_v2[305] == "s"
        assert seen.info["compression"] == "tiff_adobe_deflate"
        assert bytes(seen.tag_v2[700]) == xmp


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "odd",
    [
        ascii_entry(282, "three hundred"),
        rational_entry(33434, -1, 30),
        rational_entry(282, -300, -1),
        (37121, 3, 70000, struct.pack("<I", 40)),  # more values than the file has bytes
    ],
)
def test_odd_tags_are_dropped_and_the_others_kept(tmp_path, double, suffix, odd):
    exif = exif_of(ascii_entry(ARTIST, "somebody"), odd)
    Image.fromarray(RGB).save(tmp_path / "in.jpg", exif=exif, quality=100)
    target = tmp_path / f"out.{suffix}"
    notes = enlarged(tmp_path / "in.jpg", target, double)
    assert len(notes) <= 1 and all("EXIF" in note for note in notes)
    with Image.open(target) as seen:
        assert seen.getexif()[ARTIST] == "somebody"


@pytest.mark.parametrize("content", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0abc"])
def test_damaged_exif_does_not_cost_the_image(tmp_path, double, content):
    Image.fromarray(RGB).save(tmp_path / "in.jpg", exif=content, quality=100)
    for suffix in SUFFIXES:
        enlarged(tmp_path / "in.jpg", tmp_path / f"out.{suffix}", double)


def raw_profile(kind, data):
    lines = [data.hex()[i : i + 72] for i in range(0, 2 * len(data), 72)]
    return "\n".join(["", kind, f"{len(data):8}", *lines, ""])


def test_an_orientation_as_text_is_applied_once(tmp_path, double):
    text = PngImagePlugin.PngInfo()
    exif = exif_of((ORIENTATION, 3, 1, struct.pack("<H", 6)), ascii_entry(ARTIST, "somebody"))
    text.add_text("Raw profile type exif", raw_profile("exif", exif))
    text.add_text("Title", "kept")
    Image.fromarray(RGB).save(tmp_path / "in.png", pnginfo=text)
    assert read_image(tmp_path / "in.png").shape == (32, 24, 3)
    for suffix in SUFFIXES:
        enlarged(tmp_path / "in.png", tmp_path / f"out.{suffix}", double)
        with Image.open(tmp_path / f"out.{suffix}") as seen:
            assert seen.size == (48, 64)
            assert seen.getexif().get(ORIENTATION, 1) == 1
            assert seen.getexif()[ARTIST] == "somebody"
            assert not [key for key in seen.info if "Raw profile" in str(key)]
            if suffix == "png":
                assert seen.text["Title"] == "kept"


def test_an_orientation_in_xmp_is_applied_once(tmp_path, double):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    Image.fromarray(RGB).save(tmp_path / "in.jpg", xmp=xmp, quality=100)
    for suffix in SUFFIXES:
        enlarged(tmp_path / "in.jpg", tmp_path / f"out.{suffix}", double)
        height, width, _ = read_image(tmp_path / "in.jpg").shape
        assert read_image(tmp_path / f"out.{suffix}").shape == (2 * height, 2 * width, 3)


@pytest.mark.parametrize("kind", ["zTXt", "iTXt", "tEXt", "iCCP"])
def test_large_texts_and_profiles_of_a_png_are_left_out(tmp_path, double, kind):
    body = b"x" * 3_000_000
    content = {
        "zTXt": b"Comment\0\0" + zlib.compress(body),
        "iTXt": b"Comment\0\1\0\0\0" + zlib.compress(body),
        "tEXt": b"Comment\0" + body,
        "iCCP": b"Profile\0\0" + zlib.compress(body),
    }[kind]
    Image.fromarray(RGB).save(tmp_path / "small.png", pnginfo=texts(Title="kept"))
    data = (tmp_path / "small.png").read_bytes()
    name = kind.encode()
    chunk = struct.pack(">I", len(content)) + name + content
    chunk += struct.pack(">I", zlib.crc32(name + content))
    (tmp_path / "in.png").write_bytes(data[:33] + chunk + data[33:])
    assert np.array_equal(read_image(tmp_path / "in.png"), RGB)
    what = "colour profile (too large)" if kind == "iCCP" else "a text (too large)"
    notes = enlarged(tmp_path / "in.png", tmp_path / "out.png", double)
    assert notes == [f"not carried over: {what}"]
    with Image.open(tmp_path / "out.png") as seen:
        assert seen.text == {"Title": "kept"}


def texts(**content):
    chunks = PngImagePlugin.PngInfo()
    for key, value in content.items():
        chunks.add_text(key, value)
    return chunks


def test_what_jpeg_cannot_hold_is_dropped_with_a_note(tmp_path, double):
    exif = Image.Exif()
    exif[0x010E] = "d" * 70_000
    xmp = "<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + "y" * 70_000 + "</x:xmpmeta>"
    chunks = texts(Title="t")
    chunks.add_itxt("XML:com.adobe.xmp", xmp)
    Image.fromarray(RGB).save(tmp_path / "in.png", exif=exif, pnginfo=chunks, dpi=(300, 300))
    notes = enlarged(tmp_path / "in.png", tmp_path / "out.jpg", double)
    assert notes == ["not carried over: texts, EXIF, XMP"]
    notes = enlarged(tmp_path / "in.png", tmp_path / "out.webp", double)
    assert notes == ["not carried over: resolution, texts"]
    notes = enlarged(tmp_path / "in.png", tmp_path / "out.gif", double)
    assert set(notes[0].removeprefix("not carried over: ").split(", ")) == {
        "resolution",
        "texts",
        "EXIF",
        "XMP",
    }


def test_colour_tags_comments_and_gain_maps(tmp_path, double):
    chunks = PngImagePlugin.PngInfo()
    pq = bytes([9, 16, 0, 1])
    chunks.add(b"cICP", pq)
    chunks.add(b"gAMA", struct.pack(">I", 100_000))
    Image.fromarray(RGB).save(tmp_path / "in.png", pnginfo=chunks)
    assert enlarged(tmp_path / "in.png", tmp_path / "out.png", double) == []
    data = (tmp_path / "out.png").read_bytes()
    assert b"cICP" + pq in data and b"gAMA" + struct.pack(">I", 100_000) in data
    note = ["not carried over: colour tags"]
    assert enlarged(tmp_path / "in.png", tmp_path / "out.webp", double) == note
    # Those of sRGB are what a file without them means.
    srgb = PngImagePlugin.PngInfo()
    srgb.add(b"gAMA", struct.pack(">I", 45455))
    Image.fromarray(RGB).save(tmp_path / "srgb.png", pnginfo=srgb)
    assert enlarged(tmp_path / "srgb.png", tmp_path / "out.webp", double) == []

    iptc = b"\x1c\x02\x69\x00\x03abc"
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc
    app13 = b"Photoshop 3.0\0" + block
    extra = b"\xff\xed" + struct.pack(">H", len(app13) + 2) + app13
    Image.fromarray(RGB).save(tmp_path / "c.jpg", comment="hello", extra=extra, quality=100)
    note = ["not carried over: IPTC"]
    assert enlarged(tmp_path / "c.jpg", tmp_path / "out.jpg", double) == note
    with Image.open(tmp_path / "out.jpg") as seen:
        assert seen.info["comment"] == b"hello"
    assert enlarged(tmp_path / "c.jpg", tmp_path / "out.png", double) == note
    with Image.open(tmp_path / "out.png") as seen:
        assert seen.text["Comment"] == "hello"
    assert len(enlarged(tmp_path / "c.jpg", tmp_path / "out.webp", double)) == 2

    gain = b'<x:xmpmeta xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/>'
    frames = [Image.fromarray(RGB), Image.new("L", (8, 6), 99)]
    frames[0].save(
        tmp_path / "g.mpo", save_all=True, append_images=frames[1:], xmp=gain, quality=100
    )
    (tmp_path / "g.mpo").rename(tmp_path / "g.jpg")
    notes = enlarged(tmp_path / "g.jpg", tmp_path / "out.jpg", double)
    assert notes == ["not carried over: gain map"]
    assert b"hdrgm" not in (tmp_path / "out.jpg").read_bytes()
    frames[0].save(tmp_path / "two.mpo", save_all=True, append_images=frames[:1], quality=100)
    (tmp_path / "two.mpo").rename(tmp_path / "two.jpg")
    (note,) = enlarged(tmp_path / "two.jpg", tmp_path / "out.jpg", double)
    assert note.startswith("the file holds 2 images")


@pytest.mark.parametrize("suffix", ["webp", "png", "gif"])
def test_times_of_an_animation(tmp_path, double, suffix):
    times = [100, 33, 67, 200]
    frames = [Image.new("RGB", (32, 16), name) for name in ("red", "green", "blue", "white")]
    options = {"save_all": True, "append_images": frames[1:], "lossless": True}
    frames[0].save(tmp_path / "in.webp", duration=times, **options)
    notes = [str(n) for n in enlarge_file(tmp_path / "in.webp", tmp_path / f"out.{suffix}", double)]
    shown = {}
    with Image.open(tmp_path / f"out.{suffix}") as seen:
        for frame in ImageSequence.Iterator(seen):
            frame.load()
            shown[frame.convert("RGB").getpixel((5, 5))] = frame.info["duration"]
    expected = [100, 30, 70, 200] if suffix == "gif" else times
    assert list(shown.values()) == expected
    red, _, blue, _ = shown
    assert red[0] > 200 and blue[2] > 200
    assert notes == (
        ["GIF shows frames for whole hundredths of a second"] if suffix == "gif" else []
    )


def test_the_default_image_of_an_animated_png_is_not_a_frame(tmp_path, double):
    frames = [Image.new("RGB", (16, 16), name) for name in ("black", "red", "blue")]
    frames[0].save(
        tmp_path / "in.png",
        save_all=True,
        append_images=frames[1:],
        default_image=True,
        duration=50,
    )
    enlarge_file(tmp_path / "in.png", tmp_path / "out.webp", double)
    with Image.open(tmp_path / "out.webp") as seen:
        assert seen.n_frames == 2
        assert seen.convert("RGB").getpixel((5, 5))[0] > 200


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("hidden", ["black", "white", "lime"])
@pytest.mark.parametrize("deep", [False, True])
def test_hidden_colour_does_not_bleed(tmp_path, scale, hidden, deep):
    y, x = np.mgrid[:48, :64]
    disc = (x - 32) ** 2 + (y - 24) ** 2 < 18**2
    colour = (200, 30, 60)
    image = Image.new("RGBA", (64, 48), hidden)
    image.putalpha(Image.fromarray(np.where(disc, 255, 0).astype(np.uint8)))
    image.paste((*colour, 255), mask=Image.fromarray(disc))
    if deep:
        from sr_experiments.imaging.pillow_gaps import write_png16

        write_png16(tmp_path / "in.png", np.asarray(image).astype(np.uint16) * 257)
    else:
        image.save(tmp_path / "in.png")
    enlarge_file(tmp_path / "in.png", tmp_path / "out.png", Upscaler(Bicubic(scale), scale))
    with Image.open(tmp_path / "out.png") as seen:
        result = np.asarray(seen.convert("RGBA")).astype(int)
    visible = result[..., 3] > 32
    assert visible.sum() > 900 * scale**2
    assert np.abs(result[visible][:, :3] - colour).max() <= 1


def test_hidden_pixels_take_the_colour_of_their_neighbours(tmp_path, double):
    half = np.zeros((16, 32, 4), np.uint8)
    half[:, :8], half[:, 24:] = (250, 0, 0, 255), (0, 0, 250, 9)
    Image.fromarray(half).save(tmp_path / "in.png")
    enlarge_file(tmp_path / "in.png", tmp_path / "out.png", double)
    with Image.open(tmp_path / "out.png") as seen:
        result = np.asarray(seen).astype(int)
    assert (result[:, :24, 0] > 240).all() and (result[:, 40:, 2] > 240).all()


def test_an_animation_of_equal_frames(tmp_path, double):
    frame = Image.new("RGB", (16, 16), "red")
    frame.save(
        tmp_path / "in.webp", save_all=True, append_images=[frame.copy()] * 2, duration=[70, 80, 90]
    )
    enlarge_file(tmp_path / "in.webp", tmp_path / "out.gif", double)
    with Image.open(tmp_path / "out.gif") as seen:
        assert seen.size == (32, 32)
