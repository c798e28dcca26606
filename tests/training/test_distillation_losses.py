"""Distillation losses: numbers worked out by hand, gradients, and what is refused."""

import itertools
import math
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
import two_shares

from sr_experiments.core.errors import UserError
from sr_experiments.training.distillation.contrastive import Contrastive
from sr_experiments.training.distillation.distillation_loss import NetworkOutput
from sr_experiments.training.distillation.fakd import FAKD, affinity
from sr_experiments.training.distillation.fitnet import FitNet
from sr_experiments.training.distillation.lsfd import LSFD
from sr_experiments.training.distillation.output_l1 import OutputL1

LOSSES = {
    "contrastive l1": lambda: Contrastive("l1", negatives="both"),
    "contrastive cosine": lambda: Contrastive("cosine", negatives="both"),
    "contrastive each": lambda: Contrastive("cosine", logarithm="each"),
    "output": OutputL1,
    "fakd": FAKD,
    "fitnet": FitNet,
    "lsfd": LSFD,
}


def images(*rows):
    """One image a row, one channel, one line."""
    return torch.tensor(rows, dtype=torch.double)[:, None, None]


#: Three images of two pixels; their cosines are rational.
STUDENT = images([1, 0], [3, 4], [4, 3])
TEACHER = images([4, 3], [6, 8], [0, 2])


def scene(dtype=torch.double, grad=True):
    """Student, teacher and truth of 3 images, two taps, other channels in the teacher."""
    generator = torch.Generator().manual_seed(5)

    def draw(*shape, positive=False):
        values = torch.rand if positive else torch.randn
        made = values(*shape, generator=generator, dtype=torch.double).to(dtype)
        return made.requires_grad_(grad)

    student, teacher = (
        NetworkOutput(draw(3, 3, 4, 4, positive=True), (draw(3, c, 2, 3), draw(3, c, 2, 3)))
        for c in (2, 4)
    )
    return student, teacher, draw(3, 3, 4, 4, positive=True)


def connected(name, student, teacher):
    torch.manual_seed(0)
    loss = LOSSES[name]()
    if loss.needs_features:
        loss.connect(student.features, teacher.features)
    return loss


@pytest.mark.parametrize(
    ("similarity", "negatives", "contrast"),
    [
        # Mean distances S_i to T_1, T_2, T_3: 3 6.5 1.5 | 1 3.5 2.5 | 0 3.5 2.5.
        ("l1", "teacher", 3 / 8 + 3.5 / 3.5 + 2.5 / 3.5),
        # And among the students 12: 3, 13: 3, 23: 1.
        ("l1", "student", 3 / 6 + 3.5 / 4 + 2.5 / 4),
        ("l1", "both", 3 / 14 + 3.5 / 7.5 + 2.5 / 7.5),
        # Cosines of S_i to T_1, T_2, T_3: .8 .6 0 | .96 1 .8 | 1 .96 .6.
        ("cosine", "teacher", -math.log(0.8 / 0.6 + 1 / 1.76 + 0.6 / 1.96)),
        # And among the students 12: .6, 13: .8, 23: .96.
        ("cosine", "student", -math.log(0.8 / 1.4 + 1 / 1.56 + 0.6 / 1.76)),
        ("cosine", "both", -math.log(0.8 / 2.0 + 1 / 3.32 + 0.6 / 3.72)),
    ],
)
def test_three_images_by_hand(similarity, negatives, contrast):
    loss = Contrastive(similarity, negatives=negatives)
    assert loss.contrast(STUDENT, TEACHER).item() == pytest.approx(contrast, rel=1e-12)
    found = loss(NetworkOutput(STUDENT), NetworkOutput(TEACHER), STUDENT + 2)
    assert found.item() == pytest.approx(2 + 10 * contrast, rel=1e-12)
    # In 0 to 255 or in 0 to 1, the contrast weighs the same.
    again = loss(NetworkOutput(STUDENT / 255), NetworkOutput(TEACHER / 255), STUDENT / 255)
    assert again.item() == pytest.approx(10 * contrast, rel=1e-12)


def equation_1(student, teacher, similarity, negatives, logarithm, reduction):
    """L_CL, image by image, from the paper's text alone."""

    def d(one, other):
        if similarity == "l1":
            return np.abs(one - other).mean()
        return (one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum())

    ratios = []
    for i, own in enumerate(student):
        outputs = {"teacher": [teacher], "student": [student], "both": [teacher, student]}
        others = [image for of in outputs[negatives] for k, image in enumerate(of) if k != i]
        ratios.append(d(own, teacher[i]) / sum(d(own, other) for other in others))
    join = np.sum if reduction == "sum" else np.mean
    if similarity == "cosine":
        return join(-np.log(ratios)) if logarithm == "each" else -np.log(join(ratios))
    return join(ratios)


CHOICES = [
    *itertools.product(["l1"], ["both", "teacher", "student"], ["sum"], ["sum", "mean"]),
    *itertools.product(
        ["cosine"], ["both", "teacher", "student"], ["sum", "each"], ["sum", "mean"]
    ),
]


@pytest.mark.parametrize("choice", CHOICES, ids=" ".join)
def test_contrast_is_equation_1_in_every_reading(choice):
    similarity, *others = choice
    names = ("negatives", "logarithm", "reduction")
    student, teacher = (s.output.detach() for s in scene()[:2])
    loss = Contrastive(similarity, **dict(zip(names, others, strict=True)))
    expected = equation_1(student.numpy(), teacher.numpy(), *choice)
    assert loss.contrast(student, teacher).item() == pytest.approx(expected, rel=1e-12)


def test_the_printed_logarithm_draws_like_the_mean_and_not_like_the_sum():
    generator = torch.Generator().manual_seed(3)
    light = 0.3 + 0.7 * torch.rand(16, 1, 1, 1, generator=generator, dtype=torch.double)
    truth = light * torch.rand(16, 3, 8, 8, generator=generator, dtype=torch.double)
    noise = torch.randn(2, *truth.shape, generator=generator, dtype=torch.double)
    teacher, student = truth + 0.01 * noise[0], (truth + 0.02 * noise[1]).requires_grad_()

    def gradient(**reading):
        contrast = Contrastive("cosine", **reading).contrast(student, teacher)
        return torch.autograd.grad(contrast, student)[0].flatten()

    printed = gradient()
    mean, each = (gradient(logarithm="each", reduction=r) for r in ("mean", "sum"))
    assert torch.cosine_similarity(printed, mean, dim=0) > 0.999
    assert printed.norm().item() == pytest.approx(mean.norm().item(), rel=0.05)
    torch.testing.assert_close(each, 16 * mean)
    torch.testing.assert_close(gradient(reduction="mean"), printed)


def test_two_processes_share_a_batch_without_a_trace(tmp_path):
    alone = two_shares.values_and_gradients()
    first, second = two_shares.in_two(tmp_path)
    for name, (value, gradient) in alone.items():
        torch.testing.assert_close((first[name][0] + second[name][0]) / 2, value, msg=name)
        for shared in (first, second):
            torch.testing.assert_close(shared[name][1], gradient, msg=name)


@pytest.mark.parametrize("negatives", ["teacher", "student", "both"])
@pytest.mark.parametrize("similarity", ["l1", "cosine"])
@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        (images([1, 2], [1, 2]), images([1, 2], [1, 2])),  # no distance to any negative
        (images([1, 2], [-1, -3]), images([-2, -1], [3, 1])),  # no cosine is positive
        (images([0, 0], [0, 0]), images([0, 0], [1, 0])),
    ],
)
def test_contrast_is_finite_where_it_means_nothing(similarity, negatives, student, teacher):
    student = student.clone().requires_grad_()
    found = Contrastive(similarity, negatives=negatives).contrast(student, teacher)
    (gradient,) = torch.autograd.grad(found, student)
    assert found.isfinite() and gradient.isfinite().all()


def test_affinities_by_hand():
    # Pixels (3, 4), (8, 6) and (0, 0): the cosine of the first two is 48 / 50.
    features = torch.tensor([[[3.0, 8, 0]], [[4, 6, 0]]])[None]
    wanted = torch.tensor([[[1, 0.96, 0], [0.96, 1, 0], [0, 0, 0]]])
    torch.testing.assert_close(affinity(features), wanted)
    affinity(features.requires_grad_())[0, 0, 1:].sum().backward()
    assert features.grad.abs().max() < 1 and not features.grad[..., 2].any()


def test_fakd_by_hand():
    def tap(*pixels):
        """Two images of two pixels; those of the second are alike, and its affinities 1."""
        first = torch.tensor(pixels, dtype=torch.double).T[:, None]
        return torch.stack([first, first[..., :1].expand_as(first)])

    # Off the diagonal .96 against 0, and 0 against 1: two of the eight entries of a batch.
    student = NetworkOutput(images([1, 1], [0, 0]), (tap([3, 4], [8, 6]), tap([1, 0], [0, 1])))
    teacher = NetworkOutput(
        images([1, 5], [0, 4]), (tap([1, 0, 0], [0, 5, 0]), tap([2, 0, 0], [7, 0, 0]))
    )
    truth = images([2, 4], [2, 2])  # L1(S, HR) = 2, L1(S, T) = 2
    assert FAKD()(student, teacher, truth).item() == pytest.approx(2 + 10 * (0.24 + 0.25))
    found = FAKD(0.25, 1)(student, teacher, truth + 4)  # L1(S, HR) = 6
    assert found.item() == pytest.approx(0.75 * 6 + 0.25 * 2 + 0.49)


def test_output_distillation_by_hand():
    student, teacher, truth = (
        NetworkOutput(images([1, 1])),
        NetworkOutput(images([1, 5])),
        images([5, 7]),
    )
    assert OutputL1()(student, teacher, truth).item() == 0.5 * 5 + 0.5 * 2
    assert OutputL1(0.2)(student, teacher, truth).item() == pytest.approx(0.8 * 5 + 0.2 * 2)


def one_tap(loss, weight, bias, ours, theirs):
    """The loss of one tap whose adapter is known; outputs and truth agree."""
    ours, theirs = torch.tensor([ours]).double()[..., None], torch.tensor([theirs]).double()
    theirs = theirs[..., None]
    loss.connect((ours,), (theirs,))
    with torch.no_grad():
        loss.adapters[0].weight.copy_(torch.tensor(weight)[..., None, None])
        loss.adapters[0].bias.copy_(torch.tensor(bias))
    return loss(
        NetworkOutput(images([0]), (ours,)), NetworkOutput(images([0]), (theirs,)), images([0])
    ).item()


def test_hints_and_selected_hints_by_hand():
    weight, bias = [[2.0, -1.0]], [0.5]
    # Adapted 2 * 1 - 3 + .5 = -.5, and 4.5: they miss 0.5 and 1.5 by 1 and by 3.
    ours, theirs = [[1.0, 3.0], [3.0, 2.0]], [[0.5, 1.5]]
    found = one_tap(FitNet(0.5), weight, bias, ours, theirs)
    square = (0.25 + 2.25) / 2  # the teacher's, in which errors are counted
    assert found == pytest.approx(0.5 * (1 + 9) / 2 / square)
    # Misses 1 and 3 over their mean 2: attention in the ratio exp(.5) to exp(1.5).
    large = math.exp(1.5) / (math.exp(0.5) + math.exp(1.5))
    found = one_tap(LSFD(0.5), weight, bias, ours, theirs)
    assert found == pytest.approx(0.5 * ((1 - large) * 1 + large * 9) / square)
    even = [[-2.5, 2.5]]  # missed by 2 everywhere
    assert one_tap(LSFD(), weight, bias, ours, even) == pytest.approx(4 / 6.25)
    assert one_tap(FitNet(), weight, bias, ours, even) == pytest.approx(4 / 6.25)
    exact = [[-0.5, 4.5]]
    assert one_tap(LSFD(), weight, bias, ours, exact) == 0


def test_attention_sums_to_one_in_each_image_and_grows_with_the_difference():
    generator = torch.Generator().manual_seed(0)
    difference = torch.randn(3, 5, 4, 6, generator=generator)
    attention = LSFD().attention(difference)
    assert attention.shape == (3, 4, 6)
    torch.testing.assert_close(attention.sum((1, 2)), torch.ones(3))
    for one, size in zip(attention, difference.abs().mean(1), strict=True):
        assert torch.equal(one.flatten().argsort(), size.flatten().argsort())
    torch.testing.assert_close(LSFD().attention(1000 * difference), attention)
    torch.testing.assert_close(LSFD().attention(0 * difference), torch.full((3, 4, 6), 1 / 24))
    assert LSFD.definition == "definition reconstructed" and not FAKD.definition


@pytest.mark.parametrize("name", LOSSES)
def test_only_the_student_learns(name):
    student, teacher, truth = scene()
    loss = connected(name, student, teacher)
    loss(student, teacher, truth).backward()
    assert student.output.grad.any()
    assert all((f.grad is not None) == loss.needs_features for f in student.features)
    assert all(f.grad.any() for f in student.features if loss.needs_features)
    assert [t.grad for t in (teacher.output, *teacher.features, truth)] == [None] * 4
    assert all(p.grad is not None and p.grad.any() for p in loss.parameters())


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_the_value(name):
    student, teacher, truth = scene()
    loss = connected(name, student, teacher)
    if name == "lsfd":  # its attention is a weight and takes no gradient
        real = torch.autograd.grad(loss(student, teacher, truth), student.features)
        adapted = [a(f) for a, f in zip(loss.adapters, student.features, strict=True)]
        pairs = zip(adapted, teacher.features, strict=True)
        fixed = [loss.attention(one - other) for one, other in pairs]
        calls = iter(range(10**6))
        loss.attention = lambda difference: fixed[next(calls) % 2]
        held = torch.autograd.grad(loss(student, teacher, truth), student.features)
        torch.testing.assert_close(real, held)

    def value(output, *features):
        return loss(NetworkOutput(output, features), teacher, truth)

    assert torch.autograd.gradcheck(value, (student.output, *student.features))


@pytest.mark.parametrize("name", LOSSES)
def test_precision_of_the_training_does_not_matter(name):
    student, teacher, truth = scene(torch.float32, grad=False)
    loss = connected(name, student, teacher)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(student, teacher, truth)
    exact = scene(grad=False)
    reference = connected(name, *exact[:2])
    reference.load_state_dict(loss.state_dict())
    torch.testing.assert_close(found.double(), reference(*exact), rtol=1e-5, atol=0)
    half, known, coarse = scene(torch.bfloat16, grad=False)
    found = loss(half, known, coarse)
    assert found.dtype == torch.float32
    widened = [
        NetworkOutput(s.output.float(), tuple(f.float() for f in s.features)) for s in (half, known)
    ]
    assert torch.equal(found, loss(*widened, coarse.float()))


@contextmanager
def kept_for_the_gradient():
    """The sizes of the tensors that are kept until the backward pass."""
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()), lambda t: t):
        yield kept


@pytest.mark.parametrize("similarity", ["l1", "cosine"])
def test_contrast_keeps_no_difference_of_every_two_images(similarity):
    student, teacher = torch.rand(2, 16, 3, 8, 8).unbind()
    with kept_for_the_gradient() as kept:
        Contrastive(similarity, negatives="both").contrast(student.requires_grad_(), teacher)
    # What is kept twice is counted twice; the differences alone would be 16 batches.
    assert 0 < sum(kept) < 16 * student.numel()


def test_fakd_keeps_no_affinity():
    taps = [torch.rand(2, 2, 8, 8, requires_grad=grad) for grad in (True, False)]
    output = torch.rand(2, 1, 8, 8)
    with kept_for_the_gradient() as kept:
        FAKD()(NetworkOutput(output, (taps[0],)), NetworkOutput(output, (taps[1],)), output)
    assert max(kept, default=0) < 64 * 64


def test_what_cannot_be_compared_is_refused():
    student, teacher, truth = scene(grad=False)

    def first(seen):
        return NetworkOutput(seen.output[:1], tuple(f[:1] for f in seen.features))

    with pytest.raises(UserError, match="a batch of 1 image has no negatives"):
        Contrastive("l1")(first(student), first(teacher), truth[:1])
    luma = replace(teacher, output=teacher.output[:, :1])
    with pytest.raises(UserError, match=r"teacher \(3, 1, 4, 4\) and .* scale and colour"):
        OutputL1()(student, luma, truth)
    larger = replace(teacher, features=tuple(f.repeat(1, 1, 2, 2) for f in teacher.features))
    fewer = replace(teacher, features=teacher.features[:1])
    none = [replace(seen, features=()) for seen in (student, teacher)]
    for loss in (FAKD(), FitNet()):
        for other, says in [
            (larger, "the features of tap 1 are 2x3 in the student and 4x6 in the teacher"),
            (fewer, "2 feature maps of the student and 1 of the teacher"),
        ]:
            with pytest.raises(UserError, match=says):
                loss.connect(student.features, other.features)
            with pytest.raises(UserError, match=says):
                loss(student, other, truth)
        with pytest.raises(UserError, match="0 feature maps"):
            loss(*none, truth)
    with pytest.raises(RuntimeError, match=r"0 adapters: connect\(\) comes before"):
        FitNet()(student, teacher, truth)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Contrastive("l2"), "similarity=l2: l1 or cosine"),
        (lambda: Contrastive("l1", negatives="none"), "negatives=none: both or teacher or student"),
        (lambda: Contrastive("cosine", logarithm="mean"), "logarithm=mean: sum or each"),
        (lambda: FAKD(last_tap="last"), "last_tap=last: paper or code"),
        (lambda: Contrastive("l1", -1), "weight=-1: at least 0"),
        (lambda: OutputL1(1.5), r"weight=1.5: in \[0, 1\]"),
        (lambda: FAKD(output_weight=-0.1), r"output_weight=-0.1: in \[0, 1\]"),
        (lambda: FAKD(affinity_weight=-1), "affinity_weight=-1: at least 0"),
        (lambda: LSFD(-1), "weight=-1: at least 0"),
    ],
)
def test_values_without_meaning_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
