"""What the page's script talks to: uploads, the list of jobs, and the files of a visitor."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from sr_experiments.serve.job_store import JobStore
from sr_experiments.serve.jobs import Job, JobState, MediaKind, shown_name
from sr_experiments.serve.limits import MEGA, Limits
from sr_experiments.serve.model_list import ModelList, invalid_setting
from sr_experiments.serve.probe import checked_suffix, probe
from sr_experiments.serve.refusals import (
    VisitorError,
    file_expired,
    for_visitor,
    needs_still_image,
    upload_too_large,
)
from sr_experiments.serve.translations import (
    languages,
    page_text,
    preferred_language,
    translate,
)

#: SSIM takes many times the bytes of an image.
REFERENCE_MEGAPIXELS = 8
#: Bytes of the settings of a job.
SETTINGS_BYTES = 10_000
#: Bytes of a refused upload that are still read, so that the browser gets to read the answer.
DRAINED_BYTES = 64 * MEGA
_DRAIN_LIMITS = Limits(keep_minutes=1, idle_seconds=5)
_STATUS = {
    "file-expired": 404,
    "upload-too-large": 413,
    "visitor-file-limit": 429,
    "server-full": 503,
    "server-disk-full": 507,
}
_MEDIA_TYPES = {
    ".png": "image/png",
    ".gif": "image/gif",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".bmp": "image/bmp",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
}


class Routes:
    """The addresses behind the page.

    Args:
        store: holds the jobs.
        models: the networks.
        may_keep: images may be kept if their owners consent.
    """

    def __init__(self, store: JobStore, models: ModelList, *, may_keep: bool) -> None:
        self.store, self.models, self.may_keep = store, models, may_keep

    def all(self) -> list[Route]:
        """The routes of the application."""
        small_body = Middleware(RequestBodyLimitMiddleware, max_body_size=SETTINGS_BYTES)
        job = "/api/jobs/{job}"
        return [
            Route("/api/jobs", self.list_jobs, methods=["GET"]),
            Route("/api/jobs", self.upload, methods=["POST"]),
            Route(job, self.remove, methods=["DELETE"]),
            Route(f"{job}/start", self.start, methods=["POST"], middleware=[small_body]),
            Route(f"{job}/cancel", self.cancel, methods=["POST"]),
            Route(f"{job}/reference", self.upload_reference, methods=["POST"]),
            Route("/files/{job}/{which}", self.file, methods=["GET"]),
        ]

    async def list_jobs(self, request: Request) -> Response:
        """All jobs of the visitor, and the speed of the server once it is measured."""
        language, ahead = _language(request), self.store.queue_positions()
        jobs = self.store.jobs_of(request.user.identity)
        speed = self.models.speed
        return JSONResponse(
            {
                "jobs": [job_view(job, language, ahead.get(job.id, 0)) for job in jobs],
                "speed": speed and page_text("about_speed", language, **speed),
            }
        )

    async def upload(self, request: Request) -> Response:
        """Take a file, which is the body of the request."""
        visitor, store = request.user.identity, self.store
        name = shown_name(request.query_params.get("name", ""))
        with store.reserve(visitor, name):
            suffix = checked_suffix(name)
            folder = None
            try:
                folder = store.storage.new()
                source = folder / f"source{suffix}"
                await save_body(request, source, name, store.limits)
                media = await asyncio.to_thread(probe, source, name, store.limits)
                job = store.add(visitor, name, folder, source, media)
            except BaseException as error:
                if folder is not None:
                    store.storage.drop(folder)
                if isinstance(error, OSError):
                    raise for_visitor(error, name) from error
                raise
        return JSONResponse(job_view(job, _language(request)), status_code=201)

    async def upload_reference(self, request: Request) -> Response:
        """Take the original of an image."""
        job, store = self._job(request), self.store
        name = shown_name(request.query_params.get("name", ""))
        if job.media.kind is not MediaKind.IMAGE:
            raise needs_still_image(job.name)
        suffix = checked_suffix(name, images_only=True)
        megapixels = min(REFERENCE_MEGAPIXELS, store.limits.megapixels)
        limits = replace(store.limits, megapixels=megapixels)
        folder = None
        try:
            folder = store.storage.new()
            path = folder / f"reference{suffix}"
            await save_body(request, path, name, limits)
            media = await asyncio.to_thread(probe, path, name, limits)
            if media.kind is not MediaKind.IMAGE:
                raise needs_still_image(name)
            store.set_reference(job, path, name)
        except OSError as error:
            raise for_visitor(error, name) from error
        finally:
            if folder is not None:
                store.storage.drop(folder)
        return JSONResponse(job_view(job, _language(request)))

    async def start(self, request: Request) -> Response:
        """Queue a job with the settings in the body."""
        job = self._job(request)
        try:
            chosen = await request.json()
        except ValueError:
            chosen = None
        if not isinstance(chosen, dict):
            raise invalid_setting("JSON")
        self.store.start(job, self.models.settings(chosen, may_keep=self.may_keep))
        return self._view(job, request)

    async def cancel(self, request: Request) -> Response:
        """Cancel a job."""
        job = self._job(request)
        self.store.cancel(job)
        return self._view(job, request)

    async def remove(self, request: Request) -> Response:
        """Remove a job and its files."""
        # Deleting large files takes time.
        await asyncio.to_thread(self.store.remove, self._job(request))
        return Response(status_code=204)

    async def file(self, request: Request) -> Response:
        """A file of a job: its source, the two that are compared, or the result."""
        job, which = self._job(request), request.path_params["which"]
        path = _file_of(job, which)
        try:
            # Looked up here: the job may be removed at any moment.
            stat = path.stat() if path is not None else None
        except OSError:
            stat = None
        if path is None or stat is None:
            raise file_expired(self.store.limits.keep_minutes)
        return FileResponse(
            path,
            stat_result=stat,
            media_type=_MEDIA_TYPES.get(path.suffix, "application/octet-stream"),
            filename=job.download_name if which == "result" else None,
            headers={"Cache-Control": "private, no-store"},
        )

    def _job(self, request: Request) -> Job:
        return self.store.job(request.user.identity, request.path_params["job"])

    def _view(self, job: Job, request: Request) -> Response:
        ahead = self.store.queue_positions().get(job.id, 0)
        return JSONResponse(job_view(job, _language(request), ahead))


def _file_of(job: Job, which: str) -> Path | None:
    if which == "source":
        return job.source
    if job.state is not JobState.DONE or job.result is None:
        return None
    if which == "result":
        return job.result
    if which not in ("before", "after"):
        return None
    if job.media.kind is MediaKind.VIDEO:
        return job.folder / f"{which}.mp4"
    if job.cropped:
        return job.folder / f"{which}.png"
    return job.result if which == "after" else job.result.with_stem("bicubic")


def job_view(job: Job, language: str, ahead: int = 0) -> dict[str, Any]:
    """What the page shows of a job.

    Args:
        job: any job.
        language: of its messages.
        ahead: jobs ahead of it in the queue.
    """
    scores = job.scores
    return {
        "id": job.id,
        "name": job.name,
        "kind": job.media.kind.value,
        "width": job.media.width,
        "height": job.media.height,
        "state": job.state.value,
        "share": round(job.share, 4),
        "seconds_left": job.seconds_left(time.monotonic()),
        "took": round(job.took, 1),
        "ahead": ahead,
        "notes": [translate(note, language) for note in job.notes],
        "failure": job.failure and translate(job.failure, language),
        "reference": job.reference_name or None,
        "reference_failure": job.reference_failure and translate(job.reference_failure, language),
        "measuring": job.measuring,
        "scores": scores
        and {
            "protocol": scores.protocol,
            "bicubic": _score_text(scores.bicubic),
            "network": _score_text(scores.network),
        },
        "download": job.download_name if job.state is JobState.DONE else None,
        "model": job.settings.model if job.settings else None,
        "scale": f"{float(job.settings.scale):g}" if job.settings else None,
        "cropped": job.cropped,
        "run": round(job.began, 3),
    }


def _score_text(score: tuple[float, float]) -> str:
    psnr, ssim = score
    return f"{psnr:.2f} dB, {ssim:.4f}"


def _language(request: Request) -> str:
    chosen = request.query_params.get("lang", "")
    if chosen in languages():
        return chosen
    return preferred_language(request.headers.get("accept-language", ""))


async def save_body(request: Request, target: Path, name: str, limits: Limits) -> None:
    """Write the body of a request to a file, a chunk at a time.

    The body is the file itself: ``request.form()`` would store all of a multipart body before a
    handler sees it. Starlette's limit of the body's size would answer without our message.

    Raises:
        VisitorError: it is larger than the limit, or stalls.
        ClientDisconnect: the connection was closed.
        OSError: it cannot be written.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limits.bytes:
        raise upload_too_large(name, limits.megabytes)
    size = 0
    with target.open("wb") as file:
        async for chunk in _chunks(request, name, limits):
            size += len(chunk)
            if size > limits.bytes:
                raise upload_too_large(name, limits.megabytes)
            file.write(chunk)


async def _drain(request: Request) -> None:
    """Read the rest of a body, up to a bound, and discard it."""
    size = 0
    try:
        async for chunk in _chunks(request, "", _DRAIN_LIMITS):
            size += len(chunk)
            if size > DRAINED_BYTES:
                return
    except (VisitorError, RuntimeError):  # it stalls, or was read to its end
        return


async def _chunks(request: Request, name: str, limits: Limits) -> AsyncIterator[bytes]:
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
    raise VisitorError(
        "upload-stalled", "{name}: the upload stalled and was stopped. Try again.", name=name
    )


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, VisitorError)
    if request.method == "POST":
        await _drain(request)
    sentence = translate(error, _language(request))
    return JSONResponse({"error": sentence}, status_code=_STATUS.get(error.code, 400))


async def _answer_nobody(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # the connection is closed


#: Exception -> what answers it, for Starlette.
HANDLERS: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    VisitorError: _answer_error,
    ClientDisconnect: _answer_nobody,
}
