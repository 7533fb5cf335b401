"""Experiments: what groups runs, by a name that may change and an id that does not."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final, Literal, Protocol

import msgspec

from tidegate.events.records import Facts
from tidegate.kernel.clock import BusinessClock, from_micros, to_micros
from tidegate.kernel.context import actor
from tidegate.kernel.errors import AlreadyExists, Conflict, NotFound
from tidegate.kernel.ids import IdFactory
from tidegate.kernel.names import check_name
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size
from tidegate.runs.records import Experiment
from tidegate.runs.rules import EXPERIMENT_TAG_LENGTH, check_imported_name, check_tags
from tidegate.runs.search.ast import Attribute, OrderKey
from tidegate.runs.search.experiment_fields import named_of_experiments
from tidegate.runs.search.order import parse_order
from tidegate.runs.search.paging import MOST_FOUND, Position, Search, State, decode_position, encode_position
from tidegate.runs.search.parser import parse_filter

DEFAULT_ID: Final = "0"
DEFAULT_NAME: Final = "Default"
"""The experiment of runs that name none, as clients of MLflow expect it."""


_NEWEST_FIRST: Final = (OrderKey(Attribute("created_at"), descending=True), OrderKey(Attribute("id"), descending=True))


class ExperimentStore(Protocol):
    """The catalog's rows of experiments.

    Laws: (1) a name belongs to at most one active experiment; (2) a deleted experiment keeps its runs and its name
    until it is restored, and hinders nobody from taking the name; (3) whoever adds a name that is taken gets the
    experiment that has it.
    """

    def add(self, experiment: Experiment) -> Experiment:
        """Insert it, or return the active one of its name."""
        ...

    def get(self, experiment_id: str) -> Experiment | None:
        """The experiment of this id, active or deleted."""
        ...

    def named(self, name: str, *, deleted: bool = False) -> Experiment | None:
        """The active experiment of this name; or the one of those deleted that was made last."""
        ...

    def write(self, experiment: Experiment) -> bool:
        """Write name and lifecycle of one that is there; whether the name was free."""
        ...

    def set_tags(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        ...

    def delete_tag(self, experiment_id: str, name: str) -> bool:
        """Delete a tag; whether it was there."""
        ...

    def search(self, search: Search, after: Position | None, limit: int) -> list[tuple[Experiment, Position]]:
        """Experiments of which a filter is true, after a position, each with its own."""
        ...

    def select(self, deleted: bool | None, before: tuple[datetime, str] | None, limit: int) -> list[Experiment]:
        """Experiments, those that were changed last first, older than this moment and id; None: whatever state."""
        ...


class Experiments(Service):
    """Experiments: groups of runs."""

    room: ClassVar[str] = "experiments"

    def __init__(self, *, store: ExperimentStore, clock: BusinessClock, ids: IdFactory, facts: Facts) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._facts = facts

    @operation("POST /experiments", role="contributor", audit="change")
    def create(
        self,
        name: str,
        *,
        tags: dict[str, str] = {},  # noqa: B006 - never changed
        imported: bool = False,
    ) -> Experiment:
        """Make an experiment.

        An ``imported`` one keeps a name of any printable characters, and is addressed by its id.

        Raises `AlreadyExists` where an active one has the name.
        """
        _checked(name, imported)
        if self._store.named(name) is not None:
            raise AlreadyExists(f"there is an experiment {name!r} already: take another name, or log to it", name=name)
        return self._made(name, self._ids.new(self._clock.now()), tags)

    @operation("GET /experiments/{experiment}", role="viewer", audit="none")
    def get(self, experiment: str) -> Experiment:
        """One experiment, by its id or its name."""
        found = self._store.get(experiment) or self._store.named(experiment)
        if found is None and self._is_default(experiment):
            now = self._clock.now()
            found = Experiment(id=DEFAULT_ID, name=DEFAULT_NAME, by="", created_at=now, updated_at=now)
        if found is None:
            raise NotFound(
                f"there is no experiment {experiment!r}; experiments.list shows what there is", experiment=experiment
            )
        return found

    @operation("GET /experiments", role="viewer", audit="none")
    def list(
        self, *, state: Literal["active", "deleted", "all"] = "active", limit: int = 100, cursor: str = ""
    ) -> Page[Experiment]:
        """Experiments, those that were changed last first."""
        key = decode_cursor(cursor, (int, str))
        before = (from_micros(key[0]), key[1]) if key else None
        deleted = None if state == "all" else state == "deleted"
        found = self._store.select(deleted, before, page_size(limit) + 1)
        last = found[limit - 1] if len(found) > limit else None
        return Page(found[:limit], encode_cursor(to_micros(last.updated_at), last.id) if last else None)

    @operation("POST /experiments/search", role="viewer", audit="none", transaction=False)
    def search(
        self,
        filter: str = "",
        *,
        state: State = "active",
        order_by: tuple[str, ...] = (),
        limit: int = 100,
        cursor: str = "",
    ) -> Page[Experiment]:
        """Experiments by their attributes and tags.

        ``filter`` reads such as ``name LIKE 'late%' AND NOT tags.team = 'ops'``. ``order_by`` holds keys such as
        ``updated_at DESC``; then come the newest first. ``limit`` is 50,000 at most.
        """
        fields = named_of_experiments
        order = (*parse_order(order_by, fields=fields), *_NEWEST_FIRST)
        after = decode_position(order, cursor)
        search = Search(parse_filter(filter, fields=fields), state=state, order=order)
        found = self._store.search(search, after, page_size(limit, MOST_FOUND) + 1)
        more = encode_position(order, found[limit - 1][1]) if len(found) > limit else None
        return Page([experiment for experiment, _ in found[:limit]], more)

    @operation("POST /experiments/{experiment}/rename", role="contributor", audit="change")
    def rename(self, experiment: str, *, name: str, imported: bool = False) -> Experiment:
        """Give an experiment another name; its runs stay with it. ``imported``: as in `create`."""
        _checked(name, imported)
        return self._write(self._active(experiment), name=name)

    @operation("POST /experiments/{experiment}/delete", role="contributor", audit="change")
    def delete(self, experiment: str) -> Experiment:
        """Delete an experiment with its runs. It can be restored until it is purged."""
        found = self.ensured(experiment)
        return found if found.deleted_at is not None else self._write(found, deleted_at=self._clock.now())

    @operation("POST /experiments/{experiment}/restore", role="contributor", audit="change")
    def restore(self, experiment: str) -> Experiment:
        """Restore a deleted experiment, by its id or its name, with the runs that it had."""
        found = self._store.get(experiment) or self._store.named(experiment, deleted=True)
        if found is None:
            raise NotFound(f"there is no deleted experiment {experiment!r}", experiment=experiment)
        return found if found.deleted_at is None else self._write(found, deleted_at=None)

    @operation("POST /experiments/{experiment}/tags", role="contributor", audit="change")
    def set_tags(self, experiment: str, *, tags: dict[str, str]) -> Experiment:
        """Set tags of an experiment; a tag may be set again."""
        check_tags(tags, EXPERIMENT_TAG_LENGTH)
        found = self._active(experiment)
        self._store.set_tags(found.id, tags)
        return self.get(found.id)

    @operation("POST /experiments/{experiment}/tags/delete", role="contributor", audit="change")
    def delete_tag(self, experiment: str, *, name: str) -> Experiment:
        """Delete a tag of an experiment."""
        found = self._active(experiment)
        if not self._store.delete_tag(found.id, name):
            raise NotFound(f"experiment {found.name!r} has no tag {name!r}", name=name)
        return self.get(found.id)

    def ensured(self, experiment: str) -> Experiment:
        """The experiment of this id or name; a name that nobody has is made. For `Runs`, inside its transaction."""
        found = self._store.get(experiment) or self._store.named(experiment)
        if found is not None:
            return found
        if self._is_default(experiment):
            return self._made(DEFAULT_NAME, DEFAULT_ID, {})
        return self._made(check_name(experiment, "experiment"), self._ids.new(self._clock.now()), {})

    def _is_default(self, experiment: str) -> bool:
        """Whether the default experiment is meant, and nobody has made it yet: later it may have another name."""
        return experiment in (DEFAULT_ID, DEFAULT_NAME) and self._store.get(DEFAULT_ID) is None

    def _made(self, name: str, experiment_id: str, tags: Mapping[str, str]) -> Experiment:
        check_tags(tags, EXPERIMENT_TAG_LENGTH)
        now = self._clock.now()
        made = Experiment(id=experiment_id, name=name, by=actor(), created_at=now, updated_at=now)
        kept = self._store.add(made)
        if kept.id == made.id:
            self._store.set_tags(kept.id, tags)
            self._facts.append("tidegate.experiments.created", kept.id, name=name)
        return msgspec.structs.replace(kept, tags=kept.tags | dict(tags))

    def _active(self, experiment: str) -> Experiment:
        found = self.ensured(experiment) if self._is_default(experiment) else self.get(experiment)
        if found.deleted_at is not None:
            raise Conflict(f"experiment {found.name!r} is deleted: restore it first", experiment=found.id)
        return found

    def _write(self, experiment: Experiment, **changes: object) -> Experiment:
        changed = msgspec.structs.replace(experiment, updated_at=self._clock.now(), **changes)
        if not self._store.write(changed):
            raise AlreadyExists(f"there is an experiment {changed.name!r} already", name=changed.name)
        what = "renamed" if "name" in changes else "deleted" if changed.deleted_at is not None else "restored"
        self._facts.append(f"tidegate.experiments.{what}", changed.id, name=changed.name)
        return changed


def _checked(name: str, imported: bool) -> None:
    if imported:
        check_imported_name(name)
    else:
        check_name(name, "experiment")
