"""The application: the page in every language, its static files, and the addresses behind it."""

import warnings
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from sr_experiments.imaging.formats import VIDEO_SUFFIXES
from sr_experiments.serve.guard import (
    COOKIE,
    BehindProxy,
    KnownHost,
    SameOrigin,
    SecurityHeaders,
    VisitorBackend,
    ask_for_password,
)
from sr_experiments.serve.job_store import JobStore
from sr_experiments.serve.jobs import SCALES
from sr_experiments.serve.limits import Limits
from sr_experiments.serve.model_list import BICUBIC, ModelList
from sr_experiments.serve.probe import IMAGES, listed
from sr_experiments.serve.refusals import upload_empty, upload_too_large, upload_type
from sr_experiments.serve.routes import HANDLERS, Routes
from sr_experiments.serve.storage import Storage
from sr_experiments.serve.translations import (
    languages,
    message_template,
    page_text,
    preferred_language,
)
from sr_experiments.serve.worker import Convert, Worker

_HERE = Path(__file__).parent
_LANGUAGE_COOKIE = "sr_language"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def application(
    storage: Storage,
    models: ModelList,
    limits: Limits,
    *,
    kept: Path | None = None,
    password: str | None = None,
    any_host: bool = False,
    measure_speed: bool = False,
    root_path: str = "",
    trusted_proxies: Collection[str] = (),
) -> Starlette:
    """The whole server, to be run by uvicorn.

    Args:
        storage: the server's own folder; closed with the application.
        models: the networks to choose from.
        limits: what visitors may ask.
        kept: a folder for the images of those who consent, or None.
        password: asked for by the browser, with any user name; None for no password.
        any_host: the server is meant to be reached by other names than the machine's own.
            Otherwise another name is a page elsewhere that resolves its name to this machine.
        root_path: the path under which a proxy shows the page, such as ``/sr``.
        trusted_proxies: see :class:`BehindProxy`.
        measure_speed: measure the machine's speed before the first job, for a line on the page.
    """
    # Images beyond the limit are refused by their size; Pillow would print a warning as well.
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    store = JobStore(storage, limits)

    def prepare() -> Convert:
        from sr_experiments.serve.conversion import Conversion  # imports PyTorch

        if measure_speed:
            models.measure_speed()
        return Conversion(models, limits, kept)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        worker = Worker(store, prepare)
        worker.start()
        try:
            yield
        finally:
            worker.close()
            storage.close()

    page = Page(models, limits, may_keep=kept is not None)
    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/", redirect_to_language),
            *(Route(f"/{code}/", partial(page.show, language=code)) for code in languages()),
            Mount("/static", StaticFiles(directory=_HERE / "static"), name="static"),
            *Routes(store, models, may_keep=kept is not None).all(),
        ],
        middleware=[
            Middleware(BehindProxy, root=root_path, proxies=trusted_proxies),
            Middleware(SecurityHeaders),
            Middleware(KnownHost, names=None if any_host else LOOPBACK_NAMES),
            Middleware(
                AuthenticationMiddleware,
                backend=VisitorBackend(password),
                on_error=ask_for_password,
            ),
            Middleware(SameOrigin),
        ],
        exception_handlers=HANDLERS,
    )


async def redirect_to_language(request: Request) -> Response:
    """Redirect to the page in the chosen language, by default the browser's."""
    chosen = request.query_params.get("lang", "")
    remembered = request.cookies.get(_LANGUAGE_COOKIE, "")
    language = next((code for code in (chosen, remembered) if code in languages()), None)
    if language is None:
        language = preferred_language(request.headers.get("accept-language", ""))
    # Relative: behind a proxy the page may stand under another path.
    answer = RedirectResponse(f"{language}/", status_code=303)
    if chosen in languages():
        answer.set_cookie(_LANGUAGE_COOKIE, chosen, max_age=31_536_000, samesite="lax")
    return answer


class Page:
    """Renders ``templates/page.html``.

    Args:
        models: the networks to choose from.
        limits: stated on the page, and checked by its script before an upload.
        may_keep: ask visitors for their consent to keep their images.
    """

    def __init__(self, models: ModelList, limits: Limits, *, may_keep: bool) -> None:
        self._models, self._limits, self._may_keep = models, limits, may_keep
        self._templates = Jinja2Templates(directory=_HERE / "templates")

    async def show(self, request: Request, language: str) -> Response:
        """The page, with the cookie that identifies the visitor from now on."""
        content = self._content(language)
        answer = self._templates.TemplateResponse(request, "page.html", content)
        answer.set_cookie(
            COOKIE,
            request.user.identity,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return answer

    def _content(self, language: str) -> dict[str, Any]:
        limits = self._limits
        images, videos = listed(IMAGES), listed(VIDEO_SUFFIXES)
        # What the script checks itself, before anything is sent.
        checked = (upload_empty(""), upload_too_large("", 0), upload_type("", "", ""))
        return {
            "language": language,
            "languages": [(code, page_text("language", code)) for code in languages()],
            "text": partial(page_text, language=language),
            "models": self._models.names,
            "default_model": self._models.default,
            "bicubic": BICUBIC,
            "scales": [f"{float(scale):g}" for scale in SCALES],
            "default_scale": "2",
            "may_keep": self._may_keep,
            "limits": limits,
            "images": images,
            "videos": videos,
            "accept": {"files": sorted(IMAGES | VIDEO_SUFFIXES), "reference": sorted(IMAGES)},
            "setup": {
                "language": language,
                "texts": dict(languages()[language].page),
                "messages": {e.code: message_template(e.message, language) for e in checked},
                "megabytes": limits.megabytes,
                "suffixes": sorted(IMAGES | VIDEO_SUFFIXES),
                "images": images,
                "videos": videos,
            },
        }
