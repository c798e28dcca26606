"""Processes of the suite that begin with torch and Lightning imported, which is most of their time.

One process for each pytest worker imports them once, and forks for each command. What a start is
itself about (imports, the environment that a process was given, workers of a sweep) takes a real
one.
"""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import mkdtemp

# For every process of the tests that is started by `forkserver`.
multiprocessing.set_forkserver_preload(["sr_experiments.runs.execute", "warm_process"])


class WarmProcess:
    """``python -m sr_experiments WORDS``, with what the tests use of :class:`subprocess.Popen`.

    Args:
        words: the arguments.
        cwd: its working directory.
        environment: its variables; those that a library reads when it is imported come too late.
        before: called in it first, by a name that can be imported.
    """

    def __init__(
        self,
        words: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        before: Callable[[], None] | None = None,
    ) -> None:
        self.words = words
        self._files = [Path(mkdtemp(dir=cwd, prefix=".output")) / n for n in ("stdout", "stderr")]
        context = multiprocessing.get_context("forkserver")
        arguments = (words, str(cwd), dict(environment), self._files, before)
        self._process: ForkServerProcess = context.Process(target=_command, args=arguments)
        self._process.start()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        return self._process.exitcode

    @property
    def returncode(self) -> int | None:
        """As :meth:`poll`."""
        return self.poll()

    @property
    def output(self) -> str:
        """All that it wrote so far."""
        return "".join(file.read_text() for file in self._files if file.exists())

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, timeout: float = 240) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it runs on; it is killed.
        """
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            self._process.kill()
            raise subprocess.TimeoutExpired(" ".join(self.words), timeout)
        return code

    def completed(self, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Wait for its end."""
        code = self.wait(timeout)
        return subprocess.CompletedProcess(self.words, code, *(f.read_text() for f in self._files))


def _command(
    words: Sequence[str],
    cwd: str,
    environment: Mapping[str, str],
    files: Sequence[Path],
    before: Callable[[], None] | None,
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    for descriptor, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), descriptor)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", closefd=False)
    sys.argv[1:] = words
    if before is not None:
        before()
    from sr_experiments.__main__ import main

    code = main(words)
    sys.stdout.flush()
    atexit._run_exitfuncs()
    sys.exit(code)
