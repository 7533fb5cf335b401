"""What a run may be told: pure functions."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tidegate.kernel.errors import Conflict, Invalid
from tidegate.runs.records import Metric, Run, RunInput, Value

NAME_LENGTH: Final = 250
FOREIGN_DIGEST: Final = 36
FOREIGN_TEXT: Final = 1 << 20
EXPERIMENT_LENGTH: Final = 500
PARAM_LENGTH: Final = 6000
TAG_LENGTH: Final = 8000
EXPERIMENT_TAG_LENGTH: Final = 20_000
"""Characters of a text."""

MOST_MEASUREMENTS: Final = 25_000
"""Of a page of the history."""

MOST_CHARTS: Final = 100
MOST_BUCKETS: Final = 5000

MOST_STEPS: Final = 2**63 - 1
HEARD_SECONDS: Final = 30.0
"""So often a process notes of a run that logs that it heard of it."""

NOTED_ERROR: Final = 4000
"""Characters of an error that a failed run keeps."""


def check_imported_name(name: str) -> None:
    """Raises `Invalid` unless an experiment that comes from elsewhere may keep this name."""
    if not name.strip() or len(name) > EXPERIMENT_LENGTH or not name.isprintable():
        raise Invalid(
            f"experiment {name[:80]!r}: a name has 1 to {EXPERIMENT_LENGTH} printable characters", field="experiment"
        )


def check_run_name(name: str) -> str:
    """The name, if it is one or empty. Raises `Invalid`."""
    if name:
        _check_name(name, "run name")
    return name


def check_params(params: Mapping[str, Value]) -> None:
    """Raises `Invalid` for a name or a value that cannot be kept."""
    for name, value in params.items():
        _check_name(name, "parameter")
        if isinstance(value, float) and not math.isfinite(value):
            raise Invalid(f"parameter {name!r} is {value}: give it as text", field=f"params.{name}")
        if isinstance(value, int) and abs(value) > MOST_STEPS:
            raise Invalid(f"parameter {name!r} needs more than 64 bits: give it as text", field=f"params.{name}")
        if isinstance(value, str):
            _check_text(value, PARAM_LENGTH, f"parameter {name!r}", f"params.{name}")


def check_kept(run_id: str, given: Mapping[str, Value], kept: Mapping[str, Value]) -> None:
    """Raises `Conflict` for a parameter that is kept with another value, or another type."""
    for name, value in given.items():
        if name in kept and (kept[name] != value or type(kept[name]) is not type(value)):
            raise Conflict(
                f"parameter {name!r} of run {run_id} is {kept[name]!r} and was not set to {value!r}: "
                "a parameter keeps its first value",
                field=f"params.{name}",
            )


def check_tags(tags: Mapping[str, str], most: int = TAG_LENGTH) -> None:
    """Raises `Invalid` for a name or a text that cannot be kept."""
    for name, text in tags.items():
        _check_name(name, "tag")
        _check_text(text, most, f"tag {name!r}", f"tags.{name}")


def check_metrics(metrics: Iterable[Metric]) -> None:
    """Raises `Invalid` for a name or a step that cannot be kept."""
    known = set[str]()
    for metric in metrics:
        if metric.name not in known:
            _check_name(metric.name, "metric")
            known.add(metric.name)
        if not -MOST_STEPS <= metric.step <= MOST_STEPS:
            raise Invalid(f"metric {metric.name!r}: step {metric.step} needs more than 64 bits", field="step")


def check_foreign(inputs: Iterable[RunInput]) -> None:
    """Raises `Invalid` for a dataset of another tool that has no name, no digest, or says too much."""
    for one in inputs:
        _check_name(one.label, "dataset")
        if one.foreign is None or not one.digest or len(one.digest) > FOREIGN_DIGEST:
            raise Invalid(
                f"dataset {one.label!r}: a digest of 1 to {FOREIGN_DIGEST} characters, and what its tool says of it, "
                "belong to a foreign input",
                field="foreign_inputs",
            )
        told = one.foreign
        if sum(map(len, (told.source_type, told.source, told.schema, told.profile))) > FOREIGN_TEXT:
            raise Invalid(
                f"dataset {one.label!r}: source, schema and profile have more than {FOREIGN_TEXT:,} characters",
                field="foreign_inputs",
            )
        check_tags(told.tags)


def check_chart(names: Sequence[str], points: int, start: int | None, end: int | None) -> None:
    """Raises `Invalid` for what no chart can show."""
    if not 1 <= len(names) <= MOST_CHARTS:
        raise Invalid(f"a chart shows 1 to {MOST_CHARTS} metrics, not {len(names)}", field="names")
    if len(set(names)) < len(names):
        raise Invalid("a metric is named twice: name each once", field="names")
    check_steps(points, MOST_BUCKETS, start, end)


def check_steps(points: int, most: int, start: int | None, end: int | None) -> None:
    """Raises `Invalid` for a number of points, or for steps between which there are none."""
    if not 1 <= points <= most:
        raise Invalid(f"points {points} is outside 1 to {most:,}", field="points")
    for step, field in ((start, "start_step"), (end, "end_step")):
        if step is not None and abs(step) > MOST_STEPS:
            raise Invalid(f"{field} {step} needs more than 64 bits", field=field)
    if start is not None and end is not None and start > end:
        raise Invalid(f"start_step {start} is after end_step {end}", field="start_step")


def check_artifact_name(name: str) -> None:
    """Raises `Invalid` unless the name is a relative path that stays where it is."""
    _check_name(name, "artifact")
    parts = name.split("/")
    if "\\" in name or any(part in ("", ".", "..") for part in parts):
        raise Invalid(f"artifact {name!r}: a name reads like plots/roc.png", field="name")


def spelt_params(params: Mapping[str, object]) -> dict[str, Value]:
    """Parameters as they are kept: NaN and infinities, and whatever is no scalar, as text."""
    return {name: _spelt(value) for name, value in params.items()}


def told(name: str, error: BaseException) -> str:
    """An error as a failed run keeps it."""
    text = f"{name}: {error}" if str(error) else name
    return text if len(text) <= NOTED_ERROR else text[: NOTED_ERROR - 1] + "…"


def environment_label(run: Run) -> str:
    """What people call the environment of a run."""
    environment = run.environment
    return f"python {environment.python}, {environment.packages} packages" if environment else ""


def code_label(run: Run) -> str:
    """What people call the code of a run: the commit, shortened, and whether it was changed."""
    commit = (run.code.commit or "")[:12]
    return f"{commit}{' (changed)' if run.code.dirty else ''} {run.code.entry}".strip()[:256]


def _spelt(value: object) -> Value:
    item = getattr(value, "item", None)
    if callable(item):  # a numpy scalar
        value = item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    return str(value)


def _check_name(name: str, what: str) -> None:
    if not name.strip() or len(name) > NAME_LENGTH or not name.isprintable():
        raise Invalid(f"{what} {name[:80]!r}: a name has 1 to {NAME_LENGTH} printable characters", field=what)


def _check_text(text: str, most: int, what: str, field: str) -> None:
    if len(text) > most:
        raise Invalid(f"{what} has {len(text):,} characters, at most {most:,}: keep it as an artifact", field=field)
