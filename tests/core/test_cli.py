"""What every command promises: argument errors, exit codes, a line on stderr."""

import logging
import subprocess
import sys
from fractions import Fraction

import pytest

from sr_experiments.core.cli import RESUMES, Parser, command, fraction, number, whole
from sr_experiments.core.errors import UserError


@pytest.mark.parametrize(
    ("convert", "text", "value"),
    [
        (whole(0, 65535), "65535", 65535),
        (whole(1), "007", 7),
        (number(0, 1), "0.25", 0.25),
        (number(0, above=True), "1e-3", 1e-3),
        (fraction(0), "29.97", Fraction(2997, 100)),
        (fraction(1, 8, above=True), "3/2", Fraction(3, 2)),
    ],
)
def test_arguments_that_are_accepted(convert, text, value):
    parser = Parser()
    parser.add_argument("--option", type=convert)
    assert parser.parse_args(["--option", text]).option == value


@pytest.mark.parametrize(
    ("convert", "text", "bounds"),
    [
        (whole(0, 65535), "65536", "an integer from 0 to 65535"),
        (whole(1), "0", "an integer of at least 1"),
        (whole(1), "1.5", "an integer of at least 1"),
        (whole(1), "²", "an integer"),
        (whole(1), "+3", "an integer"),
        (number(0, 1), "nan", "a number from 0 to 1"),
        (number(0, 1), "1.01", "a number from 0 to 1"),
        (number(0), "inf", "a number of at least 0"),
        (fraction(1, 8, above=True), "1", "a number above 1 and at most 8"),
        (fraction(0), "1/0", "a number of at least 0"),
    ],
)
def test_arguments_that_are_refused(convert, text, bounds):
    parser = Parser()
    parser.add_argument("--option", type=convert)
    with pytest.raises(UserError) as caught:
        parser.parse_args(["--option", text])
    assert caught.value.code == "bad-command-line"
    assert f"--option: {text}: expected {bounds}" in str(caught.value)


def test_a_user_error_is_one_line_and_exit_code_two(capsys):
    @command()
    def main(argv=None):
        raise UserError("no-such-thing", "{name}: no such thing", name=argv[0])

    assert main(["x"]) == 2
    assert capsys.readouterr() == ("", "error: x: no such thing\n")


@pytest.mark.parametrize(
    ("interrupted", "line"),
    [("", "interrupted"), (RESUMES, "interrupted; run the same command again to resume")],
)
def test_an_interrupted_command(capsys, interrupted, line):
    @command(interrupted)
    def main(argv=None):
        raise KeyboardInterrupt

    assert main([]) == 130
    assert capsys.readouterr() == ("", f"error: {line}\n")


def test_a_defect_keeps_its_traceback():
    @command()
    def main(argv=None):
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        main([])


def test_warnings_of_the_package_are_shown_once(capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])

    @command()
    def main(argv=None):
        logging.getLogger("sr_experiments.data").warning("%d images missing", 3)
        return 0

    assert main([]) == main([]) == 0
    assert capsys.readouterr().err == "warning: 3 images missing\n" * 2


@pytest.mark.parametrize(
    "words", [["sr_experiments", "--help"], ["sr_experiments.status", "--json", "."]]
)
def test_a_reader_that_has_gone_is_no_failure(environment, words):
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 141
