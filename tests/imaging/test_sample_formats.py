"""What the numbers of a file mean is the same for scoring and for enlarging."""

import json

import numpy as np
import pytest
from PIL import Image

from sr_experiments.core.errors import UserError
from sr_experiments.imaging.io import read_image
from sr_experiments.score import main as score
from sr_experiments.upscale.image_file import read_image_file

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (40, 48), dtype=np.uint8)


def save(path, values, **options):
    Image.fromarray(values).save(path, **options)
    return path


def tagged(path, values, **tags):
    """A TIFF with further tags, by their numbers."""
    numbers = {"bits": 258, "largest": 281}
    return save(path, values, tiffinfo={numbers[name]: value for name, value in tags.items()})


def both(path):
    """The grey plane as scoring reads it, and as enlarging does."""
    content = read_image_file(path)
    return read_image(path, keep_grey=True), content.frames[0].colour[..., 0], content.notes


def test_floating_point_from_0_to_1_is_16_bits(tmp_path):
    path = save(tmp_path / "f.tif", GREY.astype(np.float32) / 255)
    scored, enlarged, notes = both(path)
    assert np.array_equal(scored, GREY)
    assert enlarged.dtype == np.uint16 and np.array_equal(enlarged, GREY.astype(np.uint16) * 257)
    assert [note.code for note in notes] == ["note-floats-rounded"]


@pytest.mark.parametrize("values", [[0, 255.0], [-0.5, 1.0], [0, np.nan], [0, np.inf]])
def test_floating_point_beyond_0_to_1_is_refused(tmp_path, values):
    path = save(tmp_path / "f.tif", np.float32([values]))
    for read in (read_image, read_image_file):
        with pytest.raises(UserError) as error:
            read(path)
        assert error.value.code == "sample-range-unknown"


def test_integers_of_32_bits_are_refused_unless_the_file_tells_their_range(tmp_path):
    values = GREY.astype(np.int32) * 1000
    with pytest.raises(UserError) as error:
        read_image(save(tmp_path / "i.tif", values))
    assert error.value.code == "sample-range-unknown"
    path = tagged(tmp_path / "i.tif", GREY.astype(np.int32) * 257, largest=65535)
    scored, enlarged, _ = both(path)
    assert np.array_equal(scored, GREY)
    assert np.array_equal(enlarged, GREY.astype(np.uint16) * 257)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_fewer_bits_in_a_16_bit_file_are_of_full_range(tmp_path, bits):
    most = 2**bits - 1
    values = RANDOM.integers(0, most + 1, (8, 9), dtype=np.uint16)
    values[0, :2] = 0, most
    scored, enlarged, _ = both(tagged(tmp_path / "i.tif", values, largest=most))
    assert np.array_equal(enlarged, np.floor(values * (65535 / most) + 0.5).astype(np.uint16))
    assert np.array_equal(scored, enlarged >> 8)
    # Without a tag nobody can know: they are taken as they are.
    _, enlarged, _ = both(save(tmp_path / "i.tif", values))
    assert np.array_equal(enlarged, values)


def test_twelve_bits_packed(tmp_path):
    tifffile = pytest.importorskip("tifffile")  # comes with scikit-image
    values = RANDOM.integers(0, 4096, (8, 16), dtype=np.uint16)
    values[0, :2] = 0, 4095
    pairs = values.reshape(8, 8, 2).astype(np.uint32)
    packed = np.stack(
        [pairs[..., 0] >> 4, (pairs[..., 0] & 15) << 4 | pairs[..., 1] >> 8, pairs[..., 1] & 255],
        -1,
    ).astype(np.uint8)
    path = tmp_path / "packed.tif"
    tifffile.imwrite(path, packed.reshape(8, 24), photometric="minisblack")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        for tag, value in ((258, 12), (256, 16)):
            at = file.pages[0].tags[tag].valueoffset
            data[at : at + 2] = value.to_bytes(2, "little")
    path.write_bytes(data)
    _, enlarged, _ = both(path)
    assert np.array_equal(enlarged, np.floor(values * (65535 / 4095) + 0.5).astype(np.uint16))


@pytest.mark.parametrize("peak", [255, 1023, 65535])
def test_portable_greymaps_use_their_largest_value(tmp_path, peak):
    values = RANDOM.integers(0, peak + 1, (8, 9))
    values[0, :2] = 0, peak
    samples = values.astype(np.uint8 if peak < 256 else ">u2")
    path = tmp_path / "g.ppm"
    path.write_bytes(b"P5 9 8 %d\n" % peak + samples.tobytes())
    scored, _, notes = both(path)
    assert np.abs(scored - values * (255 / peak)).max() < 1
    assert notes == []


def test_sixteen_bit_colour_of_ppm_is_noted(tmp_path):
    path = tmp_path / "c.ppm"
    for peak, codes in ((255, []), (1023, ["note-bits-not-read"]), (65535, ["note-bits-not-read"])):
        samples = np.full((4, 4, 3), peak // 2, np.uint8 if peak < 256 else ">u2")
        path.write_bytes(b"P6 4 4 %d\n" % peak + samples.tobytes())
        content = read_image_file(path)
        assert abs(int(content.frames[0].colour[0, 0, 0]) - 127) <= 1
        assert [note.code for note in content.notes] == codes


def test_a_grey_image_scores_the_same_however_it_is_stored(tmp_path, capsys):
    grey = Image.fromarray(GREY)
    save(tmp_path / "sr.png", RANDOM.integers(0, 256, (40, 48, 3), dtype=np.uint8))
    stored = {
        "l.png": grey,
        "la.png": Image.merge("LA", [grey, Image.new("L", grey.size, 255)]),
        "palette.png": grey.convert("P"),
        "exact.png": grey.convert("P", palette=Image.Palette.ADAPTIVE, colors=256),
        "deep.png": Image.fromarray(GREY.astype(np.uint16) * 257),
        "g.gif": grey,
    }
    found = set()
    for name, image in stored.items():
        image.save(tmp_path / name)
        assert np.array_equal(read_image(tmp_path / name, keep_grey=True), GREY), name
        command = [tmp_path / "sr.png", tmp_path / name, "--scale", 2, "--json"]
        assert score([str(part) for part in command]) == 0
        (row,) = json.loads(capsys.readouterr().out)["images"].values()
        found.add(row["y_first"]["psnr"])
    assert len(found) == 1
    # Colours stay colours.
    palette = Image.fromarray(np.stack([GREY, GREY, GREY[::-1]], -1)).quantize(16)
    palette.save(tmp_path / "colour.png")
    assert read_image(tmp_path / "colour.png", keep_grey=True).shape == (40, 48, 3)


def test_lab_is_converted(tmp_path):
    from PIL import ImageCms

    rgb = Image.new("RGB", (8, 8), (200, 100, 50))
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    ImageCms.profileToProfile(rgb, *profiles, outputMode="LAB").save(tmp_path / "lab.tif")
    assert np.abs(read_image(tmp_path / "lab.tif").astype(int) - [200, 100, 50]).max() <= 3
