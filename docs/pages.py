"""Pages of the documentation that are made from other files when the site is built.

The README, CONTRIBUTING and so on are pages as they are, with their links turned; the config
reference is read from ``conf/`` and the schema.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from sr_experiments.config.schema import RunConfig

ROOT = Path(__file__).resolve().parents[1]
#: File of the repository -> page of the site.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "src/sr_experiments/upscale/networks/ecbsr.md": "ecbsr.md",
    "src/sr_experiments/upscale/networks/vdsr.md": "vdsr.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    for source, page in PAGES.items():
        text = _turned((ROOT / source).read_text(encoding="utf-8"), source)
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, "config.md", content=reference()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links of the pages in ``docs/`` to files above it."""
    return (
        _turned(markdown, f"docs/{page.file.src_uri}") if not page.file.generated_by else markdown
    )


def _turned(text: str, source: str) -> str:
    """Links relative to a file of the repository as links between pages."""

    def turn(match: re.Match[str]) -> str:
        target, hash_, anchor = match[2].partition("#")
        if not target or ":" in target:
            return match[0]
        path = ((ROOT / source).parent / target).resolve().relative_to(ROOT).as_posix()
        if path not in PAGES and not path.startswith("docs/"):
            return match[1].strip("[]")  # a file of the repository that is no page
        page = PAGES.get(path, path.removeprefix("docs/"))
        return f"{match[1]}({page}{hash_}{anchor})"

    return re.sub(r"(\[[^\]]*\])\(([^)\s]+)\)", turn, text)


def reference() -> str:
    """The config reference: keys with default, type and comment; then groups and their choices."""
    lines = [
        "# Config reference",
        "",
        "Made from `conf/` and the schema. `python -m sr_experiments --cfg job WORDS` prints the",
        "config of any command without running it; `--help` lists all choices.",
        "",
        "## Keys",
        "",
        "| key | default | type | meaning |",
        "|---|---|---|---|",
    ]
    schema = RunConfig.model_json_schema()
    for file, section in (
        ("config.yaml", ""),
        ("data/embedded.yaml", "data"),
        ("benchmarks/embedded.yaml", "benchmarks"),
        ("clipping/none.yaml", "clipping"),
        ("trainer/auto.yaml", "trainer"),
    ):
        for key, default, comment in _keys((ROOT / "conf" / file).read_text(encoding="utf-8")):
            path = [*([section] if section else []), *key.split(".")]
            kind = _kind(schema, path)
            if kind:
                cells = (f"`{'.'.join(path)}`", f"`{default}`" if default else "", kind, comment)
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    for group in sorted(p for p in (ROOT / "conf").iterdir() if p.is_dir() and p.name != "hydra"):
        word = f"`+{group.name}=`" if group.name == "experiment" else f"`{group.name}=`"
        lines += ["", f"## {word}", "", "| choice | |", "|---|---|"]
        for choice in sorted(group.glob("*.yaml")):
            lines.append(f"| `{choice.stem}` | {_head(choice.read_text(encoding='utf-8'))} |")
    return "\n".join(lines) + "\n"


def _keys(text: str) -> list[tuple[str, str, str]]:
    """Dotted keys of a YAML text with their values and comments, which a parser would drop."""
    found, section = [], ""
    for line in text.partition("\nhydra:")[0].splitlines():
        match = re.match(r"( *)([a-z_]+): *(.*)$", line)
        if match is None:
            continue
        value, _, comment = match[3].partition(" # ")
        value = value.removeprefix("# ") if value.startswith("# ") else value
        if not match[1]:
            section = "" if value.strip() else match[2]
        if value.strip():
            key = f"{section}.{match[2]}" if match[1] else match[2]
            found.append((key, value.strip(), comment.strip()))
    return found


def _kind(schema: dict[str, Any], path: list[str]) -> str:
    """The type of a key in words; empty if the schema has no such key."""
    node = schema
    for part in path:
        node = node.get("properties", {}).get(part, {})
        while "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return _told(node)


def _told(node: dict[str, Any]) -> str:
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(filter(None, map(_told, node["anyOf"]))))
    if node.get("type") == "array":
        return f"list of {_told(node.get('items', {})) or 'values'}"
    bounds = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below"}
    limits = [f"{word} {node[key]}" for key, word in bounds.items() if key in node]
    names = {
        "string": "text",
        "integer": "whole number",
        "object": "mapping",
        "boolean": "true or false",
    }
    kind = names.get(node.get("type", ""), node.get("type", ""))
    return ", ".join([kind, *limits]) if kind else ""


def _head(text: str) -> str:
    """The comment at the head of a config file, on one line."""
    lines = [line for line in text.splitlines() if not line.startswith("# @package")]
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    return " ".join(comment).replace("|", "\\|")
