"""The room of features: definitions as versions, training sets as of each row's instant, and the online store."""

import contextlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import ClassVar, Protocol

from tidegate.data.records import DatasetVersion
from tidegate.data.rows import instant_of
from tidegate.data.service import Data
from tidegate.events.records import Facts
from tidegate.features import rules
from tidegate.features.expressions import AnyExpression, col
from tidegate.features.lookup import OnlineLookup
from tidegate.features.records import (
    AppliedService,
    AppliedView,
    Cell,
    FeatureService,
    FeatureView,
    Push,
    Pushed,
    ServiceSummary,
    ViewVersion,
)
from tidegate.features.training import TrainingSet
from tidegate.features.writing import Batch, OnlineWriter
from tidegate.kernel.clock import BusinessClock, Instant, to_micros
from tidegate.kernel.context import actor
from tidegate.kernel.errors import Invalid, NotFound
from tidegate.kernel.names import check_name, parse_reference
from tidegate.kernel.objects import ObjectPlane, parse_digest
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size

_MOST_ROWS = 100_000
"""Rows of one push or look-up."""


class FeatureStore(Protocol):
    """Versions of views and services.

    Laws: (1) numbers of a name's versions are 1, 2, 3, … without gaps; (2) a version, once inserted, is never changed;
    (3) no two versions have one digest.
    """

    def hold(self) -> None:
        """Keep other writers out until the transaction ends."""
        ...

    def add_service(self, service: AppliedService) -> None:
        """Insert a version of a service."""
        ...

    def add_view(self, view: ViewVersion) -> None:
        """Insert a version of a view."""
        ...

    def service(self, name: str, number: int | None) -> AppliedService | None:
        """A version of a service, the newest where no number is given."""
        ...

    def with_digest(self, prefix: str) -> list[AppliedService]:
        """Up to two versions whose digests begin like this."""
        ...

    def view(self, digest: str) -> ViewVersion | None:
        """The version of a view with this digest."""
        ...

    def view_versions(self, name: str) -> list[ViewVersion]:
        """Every version of a view, newest first."""
        ...

    def views(self, after: tuple[str, int], limit: int) -> list[ViewVersion]:
        """Versions of views by name and number, after these."""
        ...

    def summaries(self, after: str, limit: int) -> list[ServiceSummary]:
        """The newest version of each service, by name, after a name."""
        ...


class Features(Service):
    """Features: defined once, joined point in time for training, looked up as of an instant for serving."""

    room: ClassVar[str] = "features"
    uses: ClassVar[tuple[str, ...]] = ("data",)
    _data: Data
    _objects: ObjectPlane

    def __init__(
        self,
        *,
        store: FeatureStore,
        online: OnlineWriter,
        lookup: OnlineLookup,
        objects: ObjectPlane,
        clock: BusinessClock,
        facts: Facts,
    ) -> None:
        self._store = store
        self._objects = objects
        self._online = online
        self._lookup = lookup
        self._clock = clock
        self._facts = facts

    @operation("POST /features/services", role="contributor", audit="change")
    def apply(self, service: FeatureService) -> AppliedService:
        """Make a version of a feature service and of its views; the same definition again answers the one there is.

        Its digest covers the definition and the types of the sources' columns as they are now.
        """
        views = tuple(self._applied(view) for view in service.views)
        inputs = rules.service_inputs(service, views)
        view_digests = tuple(map(rules.digest_of, views))
        digest = rules.digest_of((service, view_digests))
        self._store.hold()
        existing = self._store.with_digest(digest)
        if existing:
            return existing[0]
        newest = self._store.service(service.name, None)
        applied = AppliedService(
            name=service.name,
            number=newest.number + 1 if newest else 1,
            digest=digest,
            service=service,
            views=views,
            view_digests=view_digests,
            inputs=inputs,
            created_at=self._clock.now(),
            created_by=actor(),
        )
        for view, name in zip(views, view_digests, strict=True):
            self._add_view(view, name)
        self._store.add_service(applied)
        self._facts.append("tidegate.features.applied", str(applied), digest=digest, inputs=len(inputs))
        return applied

    @operation("GET /features/versions", role="viewer", audit="none")
    def get(self, reference: str) -> AppliedService:
        """The version of a service that a reference names: `name` (the newest), `name/7`, or a digest's beginning."""
        parsed = parse_reference(reference)
        if parsed.alias is not None:
            raise Invalid(f"{reference!r}: feature services have no aliases; name the version, as in {parsed.name}/1")
        found = self._store.service(parsed.name, parsed.number)
        if found is None and parsed.digest is not None:
            matching = self._store.with_digest(parsed.digest)
            if len(matching) > 1:
                raise Invalid(f"{reference!r} begins more than one digest: give more of it")
            found = matching[0] if matching else None
        if found is None:
            raise NotFound(
                f"there is no feature service {reference!r}: features.apply makes one, features.list shows them"
            )
        return found

    @operation("GET /features", role="viewer", audit="none")
    def list(self, *, limit: int = 100, cursor: str = "") -> Page[ServiceSummary]:
        """The feature services, by name."""
        key = decode_cursor(cursor, (str,))
        found = self._store.summaries(key[0] if key else "", page_size(limit) + 1)
        return Page(found[:limit], encode_cursor(found[limit - 1].name) if len(found) > limit else None)

    @operation("GET /features/views", role="viewer", audit="none")
    def views(self, *, limit: int = 100, cursor: str = "") -> Page[ViewVersion]:
        """The versions of feature views, by name and number."""
        key = decode_cursor(cursor, (str, int))
        found = self._store.views((key[0], key[1]) if key else ("", 0), page_size(limit) + 1)
        last = found[limit - 1] if len(found) > limit else None
        return Page(found[:limit], encode_cursor(last.name, last.number) if last else None)

    @operation("POST /features/views/{view}/rows", role="contributor", audit="summary", transaction=False)
    def push(self, view: str, rows: Sequence[Mapping[str, object]]) -> Pushed:
        """Tell the online store rows of a view's source, as soon as they are known; the next request sees them.

        A row that is there already changes nothing, and a late one never hides a newer. Versions of a view over a
        source with other columns than the newest are left as they are.
        """
        _check_count(len(rows))
        return self._online.push([Batch(self._pushable(view), rows)], to_micros(self._clock.now()))[0]

    @operation("POST /features/rows", role="contributor", audit="summary", transaction=False)
    def push_all(self, pushes: Sequence[Push]) -> Sequence[Pushed]:
        """Tell the online store rows of several sources at once, each as `push` does: all of them, or none.

        Each push names the views that are told its rows; what is answered is in their order.
        """
        _check_count(sum(len(one.rows) for one in pushes))
        named: set[str] = set()
        batches = []
        for place, one in enumerate(pushes):
            views = [version for name in one.views for version in self._pushable(name)]
            if not views:
                raise Invalid(f"pushes[{place}] names no view", field="views", push=place)
            for name in one.views:
                if name in named:
                    raise Invalid(f"pushes[{place}]: view {name!r} is named twice", field="views", push=place)
                named.add(name)
            for each in views:
                if each.applied.view.source != views[0].applied.view.source:
                    raise Invalid(
                        f"pushes[{place}]: view {each.name!r} is over {each.applied.view.source}, and "
                        f"{views[0].name!r} over {views[0].applied.view.source}: a push holds rows of one source",
                        field="views",
                        push=place,
                    )
            batches.append(Batch(views, one.rows))
        return self._online.push(batches, to_micros(self._clock.now()))

    @operation("POST /features/views/{digest}/entities", role="contributor", audit="summary", transaction=False)
    def load(self, digest: str, *, entities: str) -> Pushed:
        """Merge packed rows, which `materialize` put on the object plane, into the online store."""
        found = self._store.view(parse_digest(digest, "digest of a view's version"))
        if found is None:
            raise NotFound(f"there is no version of a feature view with the digest {digest}")
        raw = self._objects.get(parse_digest(entities, "entities"))
        return self._online.load(found, raw)

    @operation("POST /features/online", role="viewer", audit="none", transaction=False)
    def online(
        self, service: str, rows: Sequence[Mapping[str, object]], *, at: Instant | None = None
    ) -> Sequence[dict[str, Cell]]:
        """The features of rows as of an instant (now unless given), as a model takes them.

        Rows hold entity keys and request features. What is not known then, or has expired, is null. The store
        remembers two hours: an instant before that is refused.
        """
        applied = self.get(service)
        _check_count(len(rows))
        moment = to_micros(self._clock.now() if at is None else at, "at")
        return self._lookup.complete(applied.digest, rows, [moment] * len(rows))

    @operation("GET /features/moment", role="viewer", audit="none")
    def moment(self) -> Instant:
        """The business time of this home: what is known later does not exist yet."""
        return self._clock.now()

    def training_set(
        self,
        service: FeatureService | AppliedService | str,
        *,
        labels: str | DatasetVersion,
        at: str,
        label: AnyExpression | str,
        label_known_at: str | None = None,
        known_by: datetime | date | str | None = None,
        since: datetime | date | str | None = None,
        until: datetime | date | str | None = None,
        extra: Sequence[str] = (),
    ) -> TrainingSet:
        """Exactly the label rows, in order, each with the features as they were known at its instant.

        ``at`` is the column of instants, ``label`` an expression or a column. ``label_known_at`` is the column that
        says since when a row's label is known, and ``known_by`` the moment until which anything may be known: later
        labels count as unknown, later rows of the sources do not exist. ``since`` and ``until`` bound the rows by their
        instant, from the first to before the second. ``extra`` are further columns of the label rows for the model; the
        service does not know them, so a request must then bring all features. Raises `NotFound` for a service that was
        not applied, `Invalid` for what does not fit.
        """
        from tidegate.features.joining import Table, Wanted, build

        applied = self._service(service)
        version = labels if isinstance(labels, DatasetVersion) else self._data.resolve(labels)
        known: dict[str, Table] = {}

        def read(name: str) -> Table:
            if name not in known:
                newest = version if name == version.name else self._data.resolve(name)
                known[name] = Table(newest, self._data.frame(newest))
            return known[name]

        wanted = Wanted(
            at=at,
            label=col(label) if isinstance(label, str) else label,
            label_known_at=label_known_at,
            known_by=_micros(known_by, "known_by"),
            since=_micros(since, "since"),
            until=_micros(until, "until"),
            extra=tuple(extra),
        )
        return build(applied, read(version.name), wanted, read)

    def materialize(
        self, service: FeatureService | AppliedService | str, *, until: datetime | date | str | None = None
    ) -> tuple[Pushed, ...]:
        """Load the online store with what the sources' newest versions hold and is known by `until` (now unless given).

        Twice is harmless. What was pushed stays, where it is newer. One record a view.
        """
        from tidegate.features.materializing import packed_batches

        applied = self._service(service)
        moment = _micros(until, "until")
        moment = to_micros(self.moment()) if moment is None else moment
        told = []
        for view, digest in zip(applied.views, applied.view_digests, strict=True):
            version = self._data.resolve(view.view.source)
            batches = packed_batches(view, version, self._data.frame(version), moment)
            parts = [self.load(digest, entities=self._objects.put(one).digest) for one in batches.packed]
            told.append(
                Pushed(
                    view=view.view.name,
                    rows=batches.rows,
                    entities=sum(one.entities for one in parts),
                    changed=sum(one.changed for one in parts),
                    left_out=batches.left_out,
                )
            )
        return tuple(told)

    def _pushable(self, name: str) -> Sequence[ViewVersion]:
        """The versions of a view that are told what is pushed, the newest first."""
        versions = self._store.view_versions(check_name(name, "view"))
        if not versions:
            raise NotFound(f"there is no feature view {name!r}: features.apply makes one, features.views shows them")
        return [one for one in versions if one.applied.columns == versions[0].applied.columns]

    def _service(self, service: FeatureService | AppliedService | str) -> AppliedService:
        """The version meant. Raises `NotFound` for a definition that was not applied."""
        if isinstance(service, AppliedService):
            return service
        if isinstance(service, str):
            return self.get(service)
        with contextlib.suppress(NotFound):
            newest = self.get(service.name)
            for number in range(newest.number, 0, -1):
                found = newest if number == newest.number else self.get(f"{service.name}/{number}")
                if found.service == service:
                    return found
        raise NotFound(f"this definition of {service.name!r} was not applied: call features.apply with it first")

    def _applied(self, view: FeatureView) -> AppliedView:
        return rules.apply_view(view, rules.source_types(self._data.contract(view.source).contract))

    def _add_view(self, view: AppliedView, digest: str) -> None:
        if self._store.view(digest) is not None:
            return
        versions = self._store.view_versions(view.view.name)
        self._store.add_view(
            ViewVersion(
                name=view.view.name,
                number=versions[0].number + 1 if versions else 1,
                digest=digest,
                applied=view,
                created_at=self._clock.now(),
                created_by=actor(),
            )
        )


def _check_count(rows: int) -> None:
    if rows > _MOST_ROWS:
        raise Invalid(f"{rows:,} rows at once; at most {_MOST_ROWS:,}: send them in parts", field="rows")


def _micros(moment: datetime | date | str | None, what: str) -> int | None:
    return None if moment is None else to_micros(instant_of(moment, what), what)
