"""Looking features up for requests, from the online store: numpy, no frames, nothing read twice."""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from tidegate.features.cells import read_column, wrong
from tidegate.features.entities import Entities
from tidegate.features.expressions import SourceType
from tidegate.features.history import NOBODY, UNKNOWN, Integers, Moments, read_history
from tidegate.features.online import entity_key
from tidegate.features.packed import Entity, Layout
from tidegate.features.records import AppliedService
from tidegate.features.rules import key_types
from tidegate.kernel.clock import from_micros

Key = tuple[Any, ...]
"""The values of a row that name an entity of a view."""


class OnlineLookup:
    """Completes the rows of requests; what `kernel.features.FeatureLookup` asks for.

    What was pushed is seen by the next request, in every process. Thread-safe.
    """

    def __init__(self, find: Callable[[str], AppliedService], entities: Entities) -> None:
        self._find = find
        self._entities = entities
        self._plans: dict[str, _Plan] = {}

    def complete(self, service: str, rows: Sequence[Mapping[str, Any]], moments: Sequence[int]) -> list[dict[str, Any]]:
        """The rows as a model takes them, each with its features as of its moment (microseconds).

        Raises `Invalid` for a field that the service does not know, a key that is missing or of another type, and a
        moment before what the store remembers; `NotFound` for a service that nobody applied.
        """
        plan = self._plans.get(service)
        if plan is None:
            plan = self._plans[service] = _Plan(self._find(service))
        return plan.complete(rows, np.fromiter(moments, np.int64, len(rows)), self._entities)


class _Plan:
    """How the rows of one service are completed; made once."""

    def __init__(self, service: AppliedService) -> None:
        self._service = service
        self._keys: dict[str, SourceType] = key_types(service.views)
        self._request = service.service.request
        self._fields: dict[str, SourceType] = {**self._keys, **self._request}
        self._names = [one.name for one in service.inputs]
        self._layouts = {digest: Layout(view) for digest, view in zip(service.view_digests, service.views, strict=True)}
        self._views = [_View(*view) for view in self._layouts.items()]
        alike: dict[object, list[_View]] = {}
        for view in self._views:
            alike.setdefault(view.layout.shape, []).append(view)
        self._alike = list(alike.values())

    def complete(self, rows: Sequence[Mapping[str, Any]], at: Integers, entities: Entities) -> list[dict[str, Any]]:
        """The rows as a model takes them: each request feature that it has, and all features of the views."""
        whole = self._fields.keys()
        partial = [index for index, row in enumerate(rows) if type(row) is not dict or row.keys() != whole]
        for index in partial:
            self._check_fields(index, rows[index])
        cells = {name: read_column([row.get(name) for row in rows], kind, name) for name, kind in self._fields.items()}
        columns: list[Sequence[object]] = [cells[name] for name in self._request]
        columns += self._features(cells, at, entities)
        answers = [dict(zip(self._names, values, strict=True)) for values in zip(*columns, strict=True)]
        for index in partial:
            for name in self._request:
                if name not in rows[index]:
                    del answers[index][name]
        return answers

    def _features(self, cells: Mapping[str, list[Any]], at: Integers, entities: Entities) -> list[list[object]]:
        """The features of all views, one value a row. Every entity is looked up once, and views alike read as one."""
        keyed = [view.keys(cells) for view in self._views]
        distinct = [[key for key in dict.fromkeys(keys) if None not in key] for keys in keyed]
        wanted = [
            (view.digest, entity_key(key)) for view, keys in zip(self._views, distinct, strict=True) for key in keys
        ]
        following = iter(entities.get(self._layouts, wanted))
        asked: dict[_View, _Asked] = {}
        for view, keys, names in zip(self._views, keyed, distinct, strict=True):
            asked[view] = _Asked(keys, dict(zip(names, islice(following, len(names)), strict=True)))
            asked[view].refuse_forgotten(view.layout.view.view.name, at)
        columns: dict[_View, list[list[object]]] = {}
        for views in self._alike:
            read = _read(views[0].layout, [asked[view] for view in views], at)
            columns |= dict(zip(views, read, strict=True))
        return [column for view in self._views for column in columns[view]]

    def _check_fields(self, index: int, row: Mapping[str, Any]) -> None:
        if not isinstance(row, dict):
            raise wrong(index, "", "expected an object of named values")
        for name in row:
            if name not in self._fields:
                known = ", ".join(self._fields)
                raise wrong(index, str(name), f"{self._service} takes no such field; it takes {known}")
        for name in self._keys:
            if name not in row:
                raise wrong(index, name, "it is missing, and names an entity: give null where there is none")


class _View(NamedTuple):
    """One view's part of a plan."""

    digest: str
    layout: Layout

    def keys(self, cells: Mapping[str, list[Any]]) -> list[Key]:
        """The entity that each row names."""
        return list(zip(*[cells[name] for name in self.layout.view.view.entity], strict=True))


class _Asked:
    """The entities that the rows name in a view, and what is known of them."""

    def __init__(self, keys: list[Key], found: Mapping[Key, Entity | None]) -> None:
        self.entities: list[Entity] = []
        codes: dict[Key, int] = {}
        for key, entity in found.items():
            codes[key] = UNKNOWN if entity is None else len(self.entities)
            if entity is not None:
                self.entities.append(entity)
        self.codes: Integers = np.array([codes.get(key, NOBODY) for key in keys], np.int64)
        """Of each row's entity: its place among the entities, or none."""

    def refuse_forgotten(self, view: str, at: Integers) -> None:
        """Raises `Invalid` where a moment lies before what is remembered of its entity."""
        floors = [one.floor for one in self.entities]
        if not floors or not (at < max(floors)).any():
            return
        codes, floor = self.codes, np.array(floors)[np.maximum(self.codes, 0)]
        early = np.flatnonzero((codes >= 0) & (at < floor))
        if len(early):
            row = int(early[0])
            raise wrong(
                row,
                "at",
                f"{from_micros(int(at[row])).isoformat()} is before what the online store remembers of this entity "
                f"in view {view!r} ({from_micros(int(floor[row])).isoformat()}): a training set answers for the past",
            )


def _read(layout: Layout, asked: Sequence[_Asked], at: Integers) -> list[list[list[object]]]:
    """The features of views that are alike, one value a row: all their entities are one history."""
    if len(asked) == 1:
        history = layout.history(asked[0].entities)
        return [[column.cells() for column in read_history(layout.view, history, Moments(asked[0].codes, at, at))]]
    entities: list[Entity] = []
    codes = []
    for one in asked:
        codes.append(np.where(one.codes >= 0, one.codes + len(entities), one.codes))
        entities += one.entities
    moments = np.tile(at, len(asked))
    read = read_history(layout.view, layout.history(entities), Moments(np.concatenate(codes), moments, moments))
    cells = [column.cells() for column in read]
    starts = [place * len(at) for place in range(len(asked))]
    return [[column[start : start + len(at)] for column in cells] for start in starts]
