"""Taking an upload from the network to the disk, in small pieces."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import Request

from sr_experiments.serve.limits import MEGA, Limits
from sr_experiments.serve.refusals import Refusal

#: A refused upload is read on, so that the browser comes to read the answer; but not for long.
DRAINED = 64 * MEGA
_PATIENCE = Limits(keep_minutes=1, idle_seconds=5)


async def receive(request: Request, target: Path, name: str, limits: Limits) -> None:
    """Write the body of a request to a file.

    The body is the file itself, and memory holds one piece of it.

    Raises:
        Refusal: it is larger than allowed, or stands still.
        ClientDisconnect: the connection was cut.
        OSError: it cannot be written.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limits.bytes:
        raise Refusal("r_bytes", name=name, megabytes=limits.megabytes)
    size = 0
    with target.open("wb") as file:
        async for piece in _pieces(request, name, limits):
            size += len(piece)
            if size > limits.bytes:
                raise Refusal("r_bytes", name=name, megabytes=limits.megabytes)
            file.write(piece)


async def drain(request: Request) -> None:
    """Read what is left of a body, up to a bound, and forget it."""
    size = 0
    try:
        async for piece in _pieces(request, "", _PATIENCE):
            size += len(piece)
            if size > DRAINED:
                return
    except (Refusal, RuntimeError):  # stands still, or was read to its end
        return


async def _pieces(request: Request, name: str, limits: Limits) -> AsyncIterator[bytes]:
    stream = request.stream()
    loop = asyncio.get_running_loop()
    end = loop.time() + 60 * limits.keep_minutes
    while loop.time() < end:
        try:
            yield await asyncio.wait_for(anext(stream), limits.idle_seconds)
        except StopAsyncIteration:
            return
        except TimeoutError:
            break
    raise Refusal("r_slow", name=name)
