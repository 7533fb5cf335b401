"""What a definition must keep to, which types follow from it, and how its versions are named: pure functions."""

from collections.abc import Mapping
from typing import Final

import blake3
import msgspec

from tidegate.data.records import Contract
from tidegate.features.expressions import ColumnType, SourceType, columns_of, type_of
from tidegate.features.records import (
    Aggregate,
    AppliedView,
    FeatureService,
    FeatureView,
    Output,
)
from tidegate.kernel.errors import Invalid
from tidegate.kernel.names import check_name, parse_reference

REMEMBERED: Final = 2 * 3600 * 10**6
"""Microseconds of history that the online store keeps beyond what the present needs."""

MOST_FEATURES: Final = 500
LONGEST: Final = 3650 * 86400 * 10**6
"""Microseconds that a window, a delay or a ttl may last: ten years."""

_TYPES: Final[dict[str, SourceType]] = {
    "number": "Float64",
    "integer": "Int64",
    "boolean": "Boolean",
    "text": "Text",
    "category": "Text",
    "instant": "Instant",
    "date": "Date",
}


def digest_of(record: object) -> str:
    """The BLAKE3 digest of a record's canonical JSON (keys sorted), as 64 hex digits."""
    return blake3.blake3(msgspec.json.encode(record, order="sorted")).hexdigest()


def source_types(contract: Contract) -> dict[str, SourceType]:
    """The columns of a dataset, by name and in order."""
    return {field.name: _TYPES[field.kind] for field in contract.fields}


def apply_view(view: FeatureView, types: Mapping[str, SourceType]) -> AppliedView:
    """The view with the types that follow from its source's. Raises `Invalid` naming what is wrong."""
    where = _check_shape(view)
    for name in view.entity:
        _check_column(name, types, ("Int64", "Text", "Boolean"), f"{where}: entity")
    for time in (view.event_time, view.known_at):
        if time is not None:
            _check_column(time, types, ("Instant",), f"{where}: time")
    features: dict[str, ColumnType] = {}
    for name, feature in view.features.items():
        told = f"{where}: feature {check_name(name, f'feature of {view.name}')!r}"
        if isinstance(feature, Aggregate):
            features[name] = _aggregate_type(feature, types, told)
        else:
            features[name] = type_of(feature, types, told)
    return AppliedView(view=view, columns=dict(types), types=features)


def service_inputs(service: FeatureService, views: tuple[AppliedView, ...]) -> tuple[Output, ...]:
    """What a model takes. A feature has its own name, or ``view__feature`` where that name is taken twice."""
    check_name(service.name, "feature service")
    names = [view.view.name for view in views]
    if len(set(names)) < len(names):
        raise Invalid(f"service {service.name!r} names a view twice: name each once")
    own = list(service.request) + [name for view in views for name in view.types]
    outputs = [Output(check_name(name, "request feature"), kind) for name, kind in service.request.items()]
    for place, view in enumerate(views):
        for name, kind in view.types.items():
            called = name if own.count(name) == 1 else f"{view.view.name}__{name}"
            outputs.append(Output(called, kind, place, name))
    if not 0 < len(outputs) <= MOST_FEATURES:
        raise Invalid(f"service {service.name!r} has {len(outputs)} features: it takes 1 to {MOST_FEATURES}")
    seen: set[str] = set()
    for output in outputs:
        if output.name in seen:
            raise Invalid(f"service {service.name!r} has two features named {output.name!r}: rename one")
        seen.add(output.name)
    _check_keys(service, views)
    return tuple(outputs)


def key_types(views: tuple[AppliedView, ...]) -> dict[str, SourceType]:
    """The entity keys of the views, with their types."""
    return {name: view.columns[name] for view in views for name in view.view.entity}


def needed_columns(view: AppliedView) -> tuple[str, ...]:
    """The columns of the source that the view reads, in order."""
    wanted = {*view.view.entity, view.view.event_time, view.view.known_at}
    for feature in view.view.features.values():
        argument = feature.of if isinstance(feature, Aggregate) else feature
        wanted |= columns_of(argument) if argument is not None else set()
    return tuple(name for name in view.columns if name in wanted)


def _check_shape(view: FeatureView) -> str:
    """What can be said without the source; how errors name the view."""
    where = f"view {check_name(view.name, 'view')!r}"
    check_name(view.source, f"source of {where}")
    if parse_reference(view.source).number is not None:
        raise Invalid(f"{where}: the source is a dataset, not one of its versions")
    if not view.entity or len(set(view.entity)) < len(view.entity):
        raise Invalid(f"{where}: entity names one column or several, each once")
    if not 0 < len(view.features) <= MOST_FEATURES:
        raise Invalid(f"{where} has {len(view.features)} features: it takes 1 to {MOST_FEATURES}")
    for name, micros in (("delay", view.delay), ("ttl", view.ttl)):
        if micros is not None and not 0 <= micros <= LONGEST:
            raise Invalid(f"{where}: {name} lasts from nothing to ten years")
    if view.known_at is not None and view.delay is not None:
        raise Invalid(f"{where} has known_at and delay: a row is known by one of them")
    windowed = [isinstance(feature, Aggregate) for feature in view.features.values()]
    if any(windowed) and not all(windowed):
        raise Invalid(f"{where} mixes aggregates with expressions: make two views of it")
    if view.event_time is None:
        if view.known_at or view.delay is not None or view.ttl is not None:
            raise Invalid(f"{where} has no event_time, so it is static: known_at, delay and ttl have no meaning")
        if any(windowed):
            raise Invalid(f"{where}: a window needs event_time, the column that says when a row was true")
    if any(windowed) and view.ttl is not None:
        raise Invalid(f"{where}: a windowed view has no ttl: its windows say how old a row may be")
    return where


def _check_column(name: str, types: Mapping[str, SourceType], wanted: tuple[str, ...], where: str) -> None:
    if name not in types:
        known = ", ".join(list(types)[:20]) or "none"
        raise Invalid(f"{where}: the source has no column {name[:80]!r}; it has {known}")
    if types[name] not in wanted:
        raise Invalid(f"{where} {name!r} is of type {types[name]}: it takes {' or '.join(wanted)}")


def _aggregate_type(feature: Aggregate, types: Mapping[str, SourceType], where: str) -> ColumnType:
    if not 0 < feature.over <= LONGEST:
        raise Invalid(f"{where}: a window lasts from a microsecond to ten years")
    if feature.kind == "count":
        if feature.of is not None:
            raise Invalid(f"{where}: a count counts rows and takes no column")
        return "Int64"
    if feature.of is None:
        raise Invalid(f"{where}: {feature.kind} takes a column")
    given = type_of(feature.of, types, where)
    if given == "Text":
        raise Invalid(f"{where}: {feature.kind} takes numbers or booleans, not text")
    return "Float64" if feature.kind == "mean" or given == "Float64" else "Int64"


def _check_keys(service: FeatureService, views: tuple[AppliedView, ...]) -> None:
    """A key has one type in all views, and as a request feature the same."""
    known: dict[str, SourceType] = {**service.request}
    for view in views:
        for name in view.view.entity:
            kind = view.columns[name]
            if known.setdefault(name, kind) != kind:
                raise Invalid(
                    f"service {service.name!r}: {name!r} is {known[name]} in one place and {kind} in view "
                    f"{view.view.name!r}: a request can give it only one type"
                )
