"""The application: the page in each language, the addresses behind it, the guard before it."""

import os
import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from sr_experiments.serve.job_store import Desk
from sr_experiments.serve.limits import Limits
from sr_experiments.serve.model_list import Catalogue
from sr_experiments.serve.storage import PICTURES, VIDEOS, Storage
from sr_experiments.serve.work import Enlarging
from sr_experiments.serve.worker import Worker

# Before Gradio is imported, which reads them then: it asks for its newest version otherwise.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

import gradio as gr
from fastapi import FastAPI
from PIL import Image
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sr_experiments.serve.guard import Guard
from sr_experiments.serve.languages import LANGUAGES, WORDS, Language, chosen
from sr_experiments.serve.page import HEAD, page, theme
from sr_experiments.serve.routes import Routes

_STATIC = Path(__file__).parent / "static"
_SERVED = ("page.css", "page.js", "rows.js", "view.js", "words.js")
_LANGUAGE = "sr_language"


def application(
    storage: Storage,
    catalogue: Catalogue,
    limits: Limits,
    *,
    kept: Path | None = None,
    password: str | None = None,
    any_host: bool = False,
    speed: Mapping[str, object] | None = None,
) -> Guard:
    """Everything, ready to be served.

    Args:
        storage: the server's own folder; closed with the application.
        catalogue: the networks to choose from.
        limits: what visitors may ask.
        kept: a folder for the pictures of those who agree, or None.
        password: see :class:`~sr_experiments.serve.guard.Guard`.
        any_host: likewise.
        speed: how fast this machine is, for a line on the page.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(storage.root / "gradio")
    # Of a header that is looked at; the worker, who decodes, makes it an error for itself.
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    desk = Desk(storage, limits)
    worker = Worker(desk, Enlarging(catalogue, limits, kept))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        worker.start()
        try:
            yield
        finally:
            worker.close()
            storage.close()

    # No documentation: what is there is for the page's own script.
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.router.routes += [
        Route("/", _door),
        Route("/page/{name}", _static),
        *(_words(language, limits) for language in LANGUAGES),
        Route("/favicon.ico", _icon),
        *Routes(desk, catalogue, may_keep=kept is not None).all(),
    ]
    for language in LANGUAGES:
        blocks = page(language, catalogue, limits, may_keep=kept is not None, speed=speed)
        app = gr.mount_gradio_app(
            app,
            blocks,
            path=f"/{language}",
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            show_error=False,
            max_file_size=1,
            theme=theme(),
            head=HEAD,
        )
    return Guard(app, password=password, any_host=any_host)


async def _door(request: Request) -> Response:
    """To the page in the visitor's language: as chosen, else as the browser says."""
    asked = request.query_params.get("lang", "")
    language = _known(asked) or _known(request.cookies.get(_LANGUAGE, ""))
    answer = RedirectResponse(
        f"/{language or chosen(request.headers.get('accept-language', ''))}/", status_code=303
    )
    if _known(asked):
        answer.set_cookie(_LANGUAGE, asked, max_age=31_536_000, samesite="lax")
    return answer


async def _static(request: Request) -> Response:
    """The page's script and its style."""
    name = request.path_params["name"]
    if name not in _SERVED:
        return Response(status_code=404)
    return FileResponse(_STATIC / name, headers={"Cache-Control": "no-cache"})


def _words(language: Language, limits: Limits) -> Route:
    """What the script says, and what it refuses by itself before an upload."""
    said = {key: texts[LANGUAGES.index(language)] for key, texts in WORDS.items()}
    content = {
        "words": said,
        "megabytes": limits.megabytes,
        "suffixes": sorted(PICTURES | VIDEOS),
    }

    async def answer(request: Request) -> Response:
        return JSONResponse(content)

    return Route(f"/words/{language}", answer)


async def _icon(request: Request) -> Response:
    return FileResponse(_STATIC / "icon.svg")


def _known(word: str) -> Language | None:
    return next((language for language in LANGUAGES if language == word), None)
