"""What the commands' parsers have in common. Nothing here imports torch."""

import argparse
import math
from typing import NoReturn

from sr_experiments.core.errors import UserError


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are a :class:`UserError`, one line like any other."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise UserError(f"{message}; --help lists what can be given")


def whole(text: str, least: float, most: float, says: str) -> int:
    """A whole number of plain digits.

    Raises:
        UserError: it is none, or beyond its bounds; ``says`` is the message.
    """
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise UserError(says)
    return int(text)


def number(text: str, least: float, most: float, says: str) -> float:
    """A number.

    Raises:
        UserError: it is none, or beyond its bounds; ``says`` is the message.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise UserError(says)
    return value
