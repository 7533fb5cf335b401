"""Facts as other rooms write them, for the tests of incidents."""

from tidegate.events.store import EventLog
from tidegate.workspace import LocalWorkspace

BROKEN: dict[str, object] = {
    "episode": "e1",
    "kind": "feature",
    "column": "wind_speed_mph",
    "severity": "incident",
    "diagnosis": "broken_input",
    "summary": "wind_speed_mph is 0.45 times what it was",
}


def log_of(space: LocalWorkspace) -> EventLog:
    """The facts of a home."""
    storage = space.storage
    return EventLog(storage.catalog, storage.clock, storage.ids)


def tell(space: LocalWorkspace, kind: str, subject: str, /, **data: object) -> None:
    """Write one fact, such as `monitors.episode_opened`."""
    space.storage.catalog.write(lambda: log_of(space).append(f"tidegate.{kind}", subject, **data))


def kinds(space: LocalWorkspace) -> list[str]:
    """What incidents said, in order."""
    return [event.type.rpartition(".")[2] for event in log_of(space).after(0, type_prefix="tidegate.incidents.")]
