"""How a window's figures become episodes, and the episodes a diagnosis. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from msgspec.structs import replace

from tidegate.monitors.drift_records import Diagnosis, Episode, Kind, Performance, Severity, Verdict

NAN = float("nan")

ADVICE: dict[Verdict, str] = {
    "no_change": "Nothing to do.",
    "covariate_shift": "Other inputs than in the reference. Retrain when performance is lost; until then, only watch.",
    "broken_input": "Mend the input at its source, and do not retrain: a model would learn the mistake.",
    "concept_change": "Inputs are as they were and performance is lost: retrain on recent labels.",
    "insufficient_labels": "Post labels: without them nobody can tell whether performance holds.",
}

Change = Literal["opened", "updated", "closed"]


class Signal(NamedTuple):
    """What one column or metric says in one window."""

    kind: Kind
    column: str
    alarmed: bool
    """Whether the evidence of a change has reached what an alarm takes."""
    returned: bool
    """Whether it has been within the usual variation for long enough to end an episode."""
    out: float
    """The farthest figure, in standard deviations, signed."""
    figure: str
    """Which one that is."""
    psi: float = NAN
    suspicion: str = ""


class Changed(NamedTuple):
    """An episode after a window, and the fact to be told, if any."""

    episode: Episode
    fact: Change | None


def judge(endpoint: str, start: datetime, known: Sequence[Episode], signals: Iterable[Signal]) -> list[Changed]:
    """The episodes that a window opens, changes or closes. An opened one has no id yet."""
    before = {(each.kind, each.column): each for each in known}
    after = dict(before)
    for signal in signals:
        key = signal.kind, signal.column
        episode = before.get(key)
        if episode is None and signal.alarmed:
            after[key] = _opened(endpoint, start, signal)
        elif episode is not None and signal.returned and not signal.suspicion:
            after[key] = replace(episode, closed=start, closed_by="return")
        elif episode is not None:
            after[key] = _continued(episode, start, signal)
    graded = regraded(list(after.values()))
    return [changed for each in graded if (changed := _told(before.get((each.kind, each.column)), each)) is not None]


def regraded(episodes: Sequence[Episode]) -> list[Episode]:
    """Severity and diagnosis of all, by which ones are open together."""
    still = [each for each in episodes if each.closed is None]
    lost = any(each.kind == "quality" for each in still)
    broken = any(each.diagnosis == "broken_input" for each in still if each.kind == "feature")
    drifted = any(each.kind == "feature" for each in still)
    return [_graded(each, lost, broken, drifted) if each.closed is None else each for each in episodes]


def diagnose(
    endpoint: str, episodes: Sequence[Episode], performance: Performance, problem: str, as_of: datetime | None
) -> Diagnosis:
    """The verdict on an endpoint from its open episodes. `problem`: why nothing can be compared, if so."""
    features = [each for each in episodes if each.kind == "feature"]
    broken = [each for each in features if each.diagnosis == "broken_input"]
    verdict: Verdict = "no_change"
    if broken:
        verdict = "broken_input"
    elif performance == "unknown":
        verdict = "insufficient_labels"
    elif features:
        verdict = "covariate_shift"
    elif performance == "lost":
        verdict = "concept_change"
    suspects = broken or features
    return Diagnosis(
        endpoint=endpoint,
        verdict=verdict,
        columns=tuple(each.column for each in suspects),
        performance=performance,
        retraining=_retraining(verdict, performance),
        evidence=(*(each.summary for each in episodes), *([problem] if problem else [])),
        advice=ADVICE[verdict],
        as_of=as_of,
    )


def _retraining(verdict: Verdict, performance: Performance) -> Literal["blocked", "not needed", "advised", "undecided"]:
    if verdict == "broken_input":
        return "blocked"
    if performance == "unknown":
        return "undecided"
    return "advised" if performance == "lost" else "not needed"


def _opened(endpoint: str, start: datetime, signal: Signal) -> Episode:
    return Episode(
        id="",
        endpoint=endpoint,
        kind=signal.kind,
        column=signal.column,
        opened=start,
        last=start,
        peak=abs(signal.out),
        psi=signal.psi,
        severity="information",
        diagnosis="broken_input" if signal.suspicion else "no_change",
        summary=_summary(signal),
    )


def _continued(episode: Episode, start: datetime, signal: Signal) -> Episode:
    news = abs(signal.out) > episode.peak
    peaks = [each for each in (episode.psi, signal.psi) if each == each]
    mended = episode
    if signal.suspicion and episode.diagnosis != "broken_input":
        mended = replace(episode, diagnosis="broken_input", summary=_summary(signal))
    elif news and episode.diagnosis != "broken_input":
        mended = replace(episode, summary=_summary(signal))
    return replace(mended, last=start, peak=max(episode.peak, abs(signal.out)), psi=max(peaks, default=NAN))


def _graded(episode: Episode, lost: bool, broken: bool, drifted: bool) -> Episode:
    severity: Severity = "incident" if lost and episode.kind != "latency" else "information"
    diagnosis: Verdict = "no_change"
    if episode.kind == "feature":
        diagnosis = "broken_input" if episode.diagnosis == "broken_input" else "covariate_shift"
    elif episode.kind == "quality":
        diagnosis = "broken_input" if broken else "covariate_shift" if drifted else "concept_change"
    elif episode.kind == "prediction":
        diagnosis = "broken_input" if broken else "covariate_shift"
    if episode.kind == "quality" or (episode.kind == "feature" and diagnosis == "broken_input"):
        severity = "incident"
    return replace(episode, severity=severity, diagnosis=diagnosis)


def _told(before: Episode | None, after: Episode) -> Changed | None:
    if before is None:
        return Changed(after, "opened")
    if after.closed is not None:
        return Changed(after, "closed")
    if (before.severity, before.diagnosis) != (after.severity, after.diagnosis):
        return Changed(after, "updated")
    return Changed(after, None) if before.last != after.last else None


def _summary(signal: Signal) -> str:
    if signal.suspicion:
        return f"{signal.column}: {signal.suspicion}"
    side = "above" if signal.out > 0 else "below"
    size = f"{abs(signal.out):.1f} standard deviations between windows {side} the reference"
    named = signal.figure == signal.column
    what = f"{signal.column} is {size}" if named else f"{signal.column}: {signal.figure} is {size}"
    return what if signal.psi != signal.psi else f"{what}, PSI {signal.psi:.2f}"
