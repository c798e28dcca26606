"""What is printed on a terminal. rich is imported only where a console is made."""

import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

#: Width of what is not a terminal: tables in a file or pipe are as wide as their content.
_UNLIMITED = 10_000


def output() -> "Console":
    """A console on stdout that prints text as it is: no markup, no highlighting, no wrapping.

    What the stream cannot encode, such as a file name on an ASCII terminal, is escaped.
    """
    return _console(stderr=False)


def errors() -> "Console":
    """As :func:`output`, on stderr: for progress bars, which do not belong into results."""
    return _console(stderr=True)


def _console(stderr: bool) -> "Console":
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _UNLIMITED
    return console


def print_table(console: "Console", table: object) -> None:
    """Print a table, folded where the terminal is too narrow for it."""
    console.print(table, soft_wrap=False)


def print_error(error: object) -> None:
    """Print ``error: ...`` on stderr."""
    sys.stderr.write(f"error: {error}\n")


def duration(seconds: float) -> str:
    """A time span in seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.{1 if seconds < 36000 else 0}f} hours"
