"""Any image file is read, or refused with a sentence that names it."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.imaging.formats import list_images
from sr_experiments.imaging.io import read_image, write_png

WHITE = [255, 255, 255]


def test_sixteen_bit_grey_keeps_its_high_byte(tmp_path):
    values = np.array([[0, 255, 256], [0x1234, 0x80FF, 0xFFFF]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    found = read_image(tmp_path / "deep.png")
    assert found.dtype == np.uint8 and found.shape == (2, 3, 3)
    assert found[..., 0].tolist() == [[0, 0, 1], [0x12, 0x80, 0xFF]]


def test_transparency_is_laid_on_white(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putdata([0, 1])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert read_image(tmp_path / "palette.png").tolist() == [[WHITE, [200, 100, 50]]]
    grey_alpha = np.array([[[40, 0], [40, 255], [0, 51]]], dtype=np.uint8)
    Image.fromarray(grey_alpha, "LA").save(tmp_path / "la.png")
    assert read_image(tmp_path / "la.png").tolist() == [[WHITE, [40] * 3, [204] * 3]]


def test_cmyk_and_exif_rotation(tmp_path):
    Image.new("CMYK", (16, 8), (0, 255, 255, 0)).save(tmp_path / "ink.jpg", quality=95)
    red = read_image(tmp_path / "ink.jpg")
    assert red.shape == (8, 16, 3)
    assert np.abs(red.astype(int) - [255, 0, 0]).max() < 6
    lying = np.zeros((16, 32, 3), dtype=np.uint8)
    lying[:, :16] = 255  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: left becomes top
    Image.fromarray(lying).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    upright = read_image(tmp_path / "turned.jpg")
    assert upright.shape == (32, 16, 3)
    assert upright[:14].min() > 240 and upright[18:].max() < 15


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    data = b"IDAT" + zlib.compress(b"")
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", len(data) - 4) + data


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("cut.png", "damaged image"),
        ("empty.png", "the file is empty"),
        ("text.png", "not an image"),
        ("bomb.png", "too many pixels"),
        ("large.png", "too many pixels"),
        ("absent.png", "no such file"),
        ("folder.png", "a folder"),
    ],
)
def test_what_is_no_image_is_named(tmp_path, name, says):
    Image.effect_noise((64, 64), 90).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("<html>404</html>")
    (tmp_path / "bomb.png").write_bytes(png_header(60000, 60000))
    (tmp_path / "large.png").write_bytes(png_header(12000, 10000))  # where Pillow only warns
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError) as caught:
        read_image(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value) and says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_listed_by_name_and_never_empty(tmp_path, caplog):
    for name in ("b.png", "A.JPG", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "c.png").mkdir()
    (tmp_path / "d.png").symlink_to(tmp_path / "nowhere.png")
    assert [path.name for path in list_images(tmp_path)] == ["A.JPG", "b.png"]
    assert "c.png: left out, it is a folder" in caplog.text
    assert "d.png: left out" in caplog.text and "missing" in caplog.text
    (tmp_path / "sub").mkdir()
    with pytest.raises(UserError, match="it is empty"):
        list_images(tmp_path / "sub")
    (tmp_path / "sub" / "HR").mkdir()
    with pytest.raises(UserError, match="it holds HR"):
        list_images(tmp_path / "sub")
    with pytest.raises(UserError, match="no such folder"):
        list_images(tmp_path / "nowhere")


def test_a_written_image_reads_back(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    write_png(tmp_path / "new" / "image.png", image)
    assert np.array_equal(read_image(tmp_path / "new" / "image.png"), image)
    write_png(tmp_path / "new" / "image.png", image[..., 0])
    assert np.array_equal(read_image(tmp_path / "new" / "image.png")[..., 2], image[..., 0])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["image.png"]


def test_a_failed_write_leaves_what_was_there(tmp_path):
    target = tmp_path / "result.txt"
    target.write_text("old")

    def fail_halfway() -> None:
        with atomic_write(target) as temporary:
            temporary.write_text("half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_halfway()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
    with atomic_write(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"below\.png: cannot be written"):
        write_png(Path(tmp_path / "file" / "below.png"), np.zeros((2, 2), dtype=np.uint8))
