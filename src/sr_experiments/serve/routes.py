"""What the page's script talks to: uploads, the list, and the files of a visitor."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from sr_experiments.serve.job_store import Desk
from sr_experiments.serve.jobs import Job, Kind, State, shown_name
from sr_experiments.serve.languages import LANGUAGES, Language, chosen
from sr_experiments.serve.model_list import Catalogue
from sr_experiments.serve.notes import say_note
from sr_experiments.serve.probe import probe
from sr_experiments.serve.refusals import Refusal, meaning
from sr_experiments.serve.storage import checked_suffix
from sr_experiments.serve.uploads import drain, receive

#: SSIM of a large picture takes many times its bytes.
TRUTH_MEGAPIXELS = 8
_STATUS = {"r_gone": 404, "r_bytes": 413, "r_disk": 507, "r_yours": 429, "r_all": 503}
_TYPES = {
    ".png": "image/png",
    ".gif": "image/gif",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".bmp": "image/bmp",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
    ".mkv": "video/x-matroska",
}
Handler = Callable[[Request], Awaitable[Response]]


class Routes:
    """The page's own addresses.

    Args:
        desk: where the jobs are.
        catalogue: the networks.
        may_keep: pictures may be kept if their owners agree.
    """

    def __init__(self, desk: Desk, catalogue: Catalogue, *, may_keep: bool) -> None:
        self.desk, self.catalogue, self.may_keep = desk, catalogue, may_keep

    def all(self) -> list[Route]:
        """To be put into an application."""
        return [
            Route("/api/jobs", _answering(self.listing), methods=["GET"]),
            Route("/api/jobs", _answering(self.upload), methods=["POST"]),
            Route("/api/jobs/{job}", _answering(self.remove), methods=["DELETE"]),
            Route("/api/jobs/{job}/start", _answering(self.start), methods=["POST"]),
            Route("/api/jobs/{job}/cancel", _answering(self.cancel), methods=["POST"]),
            Route("/api/jobs/{job}/truth", _answering(self.truth), methods=["POST"]),
            Route("/files/{job}/{which}", _answering(self.file), methods=["GET"]),
        ]

    async def listing(self, request: Request) -> Response:
        """All jobs of the visitor."""
        language, ahead = _language(request), self.desk.ahead()
        jobs = self.desk.jobs(_visitor(request))
        return JSONResponse({"jobs": [view(job, language, ahead.get(job.id, 0)) for job in jobs]})

    async def upload(self, request: Request) -> Response:
        """Take a file; the body is the file itself."""
        visitor, name = _visitor(request), shown_name(request.query_params.get("name", ""))
        desk = self.desk
        with desk.place(visitor, name):
            suffix = checked_suffix(name)
            try:
                _, folder = desk.storage.new()
            except OSError as error:
                raise meaning(error, name) from error
            try:
                source = folder / f"source{suffix}"
                await receive(request, source, name, desk.limits)
                content = await asyncio.to_thread(probe, source, name, desk.limits)
                job = desk.add(visitor, name, folder, source, content)
            except BaseException as error:
                desk.storage.drop(folder)
                if isinstance(error, OSError):
                    raise meaning(error, name) from error
                raise
        return JSONResponse(view(job, _language(request)), status_code=201)

    async def truth(self, request: Request) -> Response:
        """Take the ground truth of a picture."""
        job = self._job(request)
        name = shown_name(request.query_params.get("name", ""))
        if job.content.kind is not Kind.PICTURE:
            raise Refusal("r_still", name=job.name)
        suffix = checked_suffix(name, pictures_only=True)
        storage, limits = self.desk.storage, self.desk.limits
        limits = replace(limits, megapixels=min(TRUTH_MEGAPIXELS, limits.megapixels))
        try:
            _, folder = storage.new()
        except OSError as error:
            raise meaning(error, name) from error
        try:
            path = folder / f"truth{suffix}"
            await receive(request, path, name, limits)
            content = await asyncio.to_thread(probe, path, name, limits)
            if content.kind is not Kind.PICTURE:
                raise Refusal("r_still", name=name)
            self.desk.compare_with(job, path, name)
        except OSError as error:
            raise meaning(error, name) from error
        finally:
            storage.drop(folder)
        return JSONResponse(view(job, _language(request)))

    async def start(self, request: Request) -> Response:
        """Put a job into the line."""
        job = self._job(request)
        asked = await _asked(request)
        try:
            settings = self.catalogue.settings(asked, may_keep=self.may_keep)
        except ValueError as error:
            raise Refusal("r_settings", what=error) from None
        self.desk.start(job, settings)
        return self._view(job, request)

    async def cancel(self, request: Request) -> Response:
        """Stop a job."""
        job = self._job(request)
        self.desk.cancel(job)
        return self._view(job, request)

    async def remove(self, request: Request) -> Response:
        """Forget a job and its files."""
        # Deleting large files takes its time.
        await asyncio.to_thread(self.desk.remove, self._job(request))
        return Response(status_code=204)

    async def file(self, request: Request) -> Response:
        """A file of a job: its source, what is compared, or the result."""
        job, which = self._job(request), request.path_params["which"]
        gone = Refusal("r_gone", minutes=f"{self.desk.limits.keep_minutes:g}")
        headers = {"Cache-Control": "private, no-store"}
        if which == "source":
            path = job.source
        elif job.state is not State.DONE or job.result is None:
            raise gone
        elif which == "result":
            path = job.result
            headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(job.download)}"
        elif which in ("before", "after"):
            video = job.content.kind is Kind.VIDEO
            if video or job.part:
                path = job.folder / f"{which}{'.mp4' if video else '.png'}"
            else:
                kept = job.result
                path = kept if which == "after" else kept.with_stem("bicubic")
        else:
            raise gone
        if not path.is_file():
            raise gone
        kind = _TYPES.get(path.suffix, "application/octet-stream")
        return Passing(path, media_type=kind, headers=headers)

    def _job(self, request: Request) -> Job:
        return self.desk.job(_visitor(request), request.path_params["job"])

    def _view(self, job: Job, request: Request) -> Response:
        return JSONResponse(view(job, _language(request), self.desk.ahead().get(job.id, 0)))


class Passing(FileResponse):
    """A file that its visitor may remove while it is asked for: then it is not found."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await super().__call__(scope, receive, noted)
        except (RuntimeError, OSError):
            if Path(self.path).exists():
                raise
            if not begun:
                await Response(status_code=404)(scope, receive, send)


def view(job: Job, language: Language, ahead: int = 0) -> dict[str, Any]:
    """What the page shows of a job."""
    failure, wrong = job.failure, job.truth_failure
    measured = job.measured
    return {
        "id": job.id,
        "name": job.name,
        "kind": job.content.kind.value,
        "width": job.content.width,
        "height": job.content.height,
        "state": job.state.value,
        "share": round(job.share, 4),
        "left": job.left(time.monotonic()),
        "took": round(job.took, 1),
        "ahead": ahead,
        "notes": [say_note(note, language) for note in job.notes],
        "failure": failure.say(language) if failure else None,
        "truth": job.truth_name or None,
        "truth_failure": wrong.say(language) if wrong else None,
        "measuring": job.measuring,
        "measured": measured
        and {
            "protocol": measured.protocol,
            "bicubic": _score(measured.bicubic),
            "network": _score(measured.network),
        },
        "download": job.download if job.state is State.DONE else None,
        "model": job.settings.model if job.settings else None,
        "scale": f"{float(job.settings.scale):g}" if job.settings else None,
        "part": job.part,
        "run": round(job.began, 3),
    }


def _score(score: tuple[float, float]) -> str:
    decibel, ssim = score
    return f"{decibel:.2f} dB, {ssim:.4f}"


def _visitor(request: Request) -> str:
    visitor: str = request.scope["visitor"]  # set by the guard
    return visitor


def _language(request: Request) -> Language:
    asked = request.query_params.get("lang", "")
    for language in LANGUAGES:
        if language == asked:
            return language
    return chosen(request.headers.get("accept-language", ""))


async def _asked(request: Request) -> dict[str, object]:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > 10_000:
            raise Refusal("r_settings", what="...")
    try:
        asked = json.loads(body or b"{}")
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise Refusal("r_settings", what="...")
    return asked


def _answering(handler: Handler) -> Handler:
    """Say why something is refused, in the visitor's language."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Refusal as refusal:
            if request.method == "POST":
                await drain(request)
            sentence = refusal.say(_language(request))
            return JSONResponse({"error": sentence}, status_code=_STATUS.get(refusal.key, 400))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it

    return answer
