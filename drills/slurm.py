"""A real SLURM cancels, requeues and warns the jobs of a sweep; the scores stay the same.

``python drills/slurm.py`` starts a SLURM of one node (see ``slurm_node.sh``), runs the activation
sweep with ``hydra/launcher=slurm``, ends three of its jobs in three ways, lets the same command
compute what is missing, runs two jobs that are longer than their time limit, and the job script of
the README. Everything is compared with ``hydra/launcher=basic``, byte for byte. Exits 1 if
something differs.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from common import places, start
from sweeps import (
    EPOCHS,
    RUN,
    SWEEP,
    DrillError,
    carry_out,
    check,
    compare,
    epochs,
    finish,
    in_mid_training,
    process_of,
    runs_of,
    say,
    state,
    until,
)

from sr_experiments.runs.directory import RunDirectory

HERE = Path(__file__).resolve().parent
NODE = HERE / "slurm_node.sh"
LAUNCHER = ("hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=2")
#: SLURM looks at limits every 30 s, so a warning 20 s before the end of a minute comes 10 to 40 s
#: after the start. So the runs that are to meet their limit are three times as long as the sweep's.
LIMIT = ("hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=20")
LONG = (*RUN, f"training.epochs={3 * EPOCHS}")
LIMITED = ("-m", "name=limited", *LONG, "seed=1,2")
RESUMED = "going on from its last checkpoint"
SCRIPTED = ("name=scripted", *LONG, "seed=3")


def slurm(*command: str) -> str:
    """What a command of SLURM prints.

    Raises:
        DrillError: it failed.
    """
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        said = ended.stderr.strip() or "no reason given"
        raise DrillError(f"{' '.join(command)}: exit code {ended.returncode}, {said}")
    return ended.stdout.strip()


def job_of(run: RunDirectory) -> str:
    """The job of a sweep that computes a run: ``3_1``."""
    lines = Path(f"/proc/{process_of(run)}/environ").read_text().split("\0")
    variables = dict(line.split("=", 1) for line in lines if "=" in line)
    return f"{variables['SLURM_ARRAY_JOB_ID']}_{variables['SLURM_ARRAY_TASK_ID']}"


def history_of(job: str) -> list[str]:
    """How each life of a job ended, oldest first: ``REQUEUED 0:0``."""
    lines = slurm(
        *("sacct", "--duplicates", "--allocations", "--noheader", "--parsable2"),
        *("--format=JobID,State,ExitCode", f"--jobs={job}"),
    )
    rows = [line.split("|") for line in lines.splitlines()]
    return [f"{state.split()[0]} {code}" for number, state, code in rows if number == job]


def ended(job: str) -> str | None:
    """How a job ended; None as long as it has not."""
    lives = history_of(job)
    words = ("PENDING", "RUNNING", "REQUEUED", "COMPLETING")
    return None if not lives or lives[-1].startswith(words) else lives[-1]


def end_job(
    folder: Path, done: list[Path], *command: str, step: str = ""
) -> tuple[RunDirectory, str]:
    """End the job of a run in mid-training; the run has to be saved and marked as interrupted.

    Args:
        folder: of the sweep.
        done: the runs that were ended before; this one is added.
        command: of SLURM, without the job.
        step: ``.0`` for the job's step alone.
    """
    run = until(
        "a run in mid-training", lambda: in_mid_training(folder, lambda run: run.path not in done)
    )
    job, before = job_of(run), epochs(run)
    done.append(run.path)
    slurm(*command, job + step)
    until(f"{run.path.name}: interrupted", lambda: state(run) == "interrupted" or None, 60)
    check(run.checkpoint.exists(), f"{run.path.name} has saved a checkpoint")
    progress = run.progress()
    reached = f"update {progress.update}" if progress else f"epoch {before}"
    say(f"{' '.join(command)} {job}{step}: {run.path.name} interrupted after {reached}")
    return run, job


def resumed(folder: Path) -> int:
    """How often jobs of sweeps have gone on from a checkpoint."""
    logs = folder.glob("runs/.multirun/*/.submitit/*/*_log.out")
    return sum(file.read_text().count(RESUMED) for file in logs)


def sweep_with_accidents(folder: Path) -> None:
    """The sweep, with one job cancelled, one requeued and one asked to end."""
    log = folder / "first.log"
    sweep = start([*SWEEP, *LAUNCHER], folder, log)
    done: list[Path] = []
    _, cancelled = end_job(folder, done, "scancel")
    requeued, job = end_job(folder, done, "scontrol", "requeue")
    # Of the step: SLURM 22.05 signals an element of an array, and calls it a failure.
    _, warned = end_job(folder, done, "scancel", "--signal=USR1", step=".0")
    say(f"the sweep: {finish(sweep, log)}")
    check(sweep.returncode == 1, "a sweep that lacks results exits with 1")
    say(f"the cancelled job ended {until('its end', lambda: ended(cancelled))}")
    lives = until("its end", lambda: history_of(job) if ended(job) else None)
    say(f"the requeued job ended {', then '.join(lives)}; its run is {state(requeued)}")
    check(lives[-1] == "COMPLETED 0:0" and len(lives) > 1, "a requeued job goes on by itself")
    how = until("its end", lambda: ended(warned))
    say(f"the job that was sent SIGUSR1 ended {how}")
    check(how == "FAILED 75:0", "SIGUSR1 ends a job with exit code 75")
    running = [run.path.name for run in runs_of(folder) if state(run) == "running"]
    check(not running, f"no run is left marked as running: {running}")

    log = folder / "second.log"
    again = start([*SWEEP, *LAUNCHER], folder, log)
    say(f"the same command again: {finish(again, log)}")
    check(again.returncode == 0, "the same command computes what is missing")
    times = resumed(folder)
    say(f"the sweep: went on from a checkpoint {times} times")
    check(times == len(done), "each of the runs that were ended went on from its checkpoint")


def sweep_beyond_its_limit(folder: Path) -> None:
    """Two jobs that take longer than SLURM gives them, which submitit requeues."""
    log, before = folder / "limited.log", resumed(folder)
    sweep = start([*LIMITED, *LAUNCHER, *LIMIT], folder, log)
    say(f"jobs of a minute: {finish(sweep, log)}")
    times = resumed(folder) - before
    say(f"jobs of a minute: went on from a checkpoint {times} times")
    check(sweep.returncode == 0, "jobs that reach their limit are requeued and end")
    check(times > 0, "a job that reached its limit has saved its training")


def script_of_the_readme(folder: Path) -> bool:
    """The README's job script, with a limit of one minute: it requeues itself until it is done.

    Returns:
        Whether SLURM then counts it as completed.
    """
    text = (HERE.parent / "README.md").read_text()
    (block,) = re.findall(r"```sh\n(#SBATCH --requeue .*?)```", text, re.DOTALL)
    block = re.sub(r"USR1@\d+", "USR1@20", block)
    command = f"{sys.executable} -m sr_experiments {' '.join(SCRIPTED)}"
    block, count = re.subn(r"python -m sr_experiments( \w+=\w+)*", command, block)
    check(count == 1, "the README's job script calls the suite once")
    script = folder / "job.sh"
    script.write_text(f"#!/bin/bash\n{block}")
    script.chmod(0o755)
    os.environ |= places(folder)
    job = slurm(
        *(
            "sbatch",
            "--parsable",
            "--time=1",
            "--mem=2G",
            f"--chdir={folder}",
            "--open-mode=append",
        ),
        *(f"--output={folder / 'job.log'}", str(script)),
    )
    until("the end of the job script", lambda: ended(job), 600)
    lives = history_of(job)
    times = (folder / "job.log").read_text().count(RESUMED)
    say(f"the README's job script ended {', then '.join(lives)}; resumed {times} times")
    check(times > 0, "the job script was warned and has requeued itself")
    return lives[-1] == "COMPLETED 0:0"


def drill(root: Path) -> int:
    """Carry out the drill below a folder; the exit code."""
    reference, folder = root / "basic", root / "slurm"
    for log, words in (("sweep", SWEEP), ("limited", LIMITED), ("scripted", SCRIPTED)):
        plain = start(words, reference, reference / f"{log}.log")
        said = finish(plain, reference / f"{log}.log")
        say(f"reference, {log}, hydra/launcher=basic: {said}")
        check(plain.returncode == 0, "the reference is computed")
    subprocess.run([NODE, "start"], check=True)
    where = subprocess.run([NODE, "folder"], check=True, capture_output=True, text=True)
    os.environ["SLURM_CONF"] = f"{where.stdout.strip()}/slurm.conf"
    node = slurm("sinfo", "--noheader", "--format=%N %T, %c CPUs, %m MB")
    say(f"{slurm('sinfo', '--version')}: {node}")
    sweep_with_accidents(folder)
    sweep_beyond_its_limit(folder)
    completed = script_of_the_readme(folder)
    return compare(reference, folder) or int(not completed)


def stop() -> None:
    """End the daemons."""
    subprocess.run([NODE, "stop"], check=False)


if __name__ == "__main__":
    raise SystemExit(carry_out(__doc__, drill, stop))
