"""``python -m sr_experiments``: one run, with ``-m`` a sweep, or any of the other commands."""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from sr_experiments.core.cli import reader_has_gone
from sr_experiments.core.errors import UserError
from sr_experiments.core.interruption import REQUEUE, Preempted

#: Modules of the package that are commands as well: ``sr-experiments score ...`` is
#: ``python -m sr_experiments.score ...``.
COMMANDS = (
    *(
        "dashboard",
        "data",
        "downscale",
        "export",
        "report",
        "reproduce",
        "score",
        "serve",
        "ship",
        "speed",
        "status",
    ),
    "upscale",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    try:
        code = _main(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command resumes", file=sys.stderr)
        return 130
    except Preempted as end:
        print(f"{end}; the same command resumes", file=sys.stderr)
        return REQUEUE
    except BrokenPipeError:
        return reader_has_gone()


def _main(argv: Sequence[str]) -> int:
    first, *rest = [*argv, ""]
    if first == "--version":
        print(f"sr_experiments {version('sr_experiments')}")
        return 0
    if first in COMMANDS:
        return _command(first)(rest[:-1])
    if first == "run":
        argv = argv[1:]
    multirun = any(word in ("-m", "--multirun") for word in argv)
    overrides = [word for word in argv if word not in ("-m", "--multirun", "-r", "--run")]
    options = {word for word in overrides if word.startswith("-")}
    if options and options <= {"-h", "--help"}:
        from sr_experiments.config.choices import help_text

        print(help_text([word for word in overrides if word not in options]))
        return 0
    if options:
        return _show(argv)
    from rich.console import Console

    from sr_experiments.config.compose import compose, config_search_path, expand, parse
    from sr_experiments.sweep import refuse_combined_experiments, sweep

    refuse_combined_experiments(overrides)
    brings_sweep = any(o.key_or_group in ("experiment", "hydra.mode") for o in parse(overrides))
    with config_search_path():
        if multirun or brings_sweep:
            expanded = expand(overrides)
            if multirun or str(expanded.config.hydra.mode).endswith("MULTIRUN"):
                return sweep(expanded, Console())
        config = compose(overrides)
    from sr_experiments.runs.run import run

    outcome = run(config)
    text = "already finished: " if outcome.state == "skipped" else "  "
    Console().print(f"{text}{outcome.directory}", highlight=False)
    return 0


def _command(name: str) -> Callable[[list[str]], int]:
    module = f"sr_experiments.{name}"
    if (Path(__file__).parent / name).is_dir():
        module += ".__main__"
    main: Callable[[list[str]], int] = import_module(module).main
    return main


def _show(argv: Sequence[str]) -> int:
    """What Hydra itself shows: ``--cfg``, ``--info``, ``--hydra-help`` and its other options."""
    # Hydra then lets exceptions through, to be explained in one line instead of ten.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    import hydra

    from sr_experiments.config.compose import register
    from sr_experiments.config.messages import explained
    from sr_experiments.core.paths import conf_dir

    register()
    sys.argv[1:] = argv  # where Hydra reads them
    if " run " in (line := os.environ.get("COMP_LINE", "")):  # which completion knows not
        os.environ["COMP_LINE"] = line.replace(" run ", " ", 1)
        os.environ["COMP_POINT"] = str(int(os.environ.get("COMP_POINT", len(line))) - 4)
    with explained():
        hydra.main(str(conf_dir()), "config", version_base="1.3")(_not_run)()
    return 0


def _not_run(_: object) -> None:
    raise UserError(
        "hydra-option",
        "an option of Hydra that this command does not know; --hydra-help lists those that show "
        "something, and a run takes KEY=VALUE and -m",
    )


if __name__ == "__main__":
    raise SystemExit(main())
