"""What an image file holds is kept: bits, alpha, frames, profile, orientation."""

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageSequence, PngImagePlugin

from sr_experiments.core.errors import UserError
from sr_experiments.imaging.io import read_image
from sr_experiments.imaging.pillow_gaps import write_png16
from sr_experiments.imaging.resize import imresize
from sr_experiments.models.bicubic import Bicubic
from sr_experiments.upscale.convert_image import enlarge_file
from sr_experiments.upscale.image_file import read_image_file
from sr_experiments.upscale.upscaler import Upscaler

RANDOM = np.random.default_rng(0)
DEEP = RANDOM.integers(0, 65536, (9, 12, 4), dtype=np.uint16)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def double():
    return Upscaler(Bicubic(2), 2)


def large(values):
    """MATLAB's bicubic in floating point, which Bicubic is."""
    return imresize(values.astype(np.float64), 2)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_in_and_out(tmp_path, double, channels):
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    write_png16(source, DEEP[..., :channels])
    back = read_image_file(source).frames[0]
    planes = [back.colour] + ([] if back.alpha is None else [back.alpha[..., None]])
    assert np.array_equal(np.concatenate(planes, 2), DEEP[..., :channels])
    with Image.open(source) as seen:  # Pillow agrees on the high bytes
        high = np.asarray(seen.convert("LA") if channels == 2 else seen).reshape(9, 12, channels)
        assert np.array_equal(high, DEEP[..., :channels] >> (0 if channels == 1 else 8))
    assert enlarge_file(source, target, double) == []
    result = read_image_file(target).frames[0]
    colours = channels - (channels % 2 == 0)
    expected = large(DEEP[..., :colours]).clip(0, 65535)
    assert result.colour.dtype == np.uint16
    assert np.abs(result.colour - expected).max() <= 0.5 + 1e-6
    if channels % 2 == 0:
        alpha = large(DEEP[..., channels - 1]).clip(0, 65535)
        assert np.abs(result.alpha - alpha).max() <= 0.5 + 1e-6


def test_sixteen_bit_tiff_is_read_whole(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    for order in "<>":
        tifffile.imwrite(tmp_path / "in.tif", DEEP[..., :3], photometric="rgb", byteorder=order)
        assert np.array_equal(read_image_file(tmp_path / "in.tif").frames[0].colour, DEEP[..., :3])


def test_eight_bit_formats_say_what_they_lose(tmp_path, double):
    write_png16(tmp_path / "in.png", DEEP)
    notes = enlarge_file(tmp_path / "in.png", tmp_path / "out.jpg", double)
    assert [note.code for note in notes] == ["note-image-depth-reduced", "note-alpha-dropped"]
    with pytest.raises(UserError) as error:
        enlarge_file(tmp_path / "in.png", tmp_path / "out.tif", double)
    assert error.value.code == "deep-colour-needs-png"
    assert not (tmp_path / "out.tif").exists()


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_alpha_and_grey_are_kept(tmp_path, double, suffix):
    rgba = (DEEP >> 8).astype(np.uint8) | 1  # no pixel is hidden
    Image.fromarray(rgba).save(tmp_path / "in.png")
    Image.fromarray(rgba[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(rgba[..., 0]).quantize(4).save(tmp_path / "palette.png")
    target = tmp_path / f"out.{suffix}"
    enlarge_file(tmp_path / "in.png", target, double)
    expected = (large(rgba).clip(0, 255) + 0.5 + 1e-9).astype(np.uint8)
    with Image.open(target) as seen:
        assert seen.mode == "RGBA" and np.array_equal(np.asarray(seen), expected)
    enlarge_file(tmp_path / "grey.png", tmp_path / "grey_out.png", double)
    with Image.open(tmp_path / "grey_out.png") as seen:
        assert seen.mode == "L" and np.array_equal(np.asarray(seen), expected[..., 0])
    enlarge_file(tmp_path / "palette.png", tmp_path / "palette_out.png", double)
    shown = large(read_image(tmp_path / "palette.png")).clip(0, 255)
    assert np.abs(read_image(tmp_path / "palette_out.png") - shown).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once_to_8_and_16_bits(tmp_path, double, orientation):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Maker"
    flat = (DEEP[..., :3] >> 8).astype(np.uint8)
    Image.fromarray(flat).save(tmp_path / "in.png", exif=exif)
    write_png16(tmp_path / "deep.png", DEEP[..., :3], exif=exif)
    upright = read_image(tmp_path / "in.png")
    for name in ("in.png", "deep.png"):
        frame = read_image_file(tmp_path / name).frames[0]
        shown = frame.colour >> 8 if name == "deep.png" else frame.colour
        assert np.array_equal(shown, upright)
        enlarge_file(tmp_path / name, tmp_path / "out.png", double)
        with Image.open(tmp_path / "out.png") as seen:
            assert seen.size == (2 * upright.shape[1], 2 * upright.shape[0])
            assert seen.getexif().get(0x0112, 1) == 1 and seen.getexif()[0x010F] == "Maker"


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_profile_and_metadata_are_kept(tmp_path, double, suffix):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769).update({0xA002: 12, 0xA003: 9})
    text = PngImagePlugin.PngInfo()
    text.add_itxt("Title", "Straße")
    Image.fromarray((DEEP[..., :3] >> 8).astype(np.uint8)).save(
        tmp_path / "in.png", exif=exif, icc_profile=PROFILE, dpi=(300, 300), pnginfo=text
    )
    target = tmp_path / f"out.{suffix}"
    enlarge_file(tmp_path / "in.png", target, double)
    if suffix == "tiff":  # whose tags are taken over from one to another, too
        enlarge_file(target, tmp_path / "again.png", double)
        with Image.open(tmp_path / "again.png") as seen:
            assert seen.getexif()[0x010F] == "Maker" and 0x0111 not in seen.getexif()
            assert dict(seen.getexif().get_ifd(0x8769)) == {0xA002: 48, 0xA003: 36}
    with Image.open(target) as seen:
        assert seen.info["icc_profile"] == PROFILE
        found = seen.getexif()
        assert found[0x010F] == "Maker"
        assert dict(found.get_ifd(0x8769)) == {0xA002: 24, 0xA003: 18}
        if suffix != "webp":
            assert seen.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        if suffix == "png":
            assert seen.text["Title"] == "Straße"


@pytest.mark.parametrize("disposal", [1, 2, 3])
def test_an_animation_stays_one(tmp_path, double, disposal):
    frames = []
    for place in (2, 10, 18):
        frame = Image.new("RGBA", (32, 16), (0, 0, 0, 0))
        frame.paste((200, 30, 60, 255), (place, 4, place + 8, 12))
        frames.append(frame)
    frames[0].save(
        tmp_path / "in.gif",
        save_all=True,
        append_images=frames[1:],
        duration=[100, 250, 70],
        loop=3,
        disposal=disposal,
    )
    enlarge_file(tmp_path / "in.gif", tmp_path / "out.gif", double)
    with Image.open(tmp_path / "in.gif") as given, Image.open(tmp_path / "out.gif") as made:
        assert made.size == (64, 32) and made.n_frames == given.n_frames == 3
        assert made.info["loop"] == 3
        pairs = zip(ImageSequence.Iterator(given), ImageSequence.Iterator(made), strict=True)
        for before, after in pairs:
            assert after.info["duration"] == before.info["duration"]
            assert after.disposal_method == before.disposal_method == disposal
            old = np.asarray(before.convert("RGBA").resize((64, 32), Image.Resampling.NEAREST))
            new = np.asarray(after.convert("RGBA"))
            assert ((old[..., 3] > 127) == (new[..., 3] > 127)).mean() > 0.98
            inner = (old[..., 3] > 127) & (new[..., 3] > 127)
            assert np.abs(old[inner].astype(int) - new[inner]).mean() < 20


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_limits_of_pixels_and_sides(tmp_path, double, monkeypatch):
    still, moving, long = (tmp_path / name for name in ("in.png", "in.gif", "long.png"))
    pages = [Image.new("L", (40, 30), value) for value in (0, 99)]
    pages[0].save(still)
    pages[0].save(moving, save_all=True, append_images=pages[1:])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)
    assert len(read_image_file(moving, 2400).frames) == 2
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with pytest.raises(Image.DecompressionBombError):  # at more than twice its limit
        Image.open(still)
    assert read_image_file(still, 1200).frames[0].colour.shape == (30, 40, 1)
    for path, limit, pixels in ((still, None, 1200), (still, 1199, 1200), (moving, 1200, 2400)):
        with pytest.raises(UserError) as error:
            read_image_file(path, limit)
        assert error.value.code == "image-too-large"
        fields = {"path": path, "pixels": pixels, "limit": limit or 500}
        assert error.value.message.fields == fields
    monkeypatch.undo()
    Image.new("L", (9000, 1)).save(long)
    with pytest.raises(UserError) as error:
        enlarge_file(long, tmp_path / "out.webp", double)
    assert error.value.code == "format-side-limit"


def test_files_that_are_no_images(tmp_path):
    whole = tmp_path / "whole.png"
    Image.fromarray((DEEP[..., :3] >> 8).astype(np.uint8)).save(whole)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:-60])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no image")
    for name, code in {
        "cut.png": "image-damaged",
        "empty.png": "image-empty",
        "text.png": "image-unknown-format",
        "absent.png": "image-missing",
    }.items():
        with pytest.raises(UserError) as error:
            read_image_file(tmp_path / name)
        assert error.value.code == code
