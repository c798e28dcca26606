"""What a network computes for an image, counted as the field does."""

import math

import torch
from torch.utils.flop_counter import FlopCounterMode

from sr_experiments.models.layers.fold import fold
from sr_experiments.models.network import Network

#: Height and width of the output whose multiply-adds are counted.
HEIGHT, WIDTH = 720, 1280


def multiply_adds(network: Network) -> int:
    """Multiply-adds of convolutions and matrix products for an output of 1280x720.

    They grow with the area from a fixed part, so two small images determine both. A side of the
    low-resolution image that is not an integer is rounded up. Convolutions that fold count as what
    they become. The bicubic enlargement in front of some networks is not counted, so it is 0 for a
    network without parameters.
    """
    first = next(network.parameters(), None)
    if first is None:
        return 0
    channels = 1 if network.colour == "y" else 3
    folded, counts = fold(network).cpu(), []
    with torch.no_grad():
        # What is folded once is not counted.
        folded(torch.zeros(1, channels, 4, 4, dtype=first.dtype))
        for width in (4, 8):
            with FlopCounterMode(display=False) as counter:
                folded(torch.zeros(1, channels, 4, width, dtype=first.dtype))
            counts.append(int(counter.get_total_flops()) // 2)
    area = math.ceil(HEIGHT / network.scale) * math.ceil(WIDTH / network.scale)
    grows = counts[1] - counts[0]  # for 16 pixels
    return 2 * counts[0] - counts[1] + grows * area // 16
