"""Looking features up for requests, from the online store: numpy, no frames, nothing read twice."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from tidegate.features.cells import read_cell, wrong
from tidegate.features.expressions import SourceType
from tidegate.features.history import NOBODY, UNKNOWN, Moments, Values, read_history
from tidegate.features.online import Key, OnlineStore, entity_key
from tidegate.features.packed import Entity, Layout
from tidegate.features.records import AppliedService, Output
from tidegate.features.rules import key_types
from tidegate.kernel.clock import from_micros

MOST_CACHED: Final = 200_000
"""Entities that a process keeps unpacked."""

_ABSENT: Final = object()


class OnlineLookup:
    """Completes the rows of requests; what `kernel.features.FeatureLookup` asks for.

    What was pushed is seen by the next request, in every process. Thread-safe.
    """

    def __init__(self, find: Callable[[str], AppliedService], store: OnlineStore) -> None:
        self._find = find
        self._entities = EntityCache(store)
        self._plans: dict[str, _Plan] = {}

    def complete(self, service: str, rows: Sequence[Mapping[str, Any]], moments: Sequence[int]) -> list[dict[str, Any]]:
        """The rows as a model takes them, each with its features as of its moment (microseconds).

        Raises `Invalid` for a field that the service does not know, a key that is missing or of another type, and a
        moment before what the store remembers; `NotFound` for a service that nobody applied.
        """
        plan = self._plans.get(service)
        if plan is None:
            plan = self._plans[service] = _Plan(self._find(service))
        answers, keys = plan.read(rows)
        at = np.fromiter(moments, np.int64, len(rows))
        for view in plan.views:
            view.fill(answers, keys, at, self._entities)
        return answers


class EntityCache:
    """The unpacked rows of entities that were asked for, as fresh as the store."""

    def __init__(self, store: OnlineStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._mark = 0
        self._kept: dict[Key, Entity | None] = {}

    def get(self, layout: Layout, digest: str, names: Sequence[str]) -> list[Entity | None]:
        """The rows of these entities of a view, None for those of which nothing is known."""
        with self._lock:
            news = self._store.news(self._mark)
            if news is not None:
                self._mark = news.mark
                for key in news.keys:
                    self._kept.pop(key, None)
            keys = [(digest, name) for name in names]
            missing = [key for key in keys if key not in self._kept]
            if missing:
                if len(self._kept) + len(missing) > MOST_CACHED:
                    self._kept.clear()
                    missing = keys
                found = self._store.read(missing)
                for key in missing:
                    self._kept[key] = layout.unpack(found[key]) if key in found else None
            return [self._kept[key] for key in keys]


class _Plan:
    """How the rows of one service are completed; made once."""

    def __init__(self, service: AppliedService) -> None:
        self._service = service
        self._keys: dict[str, SourceType] = key_types(service.views)
        self._request = service.service.request
        self._fields: dict[str, SourceType] = {**self._keys, **self._request}
        self.views = [
            _View(service.view_digests[place], Layout(view), [one for one in service.inputs if one.view == place])
            for place, view in enumerate(service.views)
        ]

    def read(self, rows: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """For each row its request features, and its checked fields."""
        answers, checked = [], []
        fields, request, keys = self._fields, self._request, self._keys
        for index, row in enumerate(rows):
            if not isinstance(row, dict):
                raise wrong(index, "", "expected an object of named values")
            known: dict[str, Any] = {}
            for name, value in row.items():
                kind = fields.get(name)
                if kind is None:
                    raise wrong(index, str(name), f"{self._service} takes no such field; it takes {', '.join(fields)}")
                plain = kind == "Text" and type(value) is str and value.isascii()
                known[name] = value if plain else read_cell(value, kind, index, name)
            for name in keys:
                if name not in known:
                    raise wrong(index, name, "it is missing, and names an entity: give null where there is none")
            answers.append({name: known[name] for name in request if name in known})
            checked.append(known)
        return answers, checked


class _View:
    """One view's part of a plan."""

    def __init__(self, digest: str, layout: Layout, outputs: list[Output]) -> None:
        self._digest = digest
        self._layout = layout
        self._outputs = outputs
        self._entity = layout.view.view.entity

    def fill(self, answers: list[dict[str, Any]], rows: list[dict[str, Any]], at: Any, entities: EntityCache) -> None:
        """Add the view's features to each answer, every distinct question answered once."""
        names: dict[tuple[Any, ...], int] = {}
        one_by_one = zip(*[[row[name] for row in rows] for name in self._entity], strict=True)
        places = [NOBODY if None in key else names.setdefault(key, len(names)) for key in one_by_one]
        codes = np.array(places, np.int64)
        found = entities.get(self._layout, self._digest, [entity_key(name) for name in names])
        present = [place for place, one in enumerate(found) if one is not None]
        code_of = np.full(len(names) + 1, UNKNOWN, np.int64)
        code_of[present] = np.arange(len(present))
        there = [one for one in found if one is not None]
        asked = np.where(codes == NOBODY, NOBODY, code_of[np.maximum(codes, 0)])
        self._refuse_forgotten(there, asked, at)
        values = read_history(self._layout.view, self._layout.history(there), Moments(asked, at, at))
        for output, column in zip(self._outputs, values, strict=True):
            _add(answers, output.name, column)

    def _refuse_forgotten(self, entities: list[Entity], codes: Any, at: Any) -> None:
        """Raises `Invalid` where a moment lies before what is remembered of its entity."""
        if not entities:
            return
        floors = np.array([one.floor for one in entities])[np.where(codes >= 0, codes, 0)]
        early = np.flatnonzero((codes >= 0) & (at < floors))
        if len(early):
            row = int(early[0])
            raise wrong(
                row,
                "at",
                f"{from_micros(int(at[row])).isoformat()} is before what the online store remembers of this entity "
                f"in view {self._layout.view.view.name!r} ({from_micros(int(floors[row])).isoformat()}): "
                "a training set answers for the past",
            )


def _add(answers: list[dict[str, Any]], name: str, column: Values) -> None:
    for answer, value in zip(answers, column.cells(), strict=True):
        answer[name] = value
