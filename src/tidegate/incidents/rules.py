"""The rules of incidents, as pure functions: what a fact does, and how an incident moves from state to state."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from tidegate.events.records import Event
from tidegate.incidents.records import EntryKind, Incident, Severity
from tidegate.kernel.errors import Conflict, Invalid

LONGEST: Final = 2000
"""Characters of one entry."""


class Opening(NamedTuple):
    """The fact opens an incident, or adds to the one that has this cause."""

    cause: str
    endpoint: str | None
    title: str
    severity: Severity
    what_to_do: str
    text: str


class Addition(NamedTuple):
    """The fact adds to the timeline of the incident of this cause, or of all that are not resolved of an endpoint."""

    kind: EntryKind
    text: str
    cause: str | None = None
    endpoint: str | None = None


class Closing(NamedTuple):
    """The fact takes away the cause of an incident, which resolves itself."""

    cause: str
    text: str


Effect = Opening | Addition | Closing


def read(event: Event) -> Effect | None:
    """What a fact does; None for one that is no concern of incidents."""
    rule = RULES.get(event.type)
    return None if rule is None else rule(event)


def acknowledge(incident: Incident, by: str, now: datetime) -> Incident:
    """Somebody has seen it. Raises `Conflict` unless it is open."""
    if incident.state == "acknowledged":
        raise Conflict(
            f"incident {incident.id} was acknowledged by {incident.acknowledged_by} already; "
            f"'tidegate incidents note {incident.id} --text TEXT' adds to it",
            incident=incident.id,
        )
    _refuse_resolved(incident, "acknowledge")
    return msgspec.structs.replace(incident, state="acknowledged", acknowledged_at=now, acknowledged_by=by)


def resolve(incident: Incident, by: str | None, reason: str, now: datetime) -> Incident:
    """It is over; `by` is None where it resolved itself. Raises `Conflict` when it is resolved already."""
    _refuse_resolved(incident, "resolve")
    return msgspec.structs.replace(
        incident, state="resolved", resolved_at=now, resolved_by=by, automatic=by is None, resolution=reason
    )


def check_text(text: str, field: str) -> str:
    """What a person says, if it says anything. Raises `Invalid`."""
    if not text.strip():
        raise Invalid(f"{field} is empty: say it in a sentence", field=field)
    if len(text) > LONGEST:
        raise Invalid(f"{field} has {len(text):,} characters, at most {LONGEST:,}", field=field)
    return text


def _refuse_resolved(incident: Incident, act: str) -> None:
    if incident.state == "resolved":
        whom = "by itself" if incident.automatic else f"by {incident.resolved_by}"
        raise Conflict(
            f"incident {incident.id} was resolved {whom} ({incident.resolution}): there is nothing to {act}; "
            "what comes later of another cause is an incident of its own",
            incident=incident.id,
        )


def _episode(event: Event) -> Effect:
    cause = _cause(event, "episode")
    if event.data.get("severity") != "incident":
        return Addition("seen", _text(event), cause=cause)
    column, diagnosis = _word(event, "column"), _word(event, "diagnosis")
    endpoint = event.subject
    shown = f"'tidegate monitors diagnosis {_argument(endpoint)}' shows the evidence"
    if diagnosis == "broken_input":
        title = f"{endpoint}: {column or 'an input'} is broken"
        remedy = f"mend the source of {column or 'the input'}; retraining is held back until then; {shown}"
    elif diagnosis == "concept_change":
        title = f"{endpoint}: the model no longer fits what happens"
        remedy = f"retrain on labels from after the change, as the retraining policy does where it may; {shown}"
    else:
        title = f"{endpoint}: {_word(event, 'kind') or 'something'} of {column or 'the endpoint'} has changed"
        remedy = f"find out what changed, then mend it or retrain; {shown}"
    return Opening(cause, endpoint, title, "critical", remedy, _text(event))


def _episode_closed(event: Event) -> Effect:
    return Closing(_cause(event, "episode"), _text(event))


def _rolled_back(event: Event) -> Effect:
    version = _word(event, "version") or "a version"
    rollout = _word(event, "rollout") or "ID"
    remedy = (
        f"the former version answers again; see why with 'tidegate rollouts get {rollout}', "
        f"and deploy another version than {version}"
    )
    title = f"{event.subject}: {version} was rolled back"
    return Opening(_cause(event, "rollout"), event.subject, title, "warning", remedy, _text(event))


def _pipeline_failed(event: Event) -> Effect:
    run, step = _word(event, "run") or "ID", _word(event, "step")
    remedy = (
        f"mend what the step says, then start a run under another key; 'tidegate pipelines get-run {run}' "
        "shows each step"
    )
    title = f"{event.subject}: the pipeline failed" + (f" at {step}" if step else "")
    return Opening(_cause(event, "run", "pipeline-run"), None, title, "warning", remedy, _text(event))


def _suppressed(event: Event) -> Effect:
    return Addition("held_back", f"no retraining: {_text(event)}", endpoint=event.subject)


RULES: Final[dict[str, Callable[[Event], Effect]]] = {
    "tidegate.monitors.episode_opened": _episode,
    "tidegate.monitors.episode_updated": _episode,
    "tidegate.monitors.episode_closed": _episode_closed,
    "tidegate.rollouts.rolled_back": _rolled_back,
    "tidegate.pipelines.failed": _pipeline_failed,
    "tidegate.loop.retraining_suppressed": _suppressed,
}
"""What each type of fact does. Others are skipped."""


def _cause(event: Event, key: str, kind: str = "") -> str:
    """The name of a cause; a fact that names none is one by itself."""
    return f"{kind or key}/{_word(event, key)[:128] or event.id}"


def _word(event: Event, key: str) -> str:
    value = event.data.get(key)
    return value if isinstance(value, str) else ""


def _argument(name: str) -> str:
    """A name as a command takes it; a space is all that it may hold that needs quotes."""
    return f'"{name}"' if " " in name else name


def _text(event: Event) -> str:
    """What the fact says in a sentence, or else all that it says."""
    said = _word(event, "summary") or _word(event, "reason")
    text = said or msgspec.json.encode(event.data).decode()
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
