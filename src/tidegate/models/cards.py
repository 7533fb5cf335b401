"""What a version tells of itself: its card, and how it differs from another. Pure functions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from tidegate.kernel.schema import Column
from tidegate.models.records import APPROVAL, OVERRIDE, Attestation, Change, Model, ModelVersion
from tidegate.runs.records import Run

_SHOWN_CATEGORIES: Final = 8
_PIPELINES: Final = {"classification": "tabular-classification", "regression": "tabular-regression"}


def card(version: ModelVersion, model: Model, attested: Sequence[Attestation], run: Run | None) -> str:
    """The card of a version: Markdown, with the front matter that Hugging Face reads.

    Whatever people wrote is escaped: it can add no markup, and no row to a table. Attestations come newest first.
    """
    parts = [_front_matter(version, run), f"# {_safe(version.name)}, version {version.number}", _quoted(version.note)]
    if model.note:
        parts += ["## The model", _quoted(model.note)]
    parts += ["## In short", _table(("", ""), _in_short(version, model))]
    if version.manifest.signature is not None:
        rows = [(_safe(column.name), _kind(column)) for column in version.signature.columns]
        parts += ["## What it takes", _table(("column", "type"), rows)]
    origins = [(_safe(origin.label), f"`{origin.digest[:12]}`") for origin in version.manifest.origins]
    if origins:
        parts += ["## What it was trained on", _table(("dataset", "digest"), origins)]
    if run is not None:
        parts += _of_run(run)
    if attested:
        parts += ["## What was found of it", _table(("what", "verdict", "by", "when", "why"), _found(attested))]
    return "\n\n".join(part for part in parts if part) + "\n"


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Change, ...]:
    """What differs between the facts of two versions, by name; None stands for what one of them lacks."""
    names = sorted(before.keys() | after.keys())
    found = (Change(name, before.get(name), after.get(name)) for name in names)
    return tuple(change for change in found if change.before != change.after)


def facts(version: ModelVersion, run: Run | None) -> dict[str, str]:
    """All that makes a version what it is, each thing under a name of its own, such as ``column.wind``."""
    manifest = version.manifest
    told = {"stage": version.stage, "format": manifest.format, "runtime": manifest.runtime, "inputs": manifest.inputs}
    told |= {f"file.{name}": digest for name, digest in manifest.files.items()}
    told |= {f"fact.{name}": text for name, text in manifest.facts.items()}
    told |= {f"dataset.{name}": text for name, text in _datasets(version)}
    told |= {f"tag.{name}": text for name, text in version.tags.items()}
    if manifest.service is not None:
        told["service"] = manifest.service
    if manifest.signature is not None:
        signature = manifest.signature
        told |= {f"column.{column.name}": _kind(column) for column in signature.columns}
        told |= {"columns": ", ".join(column.name for column in signature.columns), "task": signature.task}
        told |= {"classes": _listed(map(str, signature.classes)), "unknown_category": signature.unknown_category}
        told["missing_feature"] = signature.missing_feature
    if run is not None:
        told |= {f"param.{name}": str(value) for name, value in run.params.items()}
        told |= {f"metric.{name}": f"{value:.6g}" for name, value in run.metrics.items()}
        told |= {"code": run.code.key or "", "environment": run.environment.packages_digest if run.environment else ""}
    return {name: text for name, text in told.items() if text}


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


def _in_short(version: ModelVersion, model: Model) -> list[tuple[str, str]]:
    manifest = version.manifest
    rows = [
        ("stage", version.stage),
        ("owner", _safe(model.owner)),
        ("author", _safe(version.created_by)),
        ("made", version.created_at.isoformat(timespec="seconds")),
        ("digest", f"`{version.digest}`"),
        ("format", _safe(manifest.format)),
        ("answered by", _safe(manifest.runtime) or "no server: it is kept and handed out only"),
    ]
    if manifest.signature is not None:
        classes = _listed(map(str, manifest.signature.classes))
        rows.append(("task", manifest.signature.task + (f": {_safe(classes)}" if classes else "")))
    if version.run_id is not None:
        rows.append(("run", f"`{version.run_id}`"))
    pointing = [alias for alias, number in model.aliases.items() if number == version.number]
    if pointing:
        rows.append(("aliases", _safe(", ".join(pointing))))
    return rows + [(_safe(name), _safe(text)) for name, text in version.tags.items()]


def _of_run(run: Run) -> list[str]:
    parts = []
    if run.params:
        rows = [(_safe(name), _safe(str(value))) for name, value in run.params.items()]
        parts += ["## How it was trained", _table(("parameter", "value"), rows)]
    if run.metrics:
        rows = [(_safe(name), f"{value:.6g}") for name, value in run.metrics.items()]
        parts += ["## What its run measured", _table(("metric", "value"), rows)]
    return parts


def _found(attested: Sequence[Attestation]) -> list[tuple[str, ...]]:
    return [
        (
            {APPROVAL: "approval"}.get(one.kind, _safe(one.kind.removeprefix(OVERRIDE))),
            f"overridden ({one.verdict})" if one.kind.startswith(OVERRIDE) else one.verdict.replace("_", " "),
            _safe(one.by),
            one.at.isoformat(timespec="seconds"),
            _safe(one.reason),
        )
        for one in attested
    ]


def _datasets(version: ModelVersion) -> Iterable[tuple[str, str]]:
    for origin in version.manifest.origins:
        name, _, number = origin.label.rpartition("/")
        yield name or origin.label, f"{number} ({origin.digest[:12]})"


def _kind(column: Column) -> str:
    """A column's type as people read it."""
    listed = f": {_safe(_listed(column.categories))}" if column.categories else ""
    return f"{column.kind}{', nullable' if column.nullable else ''}{listed}"


def _listed(texts: Iterable[str]) -> str:
    every = list(texts)
    more = f" and {len(every) - _SHOWN_CATEGORIES} more" if len(every) > _SHOWN_CATEGORIES else ""
    return ", ".join(every[:_SHOWN_CATEGORIES]) + more


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


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
