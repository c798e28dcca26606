"""A server in the test's own process, and small files for it."""

import io
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr_experiments.serve.jobs import Media, MediaKind
from sr_experiments.serve.limits import Limits


def photograph(height: int = 40, width: int = 52, seed: int = 0) -> np.ndarray:
    """uint8 (H, W, 3) with edges and gradients."""
    rows, columns = np.mgrid[:height, :width]
    rng = np.random.default_rng(seed)
    waves = [np.sin(rows * a + columns * b) for a, b in rng.uniform(0.05, 0.6, (3, 2))]
    return (127.5 + 120 * np.stack(waves, -1)).astype(np.uint8)


def png(image: np.ndarray | None = None) -> bytes:
    out = io.BytesIO()
    Image.fromarray(photograph() if image is None else image).save(out, "PNG")
    return out.getvalue()


def write_clip(path: Path, codec: str = "libx264", seconds: float = 0.4) -> Path:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(int(25 * seconds)):
            frame = av.VideoFrame.from_ndarray(
                np.roll(photograph(48, 64), 2 * number, 1), format="rgb24"
            )
            frame.pts, frame.time_base = number, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


STILL = Media(MediaKind.IMAGE, 52, 40)


def wait_until(true: Callable[[], Any], seconds: float = 20) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not true within {seconds} s")


class Server:
    """The whole application on a port of its own."""

    def __init__(self, folder: Path, **options: Any) -> None:
        uvicorn = pytest.importorskip("uvicorn")
        pytest.importorskip("starlette")
        from sr_experiments.serve.app import application
        from sr_experiments.serve.model_list import ModelList
        from sr_experiments.serve.storage import Storage

        self.storage = Storage(folder / "work")
        self.kept = folder / "kept"
        options = {"limits": Limits(), "kept": self.kept} | options
        app = application(self.storage, ModelList(), **options)
        config = uvicorn.Config(app, port=0, log_level="warning", access_log=False)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        wait_until(lambda: self.server.started)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def visitor(self, **options: Any) -> Any:
        httpx = pytest.importorskip("httpx")
        client = httpx.Client(base_url=self.url, timeout=30, trust_env=False, **options)
        client.get("/en/")  # gives the cookie
        return client

    def folders(self) -> set[str]:
        return {path.name for path in self.storage.root.iterdir() if path.is_dir()}

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(15)
