"""What a version tells of itself: its card, and how it differs from another. Pure functions."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from tidegate.kernel.schema import Column
from tidegate.models.records import APPROVAL, OVERRIDE, TRUST, Attestation, Change, Model, ModelVersion
from tidegate.runs.records import Run

_SHOWN_CATEGORIES: Final = 8


class Code(str):
    """A text that is shown as code: a digest, an id."""

    __slots__ = ()


class Section(msgspec.Struct, frozen=True):
    """A part of a card: what somebody wrote, and a table. Plain texts, which whoever renders them escapes."""

    title: str
    text: str = ""
    head: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()


class Card(msgspec.Struct, frozen=True):
    """What is told of a version, in whichever form."""

    version: ModelVersion
    run: Run | None
    sections: Sequence[Section]
    """None of them empty."""


def card(version: ModelVersion, model: Model, attested: Sequence[Attestation], run: Run | None) -> Card:
    """All that is known of a version. Attestations come newest first."""
    manifest = version.manifest
    columns = () if manifest.signature is None else manifest.signature.columns
    run_rows = (run.params.items(), run.metrics.items()) if run is not None else ((), ())
    sections = (
        Section("The model", model.note),
        Section("In short", head=("", ""), rows=_in_short(version, model)),
        Section("What it takes", head=("column", "type"), rows=[(one.name, _kind(one)) for one in columns]),
        Section(
            "What it was trained on",
            head=("dataset", "digest"),
            rows=[(origin.label, Code(origin.digest[:12])) for origin in manifest.origins],
        ),
        Section(
            "How it was trained",
            head=("parameter", "value"),
            rows=[(name, str(value)) for name, value in run_rows[0]],
        ),
        Section(
            "What its run measured",
            head=("metric", "value"),
            rows=[(name, f"{value:.6g}") for name, value in run_rows[1]],
        ),
        Section("What was found of it", head=("what", "verdict", "by", "when", "why"), rows=_found(attested)),
    )
    return Card(version, run, [one for one in sections if one.text or one.rows])


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


def _in_short(version: ModelVersion, model: Model) -> list[tuple[str, str]]:
    manifest = version.manifest
    rows = [
        ("stage", version.stage),
        ("owner", model.owner),
        ("author", version.created_by),
        ("made", _moment(version.created_at)),
        ("digest", Code(version.digest)),
        ("format", manifest.format),
        ("answered by", manifest.runtime or "no server: it is kept and handed out only"),
    ]
    if manifest.signature is not None:
        classes = _listed(map(str, manifest.signature.classes))
        rows.append(("task", manifest.signature.task + (f": {classes}" if classes else "")))
    if version.run_id is not None:
        rows.append(("run", Code(version.run_id)))
    pointing = [alias for alias, number in model.aliases.items() if number == version.number]
    if pointing:
        rows.append(("aliases", ", ".join(pointing)))
    return rows + [(name, text) for name, text in version.tags.items()]


def _found(attested: Sequence[Attestation]) -> list[tuple[str, ...]]:
    return [
        (
            {APPROVAL: "approval", TRUST: "trust in its code"}.get(one.kind, one.kind.removeprefix(OVERRIDE)),
            f"overridden ({one.verdict})" if one.kind.startswith(OVERRIDE) else one.verdict.replace("_", " "),
            one.by,
            _moment(one.at),
            one.reason,
        )
        for one in attested
    ]


def _datasets(version: ModelVersion) -> Iterable[tuple[str, str]]:
    for origin in version.manifest.origins:
        name, _, number = origin.label.rpartition("/")
        yield name or origin.label, f"{number} ({origin.digest[:12]})"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _kind(column: Column) -> str:
    """A column's type as people read it."""
    listed = f": {_listed(column.categories)}" if column.categories else ""
    return f"{column.kind}{', nullable' if column.nullable else ''}{listed}"


def _listed(texts: Iterable[str]) -> str:
    every = list(texts)
    more = f" and {len(every) - _SHOWN_CATEGORIES} more" if len(every) > _SHOWN_CATEGORIES else ""
    return ", ".join(every[:_SHOWN_CATEGORIES]) + more
