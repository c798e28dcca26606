"""How this process was started: by a user, by a leader as its helper, or by SLURM or torchrun."""

import os

from sr_experiments.core.errors import UserError

#: Set for the helpers that a leader starts.
HELPER_RANK = "SR_HELPER_RANK"


def started_outside() -> bool:
    """Whether SLURM or torchrun has started several processes for this command."""
    return outside_start() is not None


def rank() -> int:
    """This process's place among those of one distributed run; the leader's is 0."""
    outside = outside_start()
    return outside[0] if outside else int(os.environ.get(HELPER_RANK, 0))


def outside_start() -> tuple[int, str] | None:
    """The rank, and a name that all processes of this very start have in common."""
    get = os.environ.get
    # The body of a batch script sees the job's tasks as well, but it is one process only: what
    # counts is the step that srun started.
    if get("SLURM_PROCID") and int(get("SLURM_STEP_NUM_TASKS") or 1) > 1:
        words = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")
        return int(os.environ["SLURM_PROCID"]), "-".join(["slurm", *(get(w, "0") for w in words)])
    if get("TORCHELASTIC_RUN_ID") and int(get("WORLD_SIZE") or 1) > 1:
        words = ("TORCHELASTIC_RUN_ID", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT")
        names = ["torchrun", *(get(w, "0") for w in words)]
        # The agent's process number keeps two starts apart that share a port; nodes have their own.
        names += [str(os.getppid())] if get("GROUP_WORLD_SIZE", "1") == "1" else []
        return int(os.environ["RANK"]), "-".join(names)
    return None


def check_tasks(devices: object, num_nodes: int, nodes: int, tasks_per_node: int) -> None:
    """Refuse a SLURM job whose tasks do not fit the trainer.

    Args:
        devices: ``trainer.devices``.
        num_nodes: ``trainer.num_nodes``.
        nodes: of the job.
        tasks_per_node: of the job.

    Raises:
        UserError: naming the keys of both.
    """
    if nodes != num_nodes:
        raise UserError(
            "slurm-nodes",
            "hydra.launcher.nodes={nodes} with trainer.num_nodes={num_nodes}: both must be equal",
            nodes=nodes,
            num_nodes=num_nodes,
        )
    if nodes > 1 and str(tasks_per_node) != str(devices):
        raise UserError(
            "slurm-tasks-on-nodes",
            "hydra.launcher.tasks_per_node={tasks} with trainer.devices={devices} on {nodes} "
            "nodes: a task computes on one device, so both must be the same number",
            tasks=tasks_per_node,
            devices=devices,
            nodes=nodes,
        )
    if tasks_per_node != 1 and str(tasks_per_node) != str(devices):
        raise UserError(
            "slurm-tasks",
            "hydra.launcher.tasks_per_node={tasks} with trainer.devices={devices}: a task computes "
            "on one device; set trainer=ddp trainer.devices={tasks}, or tasks_per_node=1 (the run "
            "then starts its processes itself)",
            tasks=tasks_per_node,
            devices=devices,
        )
