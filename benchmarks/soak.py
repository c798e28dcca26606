"""Enlarge thousands of odd and damaged files and count what comes out of it.

``python benchmarks/soak.py --files 2000 --seed 0`` makes files of every mode, tag, container and
codec that Pillow and PyAV write, damages two of three, and gives them to ``upscale`` a hundred at a
time. Prints how many were written, refused with one line, or ended otherwise, and the largest
memory of a process. Exits 1 if any was neither written nor refused.
"""

import argparse
import random
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, PngImagePlugin

AT_ONCE = 100
MODES = {
    "png": ("1", "L", "LA", "I;16", "P", "RGB", "RGBA"),
    "jpg": ("L", "RGB", "CMYK"),
    "webp": ("RGB", "RGBA"),
    "tif": ("1", "L", "LA", "I;16", "I", "F", "P", "RGB", "RGBA", "CMYK", "LAB"),
    "gif": ("L", "P", "RGB", "RGBA"),
    "bmp": ("1", "L", "P", "RGB", "RGBA"),
    "ppm": ("1", "L", "I;16", "RGB"),
    "tga": ("L", "P", "RGB", "RGBA"),
    "jp2": ("L", "RGB", "RGBA", "I;16"),
    "avif": ("RGB", "RGBA"),
}
VIDEOS = {
    "mp4": ("libx264", "aac"),
    "mkv": ("libx264", "ac3"),
    "mov": ("libx264", "pcm_s24le"),
    "avi": ("mpeg4", "libmp3lame"),
    "wmv": ("wmv2", "wmav2"),
    "webm": ("libvpx-vp9", "libopus"),
    "mpg": ("mpeg1video", "mp2"),
    "flv": ("flv", "aac"),
    "m2ts": ("libx264", "ac3"),
}


def image(rng: random.Random, mode: str) -> Image.Image:
    """Noise and gradients of a mode, up to 48 pixels a side."""
    height, width = rng.randint(1, 48), rng.randint(1, 48)
    seed = np.random.default_rng(rng.randrange(2**32))
    values = seed.integers(0, 256, (height, width, 4), dtype=np.uint8)
    if rng.random() < 0.5:
        values[..., 3] = rng.choice([0, 9, 255])
    if mode in ("I;16", "I", "F"):
        grey = values[..., 0].astype(np.uint16) * rng.choice([1, 16, 257])
        kinds = {"I;16": grey, "I": grey.astype(np.int32), "F": (grey / 65535).astype(np.float32)}
        if mode == "F" and rng.random() < 0.3:
            kinds["F"] = kinds["F"] * rng.choice([255, -1, np.nan, np.inf])
        return Image.fromarray(kinds[mode])
    made = Image.fromarray(values)
    if mode == "LAB":
        return Image.merge("LAB", made.split()[:3])
    return made.convert("RGB").convert(mode) if mode in ("CMYK", "P", "1") else made.convert(mode)


def exif(rng: random.Random) -> Image.Exif:
    """Tags of every kind, some with values that their tag does not allow."""
    tags = Image.Exif()
    choices: list[tuple[int, object]] = [
        (0x0112, rng.randint(0, 10)),
        (315, "me"),
        (282, rng.choice([72, 300.5, 0])),
        (270, "x" * rng.choice([1, 70_000])),
        (37500, bytes(rng.randrange(256) for _ in range(40))),
        (rng.randrange(1, 65535), rng.choice([1, "text", b"bytes", (1, 2, 3), 2**31])),
    ]
    for tag, value in rng.sample(choices, rng.randint(1, len(choices))):
        tags[tag] = value
    if rng.random() < 0.3:
        tags.get_ifd(0x8825).update({1: "N", 2: (48.0, 6.0, 0.0)})
    return tags


def write_image(path: Path, rng: random.Random) -> None:
    """An image of the format that the suffix names, with metadata."""
    suffix = path.suffix[1:]
    first = image(rng, rng.choice(MODES[suffix]))
    options: dict[str, object] = {}
    if rng.random() < 0.5 and suffix not in ("bmp", "ppm", "tga", "gif", "jp2"):
        tags = exif(rng)
        options["exif"] = tags if suffix == "tif" else tags.tobytes()
    if rng.random() < 0.3 and suffix in ("png", "jpg", "tif"):
        options["dpi"] = (300, 300)
    if rng.random() < 0.3 and suffix in ("png", "jpg", "webp", "tif"):
        options["icc_profile"] = bytes(rng.randrange(256) for _ in range(300))
    if suffix == "png" and rng.random() < 0.5:
        chunks = PngImagePlugin.PngInfo()
        chunks.add_text("Comment", "y" * rng.choice([3, 3_000_000]), zip=True)
        chunks.add(b"gAMA", bytes(rng.randrange(256) for _ in range(4)))
        chunks.add_text("Raw profile type exif", "\nexif\n 4\n" + "zz" * rng.randint(0, 9))
        options["pnginfo"] = chunks
    if suffix in ("gif", "webp", "png", "tif") and rng.random() < 0.3:
        others = [first.transpose(Image.Transpose.FLIP_LEFT_RIGHT), first.copy()]
        options |= {"save_all": True, "append_images": others}
        if suffix != "tif":
            options["duration"] = [rng.randint(0, 300) for _ in range(3)]
    first.save(path, **options)


def write_video(path: Path, rng: random.Random) -> None:
    """A short video with sound."""
    suffix = path.suffix[1:]
    codec, sound = VIDEOS[suffix]
    kind = {"wmv": "asf", "m2ts": "mpegts"}.get(suffix)
    rate = rng.choice([24, 25, 30])
    with av.open(str(path), "w", format=kind) as made:
        stream = made.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, rate)
        if codec in ("mpeg4", "wmv2", "mpeg1video", "flv"):
            stream.bit_rate = 400_000
        layout = "7.1" if suffix == "mov" and rng.random() < 0.5 else "stereo"
        track = made.add_stream(sound, rate=44100 if suffix == "flv" else 48000, layout=layout)
        start = rng.choice([0, 0, 100])
        for number in range(rng.randint(1, 24)):
            values = np.full((32, 48, 3), (number * 11) % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(values, format="rgb24")
            frame.pts, frame.time_base = start + number, Fraction(1, rate)
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
        context = track.codec_context
        resampler = av.AudioResampler(context.format, context.layout, context.sample_rate)
        size = context.frame_size or 1024
        for number in range(8):
            samples = np.zeros((1, size * context.layout.nb_channels), np.float32)
            piece = av.AudioFrame.from_ndarray(samples, format="flt", layout=context.layout.name)
            piece.sample_rate, piece.pts = context.sample_rate, number * size
            piece.time_base = Fraction(1, context.sample_rate)
            for resampled in resampler.resample(piece):
                made.mux(track.encode(resampled))
        made.mux(track.encode(None))


def damage(path: Path, rng: random.Random) -> None:
    """Cut a file, overwrite a part of it, flip bits, repeat or remove a part."""
    data = bytearray(path.read_bytes())
    if not data:
        return
    at, length = rng.randrange(len(data)), rng.choice([1, 4, 16, 200])

    def flip() -> None:
        for _ in range(rng.randint(1, 20)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)

    def overwrite() -> None:
        data[at : at + length] = rng.randbytes(min(length, len(data) - at))

    def remove() -> None:
        del data[at : at + length]

    def repeat() -> None:
        data[at:at] = data[at : at + length]

    def cut() -> None:
        del data[at:]

    kinds: list[Callable[[], None]] = [flip, overwrite, remove, repeat, cut]
    rng.choice(kinds)()
    path.write_bytes(data)


def main() -> int:
    """Run the soak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, found, odd = random.Random(options.seed), Counter[str](), list[str]()
    for begin in range(0, options.files, AT_ONCE):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "in").mkdir()
            for number in range(begin, min(begin + AT_ONCE, options.files)):
                kind = rng.choice(sorted(VIDEOS) if number % 4 == 0 else sorted(MODES))
                path = folder / "in" / f"{number:05}.{kind}"
                try:
                    (write_video if kind in VIDEOS else write_image)(path, rng)
                except Exception as error:  # Pillow's and FFmpeg's writers refuse some
                    found[f"not made ({type(error).__name__})"] += 1
                    path.unlink(missing_ok=True)
                    continue
                if rng.random() < 2 / 3:
                    damage(path, rng)
            made = len(list((folder / "in").iterdir()))
            command = [sys.executable, "-m", "sr_experiments.upscale", str(folder / "in")]
            command += [str(folder / "out"), "--model", "bicubic", "--max-pixels", "4000000"]
            suffix = rng.choice(["png", "jpg", "webp", "tif"])
            ended = subprocess.run(
                [*command, "--format", suffix], capture_output=True, text=True, errors="replace"
            )
            refused = [x for x in ended.stderr.splitlines() if x.startswith("error: ")]
            others = [x for x in ended.stderr.splitlines() if not x.startswith("error: ")]
            written = [p for p in (folder / "out").iterdir() if not p.name.startswith(".")]
            found["written"] += len(written)
            found["refused with one line"] += len(refused)
            found["crashes of a library that cost one file"] += sum("crashed" in x for x in refused)
            found["exceptions that were not expected"] += sum(
                "Error: " in x or "Exception: " in x for x in refused
            )
            left = [p.name for p in (folder / "out").iterdir() if p.name.startswith(".")]
            found["lines on standard error besides"] += len(others)
            if ended.returncode not in (0, 1) or len(written) + len(refused) != made or left:
                found["batches that ended otherwise"] += 1
                odd += [f"exit code {ended.returncode}, {made} files, left {left}", *others[-5:]]
            odd += [line for line in refused if "Error: " in line or "crashed" in line]
            odd += others[:3]
        print(f"{begin + AT_ONCE} files: {dict(found)}", flush=True)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(*odd, sep="\n")
    for name, count in found.items():
        print(f"{count:6}  {name}")
    print(f"{memory:.2f} GiB  largest memory of a process")
    return int(bool(found["batches that ended otherwise"]))


if __name__ == "__main__":
    raise SystemExit(main())
