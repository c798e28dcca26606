"""Printing survives any terminal."""

import os
import subprocess
import sys

import pytest

from sr_experiments.core.console import duration

CODE = """
from rich.table import Table
from sr_experiments.core.console import errors, output, print_error, print_table
name = "f\\u00fcr [bold]\\udcff" + 60 * " long" + ".png"
output().print(name)
table = Table("name")
table.add_row(name)
print_table(output(), table)
errors().print(name)
print_error(name)
"""


def test_names_that_the_terminal_cannot_show_are_escaped_and_not_wrapped():
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "COLUMNS": "40"}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    name = "f\\xfcr [bold]\\udcff" + 60 * " long" + ".png"
    out, err = done.stdout.decode("ascii"), done.stderr.decode("ascii")
    assert out.splitlines()[0] == name and err == f"{name}\nerror: {name}\n"
    assert any(name in line for line in out.splitlines()[1:]), "a table in a pipe is not folded"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 hours"), (36e6, "10,000 hours")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
