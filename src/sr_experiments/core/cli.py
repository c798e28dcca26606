"""What the command lines have in common: parser, argument types, exit codes.

Nothing here imports torch, rich or any other large package, so that ``--help`` is immediate.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import wraps
from typing import NoReturn, Protocol

from sr_experiments.core.console import print_error
from sr_experiments.core.errors import UserError

#: What an interrupted command says if the same command resumes its work.
RESUMES = "run the same command again to resume"


class Main(Protocol):
    """A command's entry point; ``argv`` is ``sys.argv[1:]`` by default."""

    def __call__(self, argv: list[str] | None = None) -> int:
        """Return the exit code."""
        ...


class Parser(argparse.ArgumentParser):
    """A parser that raises :class:`UserError` instead of printing its usage and exiting."""

    def error(self, message: str) -> NoReturn:
        """Raise ``bad-command-line``."""
        raise UserError("bad-command-line", "{reason}; --help lists the options", reason=message)


def command(interrupted: str = "") -> Callable[[Callable[[list[str] | None], int]], Main]:
    """Decorate a command's ``main(argv)`` so that a user's mistake is one line on stderr.

    A :class:`UserError` becomes ``error: ...`` and exit code 2, Ctrl-C a line and exit code 130, a
    reader that has gone exit code 141 without a word.
    Warnings that the package logs go to stderr, unless the program has set up logging itself.

    Args:
        interrupted: what to say after Ctrl-C, such as :data:`RESUMES`.
    """

    def decorate(main: Callable[[list[str] | None], int]) -> Main:
        @wraps(main)
        def wrapper(argv: list[str] | None = None) -> int:
            try:
                with _warnings_on_stderr():
                    code = main(argv)
                    sys.stdout.flush()
                    return code
            except UserError as error:
                print_error(error)
                return 2
            except KeyboardInterrupt:
                print_error(f"interrupted; {interrupted}" if interrupted else "interrupted")
                return 130
            except BrokenPipeError:
                return reader_has_gone()

        return wrapper

    return decorate


def reader_has_gone() -> int:
    """After a ``BrokenPipeError``: ``head``, say, has seen enough, and nothing more is written.

    Returns:
        The exit code of a program that SIGPIPE ends.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


@contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("warning: %(message)s"))
    handler.addFilter(lambda record: not logging.getLogger().handlers)
    logger = logging.getLogger("sr_experiments")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """An argument type: an integer from ``least`` to ``most``, in plain digits."""

    def convert(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not _within(int(text), least, most):
            raise argparse.ArgumentTypeError(
                f"{text}: expected an integer {_bounds(least, most, False)}"
            )
        return int(text)

    return convert


def fraction(
    least: float, most: float | None = None, *, above: bool = False
) -> Callable[[str], Fraction]:
    """An argument type: an exact number such as ``1.5`` or ``3/2``.

    Args:
        least: the smallest value that is accepted.
        most: the largest.
        above: exclude ``least`` itself.
    """

    def convert(text: str) -> Fraction:
        try:
            value = Fraction(text)
        except (ValueError, ZeroDivisionError):
            value = None
        if value is None or not _within(value, least, most) or (above and value == least):
            raise argparse.ArgumentTypeError(
                f"{text}: expected a number {_bounds(least, most, above)}"
            )
        return value

    return convert


def number(
    least: float, most: float | None = None, *, above: bool = False
) -> Callable[[str], float]:
    """An argument type: as :func:`fraction`, rounded to a float."""
    exact = fraction(least, most, above=above)
    return lambda text: float(exact(text))


def _within(value: float | Fraction, least: float, most: float | None) -> bool:
    return least <= value and (most is None or value <= most)


def _bounds(least: float, most: float | None, above: bool) -> str:
    if above:
        return f"above {least}" + ("" if most is None else f" and at most {most}")
    return f"of at least {least}" if most is None else f"from {least} to {most}"
