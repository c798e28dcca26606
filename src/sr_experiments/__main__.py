"""``python -m sr_experiments``: one run, or with ``-m`` a sweep."""

import os
import sys

from rich.console import Console

from sr_experiments.core.errors import UserError


def main() -> int:
    """Run the command line; returns the exit code."""
    # Hydra then lets exceptions through, to be explained in one line instead of ten.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    import hydra

    from sr_experiments.config import schema
    from sr_experiments.config.hydra_errors import explained
    from sr_experiments.core.paths import conf_dir
    from sr_experiments.sweep import (
        Refused,
        SweepCallback,
        conclude,
        refuse_combined_experiments,
        task,
    )

    schema.register()
    try:
        refuse_combined_experiments(sys.argv[1:])
        # argparse takes overrides on one side of -m only; here it may stand anywhere.
        sys.argv[1:] = sorted(sys.argv[1:], key=lambda word: word not in ("-m", "--multirun"))
        trouble = None
        try:
            with explained():
                door = hydra.main(str(conf_dir()), "config", version_base="1.3")
                door(task)()
        except UserError:
            raise
        except Refused:
            pass  # the reason follows
        except Exception as error:
            if SweepCallback.started is None:
                raise
            trouble = error  # a job's process was killed: the summary says what is missing
        if SweepCallback.error is not None:
            raise SweepCallback.error
        if SweepCallback.started is not None:
            return conclude(SweepCallback.started, Console(), trouble)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
