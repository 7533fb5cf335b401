"""A card in Markdown, as Hugging Face reads it. Whatever people wrote marks nothing up, and adds no row to a table."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from tidegate.models.cards import Card, Code
from tidegate.models.records import ModelVersion
from tidegate.runs.records import Run

_PIPELINES: Final = {"classification": "tabular-classification", "regression": "tabular-regression"}


def markdown(card: Card) -> str:
    """The card, with front matter."""
    version = card.version
    parts = [_front_matter(version, card.run), f"# {_safe(version.name)}, version {version.number}"]
    parts.append(_quoted(version.note))
    for section in card.sections:
        parts += [f"## {section.title}", _quoted(section.text)]
        if section.rows:
            parts.append(_table(section.head, section.rows))
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(version: ModelVersion, run: Run | None) -> str:
    signature = version.manifest.signature
    lines = [
        f"model_name: {_yaml(version.reference)}",
        f"library_name: {_yaml(version.manifest.format)}",
        f"tags: {_yaml_list([*sorted(version.tags), 'tidegate'])}",
    ]
    if signature is not None:
        lines.append(f"pipeline_tag: {_PIPELINES[signature.task]}")
    if version.manifest.origins:
        lines.append(f"datasets: {_yaml_list([origin.label for origin in version.manifest.origins])}")
    if run is not None and run.metrics:
        lines.append(f"metrics: {_yaml_list(sorted(run.metrics))}")
    return "\n".join(("---", *lines, "---"))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(_cell, row))} |" for row in rows)])


def _cell(text: str) -> str:
    return f"`{text}`" if isinstance(text, Code) else _safe(text)


def _safe(text: str) -> str:
    """A text that stays on its line and in its cell, and marks nothing up."""
    for character, instead in (("&", "&amp;"), ("<", "&lt;"), ("\\", "\\\\"), ("|", "\\|"), ("`", "\\`"), ("[", "\\[")):
        text = text.replace(character, instead)
    return " ".join(text.split())


def _quoted(note: str) -> str:
    return "\n".join(f"> {_safe(line)}" for line in note.splitlines())


def _yaml(text: str) -> str:
    """A text in YAML: a JSON text is one."""
    return msgspec.json.encode(text).decode()


def _yaml_list(texts: Sequence[str]) -> str:
    return msgspec.json.encode(list(texts)).decode()
