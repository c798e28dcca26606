"""The papers as data: the numbers are the paper's, and a mistake in a file is named."""

import re
from pathlib import Path

import pytest

from sr_experiments.core.errors import UserError
from sr_experiments.core.paths import shipped
from sr_experiments.report.paper.claims import CostClaim
from sr_experiments.report.paper.load import load_paper, papers

ACTIVATION = (shipped("sweeps") / "activation.yaml").read_text(encoding="utf-8")
SWA = (shipped("sweeps") / "swa.yaml").read_text(encoding="utf-8")

Number = tuple[str, ...]


def rows_of(text: str) -> list[list[str]]:
    """Every line of a table in a paper's text, as its fields without marks and references."""
    lines = [line.split("\t") for line in text.splitlines() if "\t" in line]
    return [[re.sub(r"</?[bu]>|\[\d+\]", "", f).strip() for f in fields] for fields in lines]


def in_print(text: str) -> dict[Number, str]:
    """Every decimal number of a paper's tables: (scale or nothing, row, column) -> as printed.

    A line without numbers that has names from its third field on is a head; names that are missing
    in a row (merged cells) are those of the row above.
    """
    found: dict[Number, str] = {}
    scale = name = ""
    for fields in rows_of(text):
        at = [i for i, field in enumerate(fields) if re.fullmatch(r"\d+\.\d+", field)]
        if not at:
            continue
        for head in fields[: at[0]]:
            if match := re.fullmatch(r"[x×](\d)", head):
                scale = match[1]
            elif head:
                name = head
        for column, index in enumerate(at):
            found[scale, name, str(column)] = fields[index]
    return found


def as_data(name: str) -> dict[Number, str]:
    """The same out of a file of ``sweeps/``: the numbers with the digits that it gives them."""
    paper = load_paper(name)
    found: dict[Number, str] = {}
    for table in paper.tables:
        for scale, rows in table.published.items():
            for dataset, cells in rows.items():
                printed = [
                    f"{value:.{table.psnr_digits if metric == 'psnr' else 4}f}"
                    for column in table.columns
                    for metric, value in zip(("psnr", "ssim"), cells[column.id], strict=True)
                    if value is not None
                ]
                for index, number in enumerate(printed):
                    found[str(scale), dataset, str(index)] = number
    return found


def transposed(numbers: dict[Number, str], scale: str, rows: list[str], columns: list[str]) -> dict:
    """A table whose lines are the variants, as if its lines were the data sets."""
    return {
        (scale, columns[int(column)], str(rows.index(row))): number
        for (_, row, column), number in numbers.items()
    }


@pytest.mark.parametrize(
    ("name", "file", "count", "variants"),
    [
        ("activation", "activation_edsr", 2 * 6 * 8, []),
        ("deconvolution", "deconvolution_edsr", 2 * 4 * 2, []),
        ("swa", "swa_rcan", 4 * 4, ["Baseline", "SWA_1", "SWA_2", "SWA_3"]),
        (
            "distillation",
            "contrastive_distillation_edsr",
            5 * 4,
            ["Student (no distill)", "FAKD", "LSFD", "Ours (CS)", "Ours (L1)"],
        ),
        ("platform", "sr_platform", 0, []),
    ],
)
def test_every_number_of_the_papers_and_no_other(
    research: Path, name: str, file: str, count: int, variants: list[str]
) -> None:
    text = (research.parent / "papers" / f"{file}.txt").read_text(encoding="utf-8")
    printed = in_print(text)
    if variants:
        printed = transposed(printed, "2", variants, ["Set5", "Set14", "B100", "Urban100"])
    assert len(printed) == count
    assert as_data(name) == printed


@pytest.mark.research
def test_the_networks_of_the_distillation_paper(research: Path) -> None:
    path = research.parent / "papers" / "contrastive_distillation_edsr.txt"
    rows = {fields[0]: fields[1:] for fields in rows_of(path.read_text(encoding="utf-8"))}
    networks = load_paper("distillation").networks
    for key, line in (("teacher", "Teacher (T)"), ("student", "Student (S)")):
        blocks, channels, parameters = rows[line]
        assert networks[key].size == f"{blocks}x{channels}"
        assert networks[key].in_print == parameters
    (size,) = [c for c in load_paper("distillation").claims if c.id == "teacher_size"]
    assert isinstance(size, CostClaim) and size.published is not None
    large, small = (float(rows[name][2].rstrip("M")) for name in ("Teacher (T)", "Student (S)"))
    assert size.published.value == round(large / small, 1)


#: Effects that the text rounds away from its own table, and what the table gives.
TOLD_OTHERWISE = {
    "l1_beats_no_distillation": 0.292,
    "gain_on_urban100": 0.114,
    "gain_on_urban100_over_lsfd": 0.124,
}


@pytest.mark.parametrize("name", papers())
def test_effects_of_the_claims_follow_from_the_tables(name: str) -> None:
    paper = load_paper(name)
    for claim in paper.claims:
        published = getattr(claim, "published", None)
        if published is None or isinstance(claim, CostClaim):
            continue
        table, metric = paper.table(claim.table), ("psnr", "ssim").index(claim.metric)
        average = table.average.label if table.average else None
        effects = []
        for scale in claim.scales:
            rows = table.published[scale]
            for dataset in claim.datasets or [row for row in rows if row != average]:
                ours, *others = (rows[dataset][c][metric] for c in (claim.column, *claim.others))
                over = sum(others) / len(others)
                base = over if claim.percent_of == "over" else ours
                effects.append((ours - over) * (100 / base if claim.unit == "%" else 1))
        told = TOLD_OTHERWISE.get(claim.id, published.value)
        tolerance = 0.013 if claim.unit == "%" else 0.0006
        assert sum(effects) / len(effects) == pytest.approx(told, abs=tolerance), claim.id


def test_stages_and_names_are_those_of_the_suite() -> None:
    from sr_experiments.metrics.protocols import PROTOCOLS

    wanted = {
        "activation": ["activation_sweep"],
        "swa": ["swa_sweep"],
        "deconvolution": [
            *("deconvolution_sweep", "srcnn_deconvolution_sweep"),
            *("deconvolution_without_residual", "deconvolution_everywhere"),
        ],
        "distillation": ["distillation_sweep"],
        "platform": [
            *("platform_methods", "platform_residual", "platform_learning_rate"),
            *("platform_optimizer", "platform_initializer", "platform_regularization"),
            *("platform_weight_decay", "platform_clipping"),
        ],
    }
    assert {name: load_paper(name).stages for name in papers()} == wanted
    for name in papers():
        for figure in load_paper(name).figures:
            assert figure.protocol is None or figure.protocol in PROTOCOLS


def test_averages_that_do_not_follow_from_their_rows_are_those_of_the_remark() -> None:
    (table,) = load_paper("activation").tables
    assert table.average is not None
    wrong = []
    for scale in (2, 4):
        numbers = table.published[scale]
        for column in [column.id for column in table.columns]:
            for index, digits in ((0, 2), (1, 4)):
                rows = [numbers[name][column][index] for name in table.average.over]
                printed = numbers[table.average.label][column][index]
                if abs(sum(rows) / len(rows) - printed) > 0.5 * 10**-digits + 1e-9:
                    wrong.append((scale, column, index))
    assert wrong == [(2, "swish", 0), (4, "swish", 1)]


@pytest.mark.parametrize("name", papers())
def test_the_list_of_claims_has_each_of_them(name: str) -> None:
    paper = load_paper(name)
    listed = (Path(__file__).parents[3] / "docs" / "claims.md").read_text("utf-8")
    _, _, section = listed.partition(f"`sweeps/{name}.yaml`: ")
    section = section.partition("\n## ")[0]
    assert section.startswith(f"{len(paper.claims)} claims tested, {len(paper.untested)} not.")
    for claim in paper.claims:
        assert f"`{claim.id}`" in section, claim.id
    for untested in paper.untested:
        assert untested.text.rstrip(".") in section, untested.text


def test_papers_are_known_by_name() -> None:
    assert "activation" in papers()
    for name in papers():
        assert load_paper(name).name == name
    with pytest.raises(UserError, match=r"unknown paper 'activaton'; choose .*activation"):
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
        (
            "{relu: [32.35, ",
            "{rely: [32.35, ",
            "tables[0].published[2].B100.rely",
            "not declared as a column",
        ),
        (
            "Urban100:\n          {relu: [26.65, 0.7836], ",
            "Urban100:\n          {",
            "tables[0].published[4].Urban100",
            "column relu has no number",
        ),
        ("  venue: null\n", "", "reference.venue", "missing"),
        (
            "parameters: {2: 40_729_603,",
            "parameters: {2: -1,",
            "networks.edsr.parameters[2]",
            "found -1",
        ),
        ("    size: 32x256", "    name: EDSR2\n    size: 32x256", "name", "duplicate key"),
        (
            "over: [DIV2K,",
            "over: [DIV2k,",
            "tables[0].average.over[0]",
            "DIV2k is not declared as a data set",
        ),
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
    ("old", "new", "key", "reason"),
    [
        (
            "over: swa_1\n    scales: [2]\n    published: {value: 0.039",
            "over: swa_4\n    scales: [2]\n    published: {value: 0.039",
            "claims[3].over",
            "not declared as a column",
        ),
        (
            "    quantity: peak_memory",
            "    quantity: memory",
            "claims[8].quantity",
            "'memory'",
        ),
        (
            "datasets: [Urban100]",
            "datasets: [Urban10]",
            "claims[0].datasets[0]",
            "not declared as a data set",
        ),
        ("kind: stability", "kind: stable", "claims[4]", "'stable'"),
        ("  - id: steadier", "  - id: smaller_rate", "claims[4].id", "two claims are called"),
        (
            "    kind: curve\n    table: table1\n",
            "    kind: curve\n",
            "figures[0]",
            "needs the table",
        ),
        ("    protocol: y\n    x: epoch", "    x: epoch", "figures[0]", "needs the protocol"),
        ("0.128, unit: dB", "0.128, unit: db", "claims[0].published.unit", "found 'db'"),
        (
            "    psnr_digits: 3",
            "    psnr_digits: 2",
            "tables[0].published[2].Set5.baseline",
            "more",
        ),
        ("swa_2: 38.200,", "swa_2: 382.00,", "tables[0].published[2].Set5.swa_2", "less than 100"),
        (
            "swa_2: 33.943,",
            "swa_2: [33.943, 0.9],",
            "tables[0].published[2].Set14.swa_2",
            "an SSIM, but Set14 has no protocol for it",
        ),
        (
            "choices.averaging: swa",
            "word.averaging: swa",
            "tables[0].columns[0].where",
            "selector begins",
        ),
        (
            "        weights: raw\n",
            "        network: san\n",
            "tables[0].columns[0].network",
            "rcan",
        ),
        (
            "    experiment: swa_sweep\n    psnr",
            "    experiment: no_sweep\n    psnr",
            "tables[0].experiment",
            "not declared as a stage of this paper; choose swa_sweep",
        ),
    ],
)
def test_a_mistake_in_claims_figures_and_stages_is_named(
    tmp_path: Path, old: str, new: str, key: str, reason: str
) -> None:
    assert SWA.count(old) == 1
    path = tmp_path / "mine.yaml"
    path.write_text(SWA.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_paper(path)
    message = str(caught.value)
    assert re.match(rf"{re.escape(str(path))}:\d+: {re.escape(key)}", message), message
    assert reason in message


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
