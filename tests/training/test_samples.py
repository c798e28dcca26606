"""Sample strips show LR, bicubic, SR, HR and the error of the same place, in this order."""

from types import SimpleNamespace

import torch

from sr_experiments.imaging.io import read_image
from sr_experiments.imaging.resize import imresize
from sr_experiments.training.callbacks.images import Samples

SIDE, GAP = 64, 4


def test_a_strip_shows_what_it_says(tmp_path):
    generator = torch.Generator().manual_seed(0)
    hr = torch.randint(0, 256, (3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    lr = torch.randint(0, 256, (3, SIDE // 2, SIDE // 2), generator=generator, dtype=torch.uint8)
    sr = torch.randint(0, 256, (3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    trainer = SimpleNamespace(
        max_epochs=1, current_epoch=0, is_global_zero=True, loggers=[], sanity_checking=False
    )
    samples = Samples(tmp_path)
    samples.on_validation_batch_end(trainer, None, {"raw": sr}, (lr, hr, 0), 0)
    samples.on_validation_epoch_end(trainer, None)
    (file,) = tmp_path.glob("*.png")
    strip = torch.from_numpy(read_image(file)).permute(2, 0, 1)
    assert strip.shape == (3, SIDE, 5 * SIDE + 4 * GAP)
    shown = [strip[:, :, k * (SIDE + GAP) : k * (SIDE + GAP) + SIDE] for k in range(5)]
    blocks = lr.repeat_interleave(2, -2).repeat_interleave(2, -1)
    largest = (sr.double() - hr.double()).abs().max(dim=0).values
    error = torch.minimum(8 * largest, torch.tensor(255.0)).to(torch.uint8).repeat(3, 1, 1)
    for image, expected in zip(shown, (blocks, imresize(lr, 2), sr, hr, error), strict=True):
        assert torch.equal(image, expected)
