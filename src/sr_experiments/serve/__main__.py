"""Serve a page on which pictures and videos are enlarged.

``python -m sr_experiments.serve`` answers to this machine alone, unless it is told otherwise, and
sends nothing anywhere.
"""

import importlib.util
import logging
import socket
import sys
import webbrowser
from argparse import Namespace
from dataclasses import fields
from pathlib import Path
from typing import Any

from sr_experiments.core.cli import Parser, number, whole
from sr_experiments.core.errors import UserError
from sr_experiments.serve.limits import Limits

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: Option -> what it bounds; the defaults stand in :class:`Limits`.
_LIMITS = {
    "megabytes": "of one uploaded file",
    "megapixels": "of a picture, all frames of an animation, or a frame of a video",
    "result_megapixels": "likewise, of the result",
    "seconds": "of a video",
    "per_visitor": "files that one visitor may have here",
    "in_all": "files that all visitors may have here",
    "job_minutes": "that one file may be worked on",
    "keep_minutes": "after which a file and its result are deleted",
}


def main(argv: list[str] | None = None) -> int:
    """Serve until interrupted.

    Returns:
        0 after an interruption, 2 for a user's mistake, 1 if the server could not begin.
    """
    try:
        options = _parser().parse_args(argv)
        password = _password(options.password_file)
        limits = Limits(**{name: getattr(options, name) for name in _LIMITS})
        listener = _listener(options.host, options.port)
        try:
            guarded = _application(options, limits, password)
        except BaseException:
            listener.close()
            raise
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return _serve(guarded, listener, options, limits, password)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m sr_experiments.serve",
        description="Serve a page on which pictures and videos are dropped, enlarged, compared "
        "with bicubic and downloaded. Nothing leaves this machine.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s, this machine)")
    add(
        "--port",
        type=whole(0, 65535),
        default=7860,
        help="%(default)s by default; 0 for any that is free",
    )
    add("--open", action="store_true", help="open the page in the browser")
    add(
        "--model",
        metavar="NAME=PATH",
        action="append",
        default=[],
        help="one more network to choose: a run's directory or a file of weights; may be repeated",
    )
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where it works")
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
        help="ask visitors whether their pictures may be kept there, as PNG, to train on with "
        "data=folder",
    )
    add(
        "--no-speed",
        dest="speed",
        action="store_false",
        help="do not measure at the start, in two seconds, how fast this machine is",
    )
    add("--work", metavar="DIR", type=Path, help="where the server makes its temporary folder")
    defaults = Limits()
    for name, text in _LIMITS.items():
        value = getattr(defaults, name)
        add(
            f"--{name.replace('_', '-')}",
            metavar="N",
            type=number(0, above=True) if isinstance(value, float) else whole(1),
            default=value,
            help=f"{text} (%(default)s)",
        )
    return parser


def _application(options: Namespace, limits: Limits, password: str | None) -> Any:
    if not _installed("gradio"):
        raise UserError(
            "the page needs Gradio, which is not installed: pip install 'sr_experiments[web]'"
        )
    # Before anything is imported that takes its time.
    if options.keep_uploads is not None:
        _writable(options.keep_uploads)

    import torch

    from sr_experiments.serve.app import application
    from sr_experiments.serve.model_list import Catalogue
    from sr_experiments.serve.storage import Storage
    from sr_experiments.upscale.video.convert import require_av

    require_av()
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    elif device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no GPU here; leave it out")
    catalogue = Catalogue(options.model, device)
    return application(
        Storage(options.work),
        catalogue,
        limits,
        kept=options.keep_uploads,
        password=password,
        any_host=options.host not in _LOOPBACK,
        speed=_speed(catalogue) if options.speed else None,
    )


def _installed(name: str) -> bool:
    """Without importing it: its settings are made before that."""
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False


def _speed(catalogue: Any) -> dict[str, str]:
    """How fast the first network is here, measured in two seconds."""
    from sr_experiments.serve.jobs import Content, Kind, Settings
    from sr_experiments.upscale.throughput import machine, quick

    figure_of = Settings(catalogue.default)
    content = Content(Kind.VIDEO, 640, 360)
    upscaler = catalogue.upscaler(figure_of, content)
    figure = quick(upscaler, content.height, content.width)
    return {
        "model": catalogue.default,
        "rate": f"{figure.per_second:.2g}",
        "size": f"{figure.width}x{figure.height}",
        "scale": f"{float(figure_of.scale):g}",
        "machine": machine(upscaler.device),
    }


def _serve(
    guarded: Any, listener: socket.socket, options: Namespace, limits: Limits, password: str | None
) -> int:
    import uvicorn
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    host, port = listener.getsockname()[:2]
    name = f"[{host}]" if ":" in host else host
    shown = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(name, name)
    address = f"http://{shown}:{port}/"
    bounds = ", ".join(
        f"{field.name.replace('_', ' ')} {getattr(limits, field.name):g}"
        for field in fields(limits)
        if field.name in _LIMITS
    )
    console.print(f"limits: {bounds}")
    if options.host not in _LOOPBACK and password is None:
        sys.stderr.write(
            f"warning: --host {options.host} lets others use this machine, and there is no "
            "password; --password-file FILE asks for one\n"
        )
    console.print(f"the page is at {address}, until Ctrl-C")
    if options.open:
        webbrowser.open(address)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    server = uvicorn.Server(
        uvicorn.Config(
            guarded,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=3,
        )
    )
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()
    return 0 if server.started else 1


def _listener(host: str, port: int) -> socket.socket:
    """A bound socket, so that a taken port is told before anything is loaded."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UserError(
            f"--host {host} --port {port}: cannot listen there ({error.strerror or error}); "
            "another --port may be free"
        ) from None
    return listener


def _password(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise UserError(f"--password-file {file}: cannot be read ({reason})") from None
    if not lines or not lines[0].strip():
        raise UserError(f"--password-file {file}: its first line is empty; write a password there")
    return lines[0].strip()


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".sr-serve"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"--keep-uploads {folder}: cannot be written ({error.strerror or error})"
        ) from None


if __name__ == "__main__":
    raise SystemExit(main())
