"""The README's commands do what it says, and its outputs are real."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from sr_experiments.data.catalogue import embedded
from sr_experiments.report.paper.load import load_paper, papers

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
MAKEFILE = (Path(__file__).resolve().parents[1] / "Makefile").read_text()


def commands() -> list[str]:
    """Every command line of the README's shell blocks, comments taken off."""
    found = []
    for block in re.findall(r"```(?:bash|console)\n(.*?)```", README, re.DOTALL):
        lines = re.sub(r"\\\n\s*", "", block).splitlines()
        if any(line.startswith("$ ") for line in lines):
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        found += [re.sub(r"\s+#.*", "", line) for line in lines if line.strip() and line[0] != "#"]
    return found


def test_the_two_commands_come_first_and_exist():
    first = re.search(r"```bash\n(.*?)```", README, re.DOTALL)
    assert first is not None
    assert first[1].split("\n")[:2] == ["make reproduce-tables", "make test"]
    for target in re.findall(r"make ([a-z-]+)", README):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def test_its_counts_are_those_of_the_papers_and_of_its_summary():
    every = [load_paper(name) for name in papers()]
    rows = [re.search(rf"^ {p.name} +(\d+) +(\d+) .*", README, re.MULTILINE) for p in every]
    assert all(row and int(row[1]) == len(p.stages) for row, p in zip(rows, every, strict=True))
    assert f" {sum(int(row[2]) for row in rows if row)} runs," in README
    assert f"each of {sum(len(paper.claims) for paper in every)} claims" in README


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """What the README's commands name: folders of images."""
    photographs = tmp_path / "photographs"
    for folder in ("SR_DIR", "HR_DIR", "IN"):
        (tmp_path / folder).mkdir()
    photographs.mkdir()
    for path in embedded("val"):
        shutil.copy(path, photographs)
    for path in embedded("test")[:1]:
        shutil.copy(path, tmp_path / "IN")
        shutil.copy(path, tmp_path / "HR_DIR")
        shutil.copy(path, tmp_path / "SR_DIR" / f"{path.stem}x2.png")
    return photographs


# What would train for minutes or need DIV2K is run at the smallest budget on embedded photographs;
# fetching needs the network and is tested against a server on loopback elsewhere.
SMALL = ["budget=smoke", "logger=csv", "trainer=cpu", "trainer.progress=none"]


def test_every_command_runs(there, stages_here, cli, command):
    ran = 0
    for line in commands():
        words = shlex.split(line.replace("/my/photographs", str(there)))
        if words[0] == "make" or "fetch" in words or "verify" in words:
            continue
        assert words[:2] == ["python", "-m"], line
        module, *args = words[2:]
        inner = module.removeprefix("sr_experiments").removeprefix(".")
        if inner == "reproduce":
            args = [a for a in args if a.split("=")[0] not in ("budget", "seed")]
            args += SMALL
        if inner == "serve":  # it serves until interrupted: tests/serve/ does
            args.append("--help")
        if not inner and not {"--help", "--cfg"} & set(args):
            args += ["paper=null"] if "-m" in args else []  # `reproduce` above writes a report
            args = [a.replace("[Set5,Set14,", "[") for a in args]
            args = [a for a in args if a.split("=")[0] not in ("budget", "trainer", "logger")]
            args += SMALL
        # Help and configs come from a process that ends as soon as they are shown.
        call = cli if {"--help", "--cfg"} & set(args) else command
        result = call(*args, module=inner)
        assert result.returncode == 0, f"{line}\n{result.stderr}"
        ran += 1
    assert ran >= 10


def test_the_output_of_a_run_is_the_one_shown(cli):
    for command, shown in re.findall(r"```console\n\$ (.*?)\n(.*?)```", README, re.DOTALL):
        words = shlex.split(command)
        result = cli(*words[3:], "logger=csv")
        assert result.returncode == 0, result.stderr
        # Run directories lie in a temporary folder here, and end with a hash of the images.
        printed = re.sub(r"\S*/runs/runs/(\S+)-[0-9a-f]{8}", r"runs/runs/\1-", result.stdout)
        assert [line.rstrip() for line in printed.splitlines()] == shown.splitlines()
