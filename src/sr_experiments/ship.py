"""Make trained networks ship with the package: files of weights, facts, and the card made of them.

``python -m sr_experiments.ship NAME RUNS...`` reads a run for each scale and bicubic's runs beside
them. It writes the networks, folded to ordinary convolutions, ``NAME.json`` with all that the card
says, and the card ``NAME.md``. Without RUNS it writes the card anew.
"""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import mean, median
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from sr_experiments.core.cli import Parser, command, number
from sr_experiments.core.console import output
from sr_experiments.core.errors import UserError
from sr_experiments.core.files import atomic_write
from sr_experiments.report.evidence.collect import collect
from sr_experiments.runs.records import ImageScore, Record, Run, ScoreKey, TrainingRecord
from sr_experiments.upscale.shipped import SHIPPED

if TYPE_CHECKING:
    from sr_experiments.models.network import Network

#: What the speed of a network that ships is measured against.
YARDSTICK = "vdsr"
#: The protocol of a card, by the colours that a network works in.
CARD_PROTOCOL = {"y": "y_first", "rgb": "y", "each": "y"}
_CHOICES = ("optimizer", "scheduler", "method", "averaging", "convolution", "init")
#: Sizes of a frame whose speed a card states: an image by seconds, a video by frames a second.
_IMAGE, _VIDEO = (720, 1280), (360, 640)
_ROUNDS = 3


class ScaleFacts(Record):
    """One scale of a network that ships.

    Attributes:
        parameters: of the folded network.
        training: None for weights that were not trained by a run.
        choices: group -> choice, of that run.
        lr, seed: of that run.
        scores: data set -> image -> PSNR in dB of the network and of bicubic.
    """

    parameters: int
    training: TrainingRecord | None
    choices: dict[str, str | None]
    lr: float | None
    seed: int
    scores: dict[str, dict[str, tuple[float, float]]]


class SpeedFacts(Record):
    """Seconds for 1280x720 to 2560x1440, and frames a second of 640x360 to 1280x720, by name."""

    machine: str
    seconds: dict[str, float]
    frames: dict[str, float]


class NetworkFacts(Record):
    """``NAME.json``: all that the card of a network that ships says.

    Attributes:
        about: what no run knows, such as where the images come from; written by hand, kept.
        files: name -> bytes.
        scales: by their digits.
    """

    name: str
    architecture: str
    size: str
    weights: str
    protocol: str
    about: list[str]
    files: dict[str, int]
    scales: dict[str, ScaleFacts]
    speed: SpeedFacts | None = None


class Trained(NamedTuple):
    """A run to ship, and bicubic's at the same scale."""

    run: Run
    bicubic: Run


@command()
def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 when the card was written, 2 for a user's mistake."""
    options = _parser().parse_args(argv)
    file = options.folder / f"{options.name}.json"
    facts = read_facts(file) if file.is_file() else None
    if options.runs:
        facts = _of_runs(_trained(options.runs, options.weights), options, facts)
    if facts is None:
        raise UserError(
            "ship-without-facts",
            "{file}: no such facts; name the folders of the runs that make them",
            file=file,
        )
    if options.speed:
        facts = facts.model_copy(update={"speed": measure_speed(facts.name, options.speed)})
    for target, text in ((file, facts.to_json()), (file.with_suffix(".md"), card(facts))):
        with atomic_write(target) as temporary:
            temporary.write_text(text, encoding="utf-8")
    output().print(f"{file.with_suffix('.md')} written", highlight=False, soft_wrap=True)
    return 0


def read_facts(file: Path) -> NetworkFacts:
    """Read ``NAME.json``.

    Raises:
        UserError: it is damaged.
    """
    try:
        return NetworkFacts.model_validate_json(file.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UserError(
            "ship-facts-damaged",
            "{file}: {place}: {reason}",
            file=file,
            place=".".join(map(str, first["loc"])),
            reason=first["msg"],
        ) from None


def card(facts: NetworkFacts) -> str:
    """The card of a network as Markdown."""
    scales = facts.scales
    names = _listed([f"x{scale}" for scale in scales])
    counts = [f"{one.parameters:,}" for one in scales.values()]
    single = len(facts.files) == 1
    kind = "one network for" if single else "a network for each of"
    counted = counts[0] if single else _listed(counts)
    size = f"{facts.architecture} {facts.size}".rstrip()
    lines = [
        f"# {facts.name}",
        "",
        f"{size}, {kind} {names}: {counted} parameters, {sum(facts.files.values()) / 1000:.0f} KB.",
        f"`python -m sr_experiments.upscale --model {facts.name}`",
        "",
        *(_item(text) for text in [*facts.about, *_training(facts)]),
        "",
        f"PSNR in dB under protocol `{facts.protocol}`, the mean over the images; on how many of "
        "them it is above",
        "bicubic, and by how much at least:",
        "",
    ]
    sets = list(next(iter(scales.values())).scores)
    lines += [f"| PSNR (bicubic) | {' | '.join(sets)} | above bicubic | at least |"]
    lines += [f"|---|{'---|' * len(sets)}---|---|"]
    lines += [_row(scale, one) for scale, one in scales.items()]
    return "\n".join([*lines, *_speed_lines(facts), ""])


def _training(facts: NetworkFacts) -> list[str]:
    lines = []
    for scale, one in facts.scales.items():
        done = one.training
        if done is None:
            continue
        begin = f", from the weights of `{done.start}`" if done.start else ""
        lines.append(
            f"x{scale}: {done.updates:,} updates at a rate of {one.lr:g} to begin with, of "
            f"{done.batch_size} patches of {done.patch_size}x{done.patch_size} low-resolution "
            f"pixels from {done.images} images{begin}; one seed ({one.seed})."
        )
    chosen = {
        " ".join(f"{k}={v}" for k, v in one.choices.items() if v)
        for one in facts.scales.values()
        if one.training
    }
    return [*lines, *(f"`{text}`; {facts.weights} weights." for text in sorted(chosen))]


def _item(text: str) -> str:
    """An item of a list, in lines of the page's width."""
    lines = fill(text, 106, break_long_words=False, break_on_hyphens=False)
    return "- " + lines.replace("\n", "\n  ")


def _row(scale: str, one: ScaleFacts) -> str:
    cells = []
    for images in one.scores.values():
        ours, bicubic = (mean(pair[i] for pair in images.values()) for i in (0, 1))
        cells.append(f"{ours:.2f} ({bicubic:.2f})")
    gains = [ours - bicubic for images in one.scores.values() for ours, bicubic in images.values()]
    above = sum(gain > 0 for gain in gains)
    return f"| x{scale} | {' | '.join(cells)} | {above} of {len(gains)} | {min(gains):+.2f} |"


def _speed_lines(facts: NetworkFacts) -> list[str]:
    speed = facts.speed
    if speed is None:
        return []
    name = facts.name
    lines = [
        "",
        f"1280x720 to 2560x1440 takes {speed.seconds[name]:.2f} s, and 640x360 is enlarged to "
        f"1280x720 at {speed.frames[name]:.1f} frames a second,",
        f"on {speed.machine}.",
    ]
    if name != YARDSTICK:
        share = speed.seconds[name] / speed.seconds[YARDSTICK]
        lines.append(
            f"`{YARDSTICK}` takes {speed.seconds[YARDSTICK]:.2f} s in the same run "
            f"(a share of {share:.3f}) and does {speed.frames[YARDSTICK]:.1f} frames a second."
        )
    return lines


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _trained(folders: Sequence[Path], weights: str) -> dict[int, Trained]:
    """Scale -> the run to ship and bicubic's, in the order of the scales.

    Raises:
        UserError: there is no run, two of one scale, or none of bicubic on the same images.
    """
    ours: dict[int, Run] = {}
    bicubic: dict[int, Run] = {}
    for run in (run for folder in folders for run in collect(folder).runs):
        plain = run.network is None or not run.network.parameters
        if plain:
            bicubic[run.scale] = run
            continue
        if other := ours.get(run.scale):
            raise UserError(
                "ship-two-runs",
                "{first} and {second} are both of x{scale}; name folders with one run for each "
                "scale, and bicubic's",
                first=other.directory,
                second=run.directory,
                scale=run.scale,
            )
        ours[run.scale] = run
    if not ours:
        raise UserError(
            "ship-no-run",
            "{folders}: no finished run of a network there",
            folders=", ".join(map(str, folders)),
        )
    for scale, run in ours.items():
        for dataset in {key.dataset for key in run.scores}:
            wanted = run.scores.get(ScoreKey(dataset, weights, "y"))
            found = bicubic[scale].scores if scale in bicubic else {}
            if wanted is None:
                raise UserError(
                    "ship-weights-missing",
                    "--weights {weights}: {run} has no scores of them",
                    weights=weights,
                    run=run.directory,
                )
            if found.get(ScoreKey(dataset, "raw", "y"), {}).keys() != wanted.keys():
                raise UserError(
                    "ship-without-bicubic",
                    "{run}: no run of bicubic at x{scale} on the images of {dataset} beside it; "
                    "name the folder of one made by model=bicubic with the same benchmarks",
                    run=run.directory,
                    scale=scale,
                    dataset=dataset,
                )
    return {scale: Trained(ours[scale], bicubic[scale]) for scale in sorted(ours)}


def _of_runs(
    trained: Mapping[int, Trained], options: Namespace, before: NetworkFacts | None
) -> NetworkFacts:
    """Write the files of weights, and gather what is known of them."""
    from sr_experiments.config.instantiate import build_network
    from sr_experiments.models.layers.fold import fold, fold_config
    from sr_experiments.models.weights import load_weights, save_weights

    files: dict[str, int] = {}
    facts: dict[str, ScaleFacts] = {}
    network: Network | None = None
    for scale, (run, bicubic) in trained.items():
        name = "weights" if options.weights == "raw" else f"weights-{options.weights}"
        state, config = load_weights(run.directory / "checkpoints" / f"{name}.safetensors")
        network = build_network(config)
        network.load_state_dict(state)
        network = fold(network)
        suffix = "" if network.any_scale else f"_x{scale}"
        target = options.folder / f"{options.name}{suffix}.safetensors"
        if target.name not in files:  # one file may serve all scales
            save_weights(target, network.state_dict(), fold_config(config))
        files[target.name] = target.stat().st_size
        protocol = CARD_PROTOCOL[network.colour]
        sets = dict.fromkeys(key.dataset for key in run.scores)
        facts[str(scale)] = ScaleFacts(
            parameters=network.parameter_count,
            training=run.training,
            choices={k: _text(run.choices.get(k)) for k in _CHOICES},
            lr=run.settings.get("optimizer.lr"),
            seed=run.seed,
            scores={
                dataset: _pairs(
                    run.scores[ScoreKey(dataset, options.weights, protocol)],
                    bicubic.scores[ScoreKey(dataset, "raw", protocol)],
                )
                for dataset in sets
            },
        )
    assert network is not None  # there is at least one run
    return NetworkFacts(
        name=options.name,
        architecture=type(network).__name__,
        size=network.size,
        weights=options.weights,
        protocol=protocol,
        about=before.about if before else [],
        files=files,
        scales=facts,
        speed=before.speed if before else None,
    )


def _text(choice: Any) -> str | None:
    return None if choice is None else str(choice)


def _pairs(
    ours: Mapping[str, ImageScore], bicubic: Mapping[str, ImageScore]
) -> dict[str, tuple[float, float]]:
    return {
        image: (round(score.psnr, 4), round(bicubic[image].psnr, 4))
        for image, score in ours.items()
    }


def measure_speed(name: str, seconds: float) -> SpeedFacts:
    """Measure a network that ships and the yardstick in turns; the medians."""
    from sr_experiments.core.device import choose_device
    from sr_experiments.upscale.load_network import load_network
    from sr_experiments.upscale.throughput import machine, measured
    from sr_experiments.upscale.upscaler import Upscaler

    device = choose_device("cpu")
    networks = {n: load_network(n, Fraction(2)).network for n in dict.fromkeys((name, YARDSTICK))}
    upscalers = {n: Upscaler(network, 2, device) for n, network in networks.items()}
    rates: dict[tuple[int, int], dict[str, list[float]]] = {}
    for size in (_IMAGE, _VIDEO):
        rates[size] = {n: [] for n in upscalers}
        for _ in range(_ROUNDS):
            for n, upscaler in upscalers.items():
                rates[size][n].append(measured(upscaler, *size, seconds / _ROUNDS).per_second)
    return SpeedFacts(
        machine=machine(device),
        seconds={n: round(1 / median(r), 4) for n, r in rates[_IMAGE].items()},
        frames={n: round(median(r), 3) for n, r in rates[_VIDEO].items()},
    )


def _parser() -> Parser:
    parser = Parser(
        prog="python -m sr_experiments.ship",
        description="Make trained networks ship with the package, with a card made of their runs.",
    )
    add = parser.add_argument
    add("name", metavar="NAME", help="of the network that ships")
    add(
        "runs",
        metavar="RUNS",
        type=Path,
        nargs="*",
        help="folders of runs: one for each scale, and bicubic's; without them only the card is "
        "written, from NAME.json",
    )
    add("--weights", choices=("raw", "averaged"), default="raw", help="raw by default")
    add(
        "--speed",
        metavar="SECONDS",
        type=number(0, 3600),
        default=0.0,
        help="measure the speed, so long for each network and size; by default it is kept",
    )
    add("--folder", type=Path, default=SHIPPED, help="where it is written; the package's own")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
