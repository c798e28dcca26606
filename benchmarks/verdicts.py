"""Coverage, false verdicts and power of the report's intervals, by simulation.

``python benchmarks/verdicts.py`` prints a table for differences of scores and one for curves. Two
columns are trained over seeds and scored on the same images; their difference varies with the
image, with the seed of either column, and with both. ``tests/report/evidence/test_coverage.py``
runs less of it.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sr_experiments.report.evidence.convergence import over_scales, speed_up
from sr_experiments.report.evidence.curves import Curve
from sr_experiments.report.evidence.intervals import Estimate, SeedNoise, Unit, crossed, pooled

#: Images of the data sets: the embedded photographs, Set14, B100, and the usual four together.
SETS = ((4,), (14,), (100,), (5, 14, 100, 100))
SEEDS = (1, 3, 5, 10)


@dataclass(frozen=True)
class Noise:
    """Standard deviations in dB: of a training, of an image's difference, and of both together.

    ``shared`` is the correlation of the two trainings of one seed, ``unequal`` how many times as
    much the second column varies.
    """

    seed: float = 0.03
    image: float = 0.06
    both: float = 0.02
    shared: float = 0.0
    unequal: float = 1.0


#: Situations, the first as measured on EDSR 4x16.
NOISES = {
    "as measured": Noise(),
    "mostly per image": Noise(0.01, 0.08, 0.02),
    "mostly together": Noise(0.03, 0.03, 0.05),
    "one column three times": Noise(unequal=3.0),
    "a shared beginning": Noise(shared=0.9),
    "one order of patches": Noise(shared=0.97),  # as measured on EDSR 6x24 at x4
}


def scores(
    noise: Noise, seeds: int, sets: Sequence[int], effect: float, draw: np.random.Generator
) -> list[Unit]:
    """Scores of two columns whose true difference is ``effect`` dB."""
    common = draw.normal(0, noise.seed, seeds)
    first, second = (
        np.sqrt(noise.shared) * common
        + np.sqrt(1 - noise.shared) * draw.normal(0, noise.seed * times, seeds)
        for times in (1.0, noise.unequal)
    )
    units = []
    for n in sets:
        image = draw.normal(30, 3, n)
        above = effect + image + draw.normal(0, noise.image, n)
        units.append(
            (
                above + first[:, None] + draw.normal(0, noise.both, (seeds, n)),
                image + second[:, None] + draw.normal(0, noise.both, (seeds, n)),
            )
        )
    return units


def other_columns(
    noise: Noise, images: int, draw: np.random.Generator, columns: int = 4, seeds: int = 3
) -> SeedNoise | None:
    """What other columns of the table tell of the noise of seeds."""
    deviation = np.hypot(noise.seed, noise.both / np.sqrt(images))
    return pooled([draw.normal(30, deviation, seeds).tolist() for _ in range(columns)])


@dataclass(frozen=True)
class Rates:
    """Shares of simulated experiments."""

    covered: float
    above: float
    below: float

    @property
    def decided(self) -> float:
        """Whether an interval lies on one side of zero."""
        return self.above + self.below


def rates(estimates: Sequence[Estimate], effect: float) -> Rates:
    """How often the interval holds the truth, and how often it lies above or below zero."""
    ends = np.array([estimate.interval for estimate in estimates])
    covered = (ends[:, 0] <= effect) & (effect <= ends[:, 1])
    return Rates(covered.mean(), (ends[:, 0] > 0).mean(), (ends[:, 1] < 0).mean())


def simulate(
    noise: Noise, seeds: int, sets: Sequence[int], effect: float, repeats: int, seed: int = 0
) -> Rates:
    """Experiments judged as the report judges them; one seed with the noise of other columns."""
    draw = np.random.default_rng((seed, seeds, *sets))
    estimates = []
    for _ in range(repeats):
        known = other_columns(noise, sum(sets), draw) if seeds == 1 else None
        units = scores(noise, seeds, sets, effect, draw)
        estimates.append(crossed(units, noise=known))
    return rates(estimates, effect)


def over_images_alone(
    noise: Noise, seeds: int, sets: Sequence[int], repeats: int, seed: int = 0
) -> Rates:
    """Equal columns judged as if seeds did not vary: the mistake that the report has to avoid."""
    draw = np.random.default_rng((seed, seeds, *sets))
    estimates = []
    for _ in range(repeats):
        units = scores(noise, seeds, sets, 0.0, draw)
        means = [(a.mean(axis=0)[None], b.mean(axis=0)[None]) for a, b in units]
        estimates.append(crossed(means))
    return rates(estimates, 0.0)


def curve(speed: float, noise: float, draw: np.random.Generator, seed: int) -> Curve:
    """A validation curve of 40 looks that nears 33 dB; trainings differ by 5 % in speed."""
    epochs = np.arange(1, 41)
    own = speed * np.exp(draw.normal(0, 0.05))
    psnr = 33 - 4 * np.exp(-own * epochs / 8) + draw.normal(0, noise, len(epochs))
    return Curve(seed, epochs, 25 * epochs, psnr)


def simulate_curves(
    speed: float, noises: tuple[float, float], seeds: int, repeats: int, margin: float = 0.0
) -> Rates:
    """Two columns of which the first is ``speed`` times as fast, with noise of their own in dB.

    The intervals are of the logarithm of the ratio, less that of ``1 + margin``.
    """
    draw = np.random.default_rng((seeds, int(1000 * speed), *(int(1000 * n) for n in noises)))
    estimates = []
    null = np.log1p(margin)
    for _ in range(repeats):
        sides = [
            [curve(fast, noise, draw, seed) for seed in range(seeds)]
            for fast, noise in zip((speed, 1.0), noises, strict=True)
        ]
        found = speed_up(*sides)
        assert found is not None
        whole = over_scales([found])
        assert whole is not None
        e = whole.estimate
        estimates.append(Estimate(e.value - null, e.variance, e.degrees))
    return rates(estimates, np.log(speed) - null)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2000, help="experiments of each row")
    repeats = parser.parse_args().repeats
    print("Differences of scores: coverage and false verdicts at 0 dB, power at +0.1 dB.")
    print("One seed has the noise of seeds from four other columns of three.\n")
    print(f"{'noise':24}{'seeds':>6}  {'images':20}{'coverage':>9}{'false':>7}{'power':>7}  alone")
    for name, noise in NOISES.items():
        for seeds in SEEDS:
            for sets in SETS:
                null, effect = (simulate(noise, seeds, sets, e, repeats) for e in (0.0, 0.1))
                alone = over_images_alone(noise, seeds, sets, repeats // 4)
                images = " + ".join(map(str, sets))
                print(
                    f"{name:24}{seeds:>6}  {images:20}{null.covered:9.3f}{null.decided:7.3f}"
                    f"{effect.above:7.3f}{alone.decided:7.3f}"
                )
    print("\nalone: false verdicts of an interval over images alone.")
    print("\nSpeeds of curves of equal length: column and other with noise in dB.\n")
    print(f"{'speed':>6}{'noise':>14}{'seeds':>6}{'coverage':>9}{'faster':>8}{'slower':>8}")
    for speed in (1.0, 1.25, 2.0):
        for noises in ((0.002, 0.002), (0.1, 0.002), (0.002, 0.1), (0.1, 0.1)):
            for seeds in (3, 5):
                found = simulate_curves(speed, noises, seeds, repeats // 4)
                print(
                    f"{speed:6.2f}{f'{noises[0]}, {noises[1]}':>14}{seeds:>6}"
                    f"{found.covered:9.3f}{found.above:8.3f}{found.below:8.3f}"
                )


if __name__ == "__main__":
    main()
