"""SRCNN's and VDSR's loss against the paper's formula."""

import numpy as np
import torch

from sr_experiments.training.losses import HalfSquaredError


def test_half_the_squared_error_of_a_patch():
    generator = np.random.default_rng(0)
    output, truth = generator.normal(size=(2, 3, 1, 5, 4))
    patches = [np.linalg.norm((o - t).ravel()) ** 2 / 2 for o, t in zip(output, truth, strict=True)]
    found = HalfSquaredError()(torch.from_numpy(output), torch.from_numpy(truth))
    np.testing.assert_allclose(found.item(), np.mean(patches))
