"""What the room of features speaks of: views, services, what was applied, and what a training set was warned of."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from tidegate.features.expressions import AnyExpression, Apply, ColumnOf, ColumnType, Constant, SourceType
from tidegate.kernel.clock import Instant

Cell = bool | int | float | str | None
"""A feature's value."""

Kind = Literal["count", "mean", "min", "max", "sum"]


class Aggregate(msgspec.Struct, frozen=True, tag="aggregate"):
    """What the rows of a window come to: those with ``t - over <= event time < t`` that are known at ``t``."""

    kind: Kind
    over: int
    """Microseconds."""
    of: AnyExpression | None = None
    """What is aggregated; a count has none, it counts rows."""


Feature = ColumnOf | Constant | Apply | Aggregate


class FeatureView(msgspec.Struct, frozen=True, kw_only=True):
    """Features of one entity, computed from one source.

    With expressions it is a *state* view: the latest row with ``event_time <= t`` that is known at ``t`` and not older
    than ``ttl``. Without ``event_time`` it is *static*: one row an entity, always known. With aggregates it is
    *windowed*. A row is known at ``known_at``, else at its event time plus ``delay``.
    """

    name: str
    source: str
    """The dataset whose rows it is computed from."""
    entity: tuple[str, ...]
    """The columns that name the entity."""
    event_time: str | None = None
    known_at: str | None = None
    delay: int | None = None
    """Microseconds."""
    ttl: int | None = None
    """Microseconds; the bound is inclusive."""
    features: dict[str, Feature]

    @property
    def kind(self) -> Literal["state", "static", "windowed"]:
        """What sort of view it is."""
        if any(isinstance(feature, Aggregate) for feature in self.features.values()):
            return "windowed"
        return "static" if self.event_time is None else "state"


class FeatureService(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of a model: what a request brings, and what the views know."""

    name: str
    views: tuple[FeatureView, ...] = ()
    request: dict[str, ColumnType] = {}


class AppliedView(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a view: its definition and the types that its source had when it was applied."""

    view: FeatureView
    columns: dict[str, SourceType]
    """The columns of the source, in order."""
    types: dict[str, ColumnType]
    """The features' types."""


class Output(msgspec.Struct, frozen=True):
    """One input of a model: its name, its type, and the view's feature that it is (none: the request brings it)."""

    name: str
    type: ColumnType
    view: int | None = None
    """The place of the view in the service."""
    feature: str = ""


class AppliedService(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a service; immutable, and named by its digest."""

    name: str
    number: int
    digest: str
    service: FeatureService
    views: tuple[AppliedView, ...]
    view_digests: tuple[str, ...]
    """The digest of each view's version."""
    inputs: tuple[Output, ...]
    """What a model takes, in order: request features, then those of each view."""
    created_at: Instant
    created_by: str

    def __str__(self) -> str:
        return f"{self.name}/{self.number}"


class ServiceSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A service's name and its newest version."""

    name: str
    latest: int
    digest: str
    created_at: Instant


class ViewVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a view as the catalog keeps it."""

    name: str
    number: int
    digest: str
    applied: AppliedView
    created_at: Instant
    created_by: str


class Push(msgspec.Struct, frozen=True):
    """Rows of one source, and the views over it that are told them."""

    views: tuple[str, ...]
    rows: Sequence[Mapping[str, object]]


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """What a push or a materialisation changed."""

    view: str
    rows: int
    """Rows that were given."""
    entities: int
    """Entities that they belong to."""
    changed: int
    """Entities about which the store knows more than before."""
    left_out: int = 0
    """Rows without an entity or an event time: they are never known."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a training set was warned of."""

    kind: Literal["availability", "label_column", "never_known", "duplicates"]
    view: str
    message: str
    features: tuple[str, ...] = ()
    rows: int = 0
    """Rows that it concerns."""
    of: int = 0
    """Rows that were looked at."""

    @property
    def share(self) -> float:
        """The part of the rows that it concerns."""
        return self.rows / self.of if self.of else 0.0


Row = dict[str, Any]
