"""Only one process at a time computes a run, also where several machines see one folder.

``.locks/<identity>.<generation>.json`` names an owner, who rewrites it every few seconds. The
highest generation is in force. Who finds it given back, its process ended, or its content unchanged
while looking on for a minute creates the next generation, which only one can: exclusive creation is
atomic on local disks and on NFS. A generation never comes back, so an owner that stood still, as in
a stopped process or a laptop that slept, sees that it has lost the run and ends.

Not ``flock``: whether it excludes processes of other machines depends on how a network file system
was mounted, and it names nobody. Not filelock's ``SoftFileLock``: it has no sign of life, so the
lock of a machine that died stays for ever.

Nothing here imports torch.
"""

import os
import platform
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.runs.records import Record

#: Seconds between two signs of life, and without one after which an owner counts as gone.
EVERY, SILENT = 10.0, 60.0


class Owner(Record):
    """Who computes a run.

    ``machine`` tells apart what numbers processes by itself: a machine since its start, or a
    container. ``process_started`` tells a process from a later one of the same number. ``beat``
    counts signs of life; an owner that gave the run back has ``given_back``.
    """

    host: str
    machine: str
    process: int
    process_started: str
    beat: int = 0
    given_back: bool = False

    @classmethod
    def here(cls) -> "Owner":
        """This process."""
        process = os.getpid()
        return cls(
            host=platform.node(),
            machine=_machine(),
            process=process,
            process_started=_started(process),
        )

    def has_ended(self) -> bool:
        """Whether the process ran on this machine, and runs no longer."""
        if self.machine != _machine():
            return False
        return is_gone(self.process) or _started(self.process) != self.process_started

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


class Lease:
    """The right to compute a run, held while the block is entered.

    Args:
        runs: root of the run directories.
        identity: of the run.
        say: told in one line whom this process waits for, and whose run it takes over.
        every: seconds between two signs of life.
        silent: seconds without one after which an owner on another machine counts as gone.
    """

    def __init__(
        self,
        runs: Path,
        identity: str,
        say: Callable[[str], None],
        every: float = EVERY,
        silent: float = SILENT,
    ) -> None:
        self.folder, self.name = runs / ".locks", identity[:16]
        self.say, self.every, self.silent = say, every, silent
        self.owner, self.generation = Owner.here(), 0
        self.over, self.lost = threading.Event(), False

    def __enter__(self) -> Self:
        """Wait until the run is free.

        Raises:
            UserError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._refused(error) from None
        seen: tuple[int, Owner | None] | None = None
        still, looked, told = 0.0, time.monotonic(), False
        pause = min(0.5, self.every)
        while True:
            generation = self._newest()
            owner = self._read(generation)
            # Time in which this process was stopped does not count: the owner may have been, too.
            passed = min(time.monotonic() - looked, 2 * pause)
            still = still + passed if (generation, owner) == seen else 0.0
            seen, looked = (generation, owner), time.monotonic()
            ended = owner is not None and owner.has_ended()
            free = generation == 0 or (owner is not None and owner.given_back)
            if (free or ended or still > self.silent) and self._create(generation + 1):
                if not free:
                    how = "has ended" if ended else f"gave no sign of life for {still:.0f} s"
                    self.say(f"{owner or 'another process'} {how}; this run is taken over from it")
                break
            if not (told or free or ended):
                self.say(f"{owner or 'another process'} computes this run; waiting for it")
                told = True
            time.sleep(pause)
        self.thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.over.set()
        self.thread.join()
        if not self.lost:
            self._write(self.owner.model_copy(update={"given_back": True}))

    def check(self) -> None:
        """Nothing, as long as the run is this process's.

        Raises:
            UserError: another process has taken it over, and this one must write nothing more.
        """
        newest = self._newest()
        if newest > self.generation:
            self.lost = True
        if self.lost:
            raise UserError(
                "run-taken-over",
                "{owner} has taken this run over, because this process gave no sign of life for "
                "{silent:.0f} s; it is computed there",
                owner=self._read(newest) or "another process",
                silent=self.silent,
            )

    def _beat(self) -> None:
        while not self.over.wait(self.every):
            if self._newest() > self.generation:
                self.lost = True
                return
            self.owner = self.owner.model_copy(update={"beat": self.owner.beat + 1})
            self._write(self.owner)

    def _path(self, generation: int) -> Path:
        return self.folder / f"{self.name}.{generation}.json"

    def _generations(self) -> list[int]:
        names = (path.name.split(".")[1] for path in self.folder.glob(f"{self.name}.*.json"))
        return [int(name) for name in names if name.isdecimal()]

    def _newest(self) -> int:
        return max(self._generations(), default=0)

    def _read(self, generation: int) -> Owner | None:
        """None if there is none, or it is just being written."""
        try:
            return Owner.model_validate_json(self._path(generation).read_bytes())
        except (OSError, ValueError):
            return None

    def _create(self, generation: int) -> bool:
        """Whether this process is the one that created the generation, and it is in force."""
        path = self._path(generation)
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(self.owner.to_json())
        except FileExistsError:
            return False
        except OSError as error:
            raise self._refused(error) from None
        if self._newest() > generation:  # the list above was an old one, as caches of NFS have
            path.unlink(missing_ok=True)
            return False
        self.generation = generation
        for old in self._generations():
            if old < generation:
                self._path(old).unlink(missing_ok=True)
        return True

    def _refused(self, error: OSError) -> UserError:
        return UserError(
            "runs-not-writable",
            "paths.runs={runs}: cannot be written ({reason})",
            runs=self.folder.parent,
            reason=error.strerror,
        )

    def _write(self, owner: Owner) -> None:
        # A sign of life that a full disk swallows is no failure of the run.
        with suppress(UserError), atomic_write(self._path(self.generation)) as temporary:
            temporary.write_text(owner.to_json(), encoding="utf-8")


def is_gone(process: int) -> bool:
    """Whether no process of this machine has a number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:  # not Linux
        return platform.node()


def _started(process: int) -> str:
    """When a process started, in ticks since the machine's start; empty if unknown or ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
