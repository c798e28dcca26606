"""Serve a web page that enlarges images and videos.

``python -m sr_experiments.serve`` is reachable from this machine only unless ``--host`` says
otherwise, and sends nothing anywhere.
"""

import importlib.util
import logging
import socket
import sys
import webbrowser
from argparse import Namespace
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from sr_experiments.core.cli import Parser, command, number, whole
from sr_experiments.core.errors import UserError
from sr_experiments.serve.limits import Limits

if TYPE_CHECKING:
    from starlette.applications import Starlette

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: Packages of the extra `web`.
_NEEDED = ("starlette", "uvicorn", "jinja2", "av")
#: Option -> what it limits; the defaults are those of :class:`Limits`.
_LIMITS = {
    "megabytes": "of one uploaded file",
    "megapixels": "of an image, of all frames of an animation, or of a frame of a video",
    "result_megapixels": "the same, of the result",
    "seconds": "of a video",
    "per_visitor": "files that one visitor may have on the server",
    "in_all": "files that all visitors together may have",
    "job_minutes": "that one file may be processed",
    "keep_minutes": "after which a file and its result are deleted",
}


@command()
def main(argv: list[str] | None = None) -> int:
    """Serve until interrupted.

    Returns:
        0 after an interruption, 2 for a user's mistake, 1 if the server could not start.
    """
    options = _parser().parse_args(argv)
    password = _password(options.password_file)
    limits = Limits(**{name: getattr(options, name) for name in _LIMITS})
    listener = _listener(options.host, options.port)
    try:
        application = _application(options, limits, password)
        return _serve(application, listener, options, limits, password)
    finally:
        listener.close()


def _parser() -> Parser:
    parser = Parser(
        prog="python -m sr_experiments.serve",
        description="Serve a page to enlarge images and videos by drag and drop, compare them with "
        "bicubic and download them. Nothing leaves this machine.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s: this machine only)")
    add("--port", type=whole(0, 65535), default=7860, help="%(default)s; 0 for any that is free")
    add("--open", action="store_true", help="open the page in the browser")
    add(
        "--model",
        metavar="NAME=PATH",
        action="append",
        default=[],
        help="offer one more network: a run's directory or a file of weights; may be repeated",
    )
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where networks compute")
    add(
        "--password-file",
        metavar="FILE",
        type=Path,
        help="ask for the password in its first line, with any user name",
    )
    add(
        "--keep-uploads",
        metavar="DIR",
        type=Path,
        help="ask visitors whether their images may be kept there, as PNG, to train on with "
        "data=folder",
    )
    add(
        "--no-speed",
        dest="speed",
        action="store_false",
        help="do not measure, for two seconds before the first file, how fast this machine is",
    )
    add(
        "--root-path",
        metavar="PATH",
        default="",
        help="the path under which a proxy shows the page, such as /sr/",
    )
    add(
        "--trusted-proxy",
        metavar="ADDRESS",
        action="append",
        default=[],
        help="believe X-Forwarded-Host and X-Forwarded-Proto of a proxy with this address, such "
        "as 127.0.0.1; may be repeated",
    )
    add("--work", metavar="DIR", type=Path, help="where the server creates its temporary folder")
    defaults = Limits()
    for name, text in _LIMITS.items():
        value = getattr(defaults, name)
        add(
            f"--{name.replace('_', '-')}",
            metavar="N",
            type=number(0, 999_999, above=True) if isinstance(value, float) else whole(1, 10**9),
            default=value,
            help=f"{text} (%(default)s)",
        )
    return parser


def _application(options: Namespace, limits: Limits, password: str | None) -> "Starlette":
    missing = [name for name in _NEEDED if not _installed(name)]
    if missing:
        raise UserError(
            "web-extra-missing",
            "the page needs {packages}: pip install 'sr_experiments[web]'",
            packages=", ".join(missing),
        )
    if options.keep_uploads is not None:
        _check_writable(options.keep_uploads)

    from sr_experiments.serve.app import application
    from sr_experiments.serve.model_list import ModelList
    from sr_experiments.serve.storage import Storage

    models = ModelList(options.model, options.device)
    return application(
        Storage(options.work),
        models,
        limits,
        kept=options.keep_uploads,
        password=password,
        any_host=options.host not in _LOOPBACK,
        measure_speed=options.speed,
        root_path=options.root_path and "/" + options.root_path.strip("/"),
        trusted_proxies=options.trusted_proxy,
    )


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:  # an import hook hides it
        return False


def _serve(
    application: "Starlette",
    listener: socket.socket,
    options: Namespace,
    limits: Limits,
    password: str | None,
) -> int:
    import uvicorn

    from sr_experiments.core.console import output

    console = output()
    host, port = listener.getsockname()[:2]
    name = f"[{host}]" if ":" in host else host
    name = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(name, name)
    address = f"http://{name}:{port}/"
    bounds = ", ".join(
        f"{field.name.replace('_', ' ')} {getattr(limits, field.name):g}"
        for field in fields(limits)
        if field.name in _LIMITS
    )
    console.print(f"limits: {bounds}")
    if options.host not in _LOOPBACK and password is None:
        sys.stderr.write(
            f"warning: --host {options.host} lets others use this machine without a password; "
            "--password-file FILE asks for one\n"
        )
    console.print(f"serving {address} until Ctrl-C")
    if options.open:
        webbrowser.open(address)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # guard.BehindProxy
            timeout_keep_alive=10,
            timeout_graceful_shutdown=3,
        )
    )
    with suppress(KeyboardInterrupt):  # how a server is meant to be stopped
        server.run(sockets=[listener])
    return 0 if server.started else 1


def _listener(host: str, port: int) -> socket.socket:
    """A bound socket, so that a taken port is reported before anything is loaded."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UserError(
            "cannot-listen",
            "--host {host} --port {port}: cannot listen there ({reason}); another --port may be "
            "free",
            host=host,
            port=port,
            reason=error.strerror or error,
        ) from None
    return listener


def _password(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            "password-file-unreadable",
            "--password-file {path}: cannot be read ({reason})",
            path=file,
            reason=getattr(error, "strerror", None) or "not UTF-8",
        ) from None
    if not lines or not lines[0].strip():
        raise UserError(
            "password-file-empty",
            "--password-file {path}: its first line is empty; write a password there",
            path=file,
        )
    return lines[0].strip()


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".sr-serve"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            "keep-folder-not-writable",
            "--keep-uploads {folder}: cannot be written ({reason}); name another folder",
            folder=folder,
            reason=error.strerror or error,
        ) from None


if __name__ == "__main__":
    raise SystemExit(main())
