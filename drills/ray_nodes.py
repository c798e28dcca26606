"""A node of a Ray cluster dies in the middle of a sweep; the scores stay the same.

``python drills/ray_nodes.py`` starts a cluster of two nodes on this machine, runs the activation
sweep on it with ``hydra/launcher=ray``, kills one node with its workers while it trains, gives the
same command again, and compares everything with ``hydra/launcher=basic``, byte for byte. Exits 1 if
something differs.
"""

import os
import signal
from pathlib import Path

# Ray reads it when it is imported. It then takes 127.0.0.1 for its own address, as on macOS, and
# opens no port to the network.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

import ray
from common import end_started, places, start
from ray.cluster_utils import Cluster
from sweeps import (
    SWEEP,
    carry_out,
    check,
    compare,
    finish,
    in_mid_training,
    process_of,
    runs_of,
    say,
    state,
    until,
)

from sr_experiments.runs.directory import RunDirectory

NODE = {"num_cpus": 1, "object_store_memory": 2**27, "node_ip_address": "127.0.0.1"}
#: A node that dies saves nothing: a run goes on from its last checkpoint.
OFTEN = "training.checkpoint_every=100"


def parent(process: int) -> int:
    """The process that started a process."""
    stat = Path(f"/proc/{process}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def run_of(folder: Path, raylet: int) -> RunDirectory | None:
    """The run in mid-training on a node."""
    run = in_mid_training(folder, where=lambda run: parent(process_of(run)) == raylet)
    return run if run is not None and run.checkpoint.exists() else None


def kill(folder: Path, raylet: int) -> RunDirectory:
    """Kill a node and its workers at once while it trains; the run that it computed."""
    run = until("a run in mid-training on the second node", lambda: run_of(folder, raylet))
    files = Path("/proc").glob("[0-9]*/stat")
    workers = [n for n in (int(file.parent.name) for file in files) if _is_child(n, raylet)]
    for process in (raylet, *workers):
        os.kill(process, signal.SIGKILL)
    progress = run.progress()
    reached = progress.update if progress else 0
    say(f"killed the node (raylet {raylet}) and {len(workers)} processes of it: {run.path.name}")
    say(f"it was {state(run)}, after update {reached} at least")
    return run


def _is_child(process: int, raylet: int) -> bool:
    try:
        return parent(process) == raylet
    except OSError:  # it has ended in between
        return False


def drill(root: Path) -> int:
    """Carry out the drill below a folder; the exit code."""
    reference, folder = root / "basic", root / "ray"
    plain = start(SWEEP, reference, reference / "sweep.log")
    say(f"reference, hydra/launcher=basic: {finish(plain, reference / 'sweep.log')}")
    check(plain.returncode == 0, "the reference is computed")

    os.environ |= places(folder)  # a cluster's workers have the variables of their node
    cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **NODE})
    try:
        node = cluster.add_node(**NODE)
        (raylet,) = (one.process.pid for one in node.all_processes["raylet"])
        say(f"Ray {ray.__version__}: two nodes at {cluster.address}")
        words = [*SWEEP, OFTEN, "hydra/launcher=ray"]
        words += [f"hydra.launcher.ray.init.address='{cluster.address}'"]
        sweep = start(words, folder, folder / "first.log")
        run = kill(folder, raylet)
        cluster.remove_node(node, allow_graceful=False)
        say(f"the sweep: {finish(sweep, folder / 'first.log')}; the run is {state(run)}")
        again = start(words, folder, folder / "second.log")
        say(f"the same command again: {finish(again, folder / 'second.log')}")
        check(again.returncode == 0, "the same command computes what is missing")
        running = [run.path.name for run in runs_of(folder) if state(run) == "running"]
        check(not running, f"no run is left marked as running: {running}")
    finally:
        end_started()
        cluster.shutdown()
    return compare(reference, folder, "activation_sweep")


if __name__ == "__main__":
    raise SystemExit(carry_out(__doc__, drill))
