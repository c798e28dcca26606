"""The papers as data: the numbers are the paper's, and a mistake in a file is named."""

import re
from pathlib import Path

import pytest

from sr_experiments.errors import UserError
from sr_experiments.papers.load import load_paper, papers
from sr_experiments.places import shipped

COLUMNS = ("relu", "leaky_relu", "swish", "mish")
ACTIVATION = (shipped("sweeps") / "activation.yaml").read_text(encoding="utf-8")


def published(text: str) -> dict[tuple[int, str, str], tuple[float, float]]:
    """Table 1 out of the paper's text: (scale, data set, column) -> (PSNR, SSIM)."""
    found, scale = {}, 0
    for line in text.splitlines():
        fields = [field.strip() for field in line.split("\t")]
        if len(fields) < 10 or not re.fullmatch(r"\d+\.\d+", fields[2]):
            continue
        scale = int(fields[0].removeprefix("x")) if fields[0] else scale
        name = re.sub(r"\[\d+\]$", "", fields[1])
        for index, column in enumerate(COLUMNS):
            psnr, ssim = fields[2 + 2 * index : 4 + 2 * index]
            found[scale, name, column] = float(psnr), float(ssim)
    return found


def as_data() -> dict[tuple[int, str, str], tuple[float, float]]:
    (table,) = load_paper("activation").tables
    return {
        (scale, dataset, column): pair
        for scale, rows in table.published.items()
        for dataset, cells in rows.items()
        for column, pair in cells.items()
    }


@pytest.mark.research
def test_every_number_of_the_paper_and_no_other(research: Path) -> None:
    text = (research.parent / "papers" / "activation_edsr.txt").read_text(encoding="utf-8")
    in_print = published(text)
    assert len(in_print) == 2 * 6 * 4
    assert as_data() == in_print


def test_averages_that_do_not_follow_from_their_rows_are_those_of_the_remark() -> None:
    numbers = as_data()
    (table,) = load_paper("activation").tables
    assert table.average is not None
    wrong = []
    for scale in (2, 4):
        for column in COLUMNS:
            for index, digits in ((0, 2), (1, 4)):
                rows = [numbers[scale, name, column][index] for name in table.average.over]
                printed = numbers[scale, table.average.label, column][index]
                if abs(sum(rows) / len(rows) - printed) > 0.5 * 10**-digits + 1e-9:
                    wrong.append((scale, column, index))
    assert wrong == [(2, "swish", 0), (4, "swish", 1)]


def test_papers_are_known_by_name() -> None:
    assert "activation" in papers()
    for name in papers():
        assert load_paper(name).name == name
    with pytest.raises(UserError, match=r"no paper is called 'activaton'; choose .*activation"):
        load_paper("activaton")


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "key", "reason"),
    [
        ("label: Swish", "lable: Swish", "tables[0].columns[2].lable", "unknown key; known are id"),
        (
            "B100: {psnr: y, ssim: rgb,",
            "B100: {psnr: why, ssim: rgb,",
            "tables[0].datasets.B100.psnr",
            "'why'",
        ),
        (
            "{relu: [30.73, 0.8269]",
            "{relu: ['30.73', 0.8269]",
            "tables[0].published[4].DIV2K.relu[0]",
            "valid number, found '30.73'",
        ),
        ("{relu: [32.35, ", "{rely: [32.35, ", "tables[0].published[2].B100.rely", "no column"),
        (
            "Urban100:\n          {relu: [26.65, 0.7836], ",
            "Urban100:\n          {",
            "tables[0].published[4].Urban100",
            "column relu has no number",
        ),
        ("  venue: null\n", "", "reference.venue", "missing"),
        ("parameters: {2: 40_729_603,", "parameters: {2: -1,", "network.parameters[2]", "found -1"),
        ("  size: 32x256", "  name: EDSR2\n  size: 32x256", "name", "twice"),
        ("over: [DIV2K,", "over: [DIV2k,", "tables[0].average.over[0]", "DIV2k is no data set"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_key(
    tmp_path: Path, old: str, new: str, key: str, reason: str
) -> None:
    assert ACTIVATION.count(old) == 1
    path = tmp_path / "mine.yaml"
    path.write_text(ACTIVATION.replace(old, new), encoding="utf-8")
    # A key that is gone is missed where its mapping begins.
    line = line_of(ACTIVATION, old if new else "reference:")
    with pytest.raises(UserError) as caught:
        load_paper(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: {key}: ")
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", r":1: the file is empty"),
        (b"name: [a\nb: c", r":2: not valid YAML"),
        (b"- a\n- b\n", r":1: the file: "),
        (b"name: \xff\xfe", r"UTF-8"),
        (b"a: &x [*x]\n", r":1: a: unknown key"),
    ],
)
def test_a_file_that_is_no_paper(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=expected):
        load_paper(path)


def test_protocols_are_those_that_are_scored() -> None:
    from sr_experiments.metrics.protocols import PROTOCOLS
    from sr_experiments.papers.protocols import PSNR_RULES, SSIM_RULES

    assert set(PSNR_RULES) == set(PROTOCOLS)
    assert set(SSIM_RULES) == set(PROTOCOLS) - {"rgb_div2k"}  # which has no SSIM
