"""A helper process of a distributed run, started by its leader: ``helper TASK_FILE``."""

import json
import sys
from pathlib import Path

from sr_experiments.core.interruption import interruptible
from sr_experiments.runs.processes import Task, help_leader
from sr_experiments.runs.run import assist


def main(argv: list[str] | None = None) -> int:
    """Compute the task in the file that the leader wrote."""
    file = Path((sys.argv[1:] if argv is None else argv)[0])
    with interruptible(heeds=False):  # to end is the leader's decision
        # Ends with 0 even after a failure: the leader reports it.
        help_leader(Task(**json.loads(file.read_text())), file.parent, assist)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
