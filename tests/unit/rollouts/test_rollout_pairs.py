"""What the tests are given, against a plain loop over the same rows of the log."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.rollouts.test_rollout_machine import START, STRATEGY, begun
from tidegate.endpoints.records import Deployment
from tidegate.predictions.codecs import LabelCodec, PredictionCodec
from tidegate.predictions.records import FELL_BACK, LabelRow, PredictionRow, Shadow, Source, Value
from tidegate.rollouts import pairs
from tidegate.rollouts.records import KeptRollout, StepTaken
from tidegate.rollouts.rules import Pairs, Split

CLASSES: dict[str, tuple[Value, ...]] = {
    "text": ("late", "on time"),
    "flags": (False, True),
    "numbers": (0, 1, 2),
}


def kept_for(classes: tuple[Value, ...], *, paired: bool) -> KeptRollout:
    """A rollout at 25 %."""
    one = Deployment(
        id="1" * 32,
        endpoint="late",
        model="late",
        number=1,
        digest="d",
        strategy=STRATEGY,
        task="classification",
        classes=classes,
        created_at=START,
        by="local",
    )
    other = msgspec.structs.replace(one, id="2" * 32, number=2, variant="canary")
    rollout = msgspec.structs.replace(begun(paired=paired), steps=(StepTaken(share=25, since=START),))
    return KeptRollout(rollout=rollout, canary=other, stable=one, tests={})


def said(classes: tuple[Value, ...], pick: int) -> tuple[Value | None, list[float] | None]:
    """An answer, with or without probabilities, or none."""
    if pick % 7 == 0:
        return None, None
    value = classes[pick % len(classes)]
    shares = np.random.default_rng(pick).dirichlet(np.ones(len(classes))).tolist()
    return value, shares if pick % 5 else None


def loss(
    answer: tuple[Value | None, list[float] | None], classes: tuple[Value, ...], label: Value, brier: bool
) -> float:
    """The loss in plain words."""
    value, shares = answer
    if value is None:
        return 1.0
    if brier and shares is not None and len(classes) == 2:
        return (shares[1] - (label == classes[1])) ** 2 if label in classes else 1.0
    return float(value != label)


rows = st.lists(
    st.tuples(
        st.booleans(),  # the canary's
        st.integers(1, 200),  # what its own variant says
        st.integers(1, 200),  # what the other one says
        st.sampled_from([0.25, 0.25, 0.05, None]),
        st.sampled_from(["none", "now", "later", "twice", "strange"]),
        st.integers(0, 5),
        st.booleans(),  # of another endpoint
    ),
    max_size=25,
)


class PlainLoop:
    """A log that is made row by row, and what its rows come to."""

    def __init__(self, classes: tuple[Value, ...], *, paired: bool) -> None:
        self.classes = classes
        self.paired = paired
        self.kept = kept_for(classes, paired=paired)
        self.sources = {"stable": source(self.kept.stable), "canary": source(self.kept.canary)}
        self.logged: list[PredictionRow] = []
        self.told: tuple[list[LabelRow], list[LabelRow]] = ([], [])
        self.apart: list[tuple[bool, bool, float]] = []
        self.expected: tuple[list[Any], list[Any]] = ([], [])
        self.scored = self.at_share = 0

    def add(
        self, canary: bool, own: int, other: int, weight: float | None, when: str, pick: int, foreign: bool
    ) -> None:
        """One row, and its labels."""
        answers = {"stable": said(self.classes, other if canary else own)}
        answers["canary"] = said(self.classes, own if canary else other)
        fell_back = canary and answers["canary"][0] is None
        if fell_back and answers["stable"][0] is None:
            answers["stable"] = self.classes[0], None
        by = "canary" if canary and not fell_back else "stable"
        status = FELL_BACK if fell_back else "ok" if answers[by][0] is not None else "not_finite"
        self._log(by, answers, status, weight, foreign)
        label: Value = self.classes[pick % len(self.classes)] if when != "strange" else "unheard of"
        self._tell(when, label, "early" if foreign else "late")
        if foreign:
            return
        if weight is not None:
            self.apart.append((canary, status != "ok", weight))
        self.scored += self.paired or canary
        self.at_share += (self.paired or canary) and weight == 0.25
        if when == "none":
            return
        expected = self.expected[when == "later"]
        if self.paired:
            brier = all(answer[1] is not None or answer[0] is None for answer in answers.values())
            expected.append(tuple(loss(answers[who], self.classes, label, brier) for who in ("stable", "canary")))
        elif weight is not None:
            expected.append((canary, status != "ok" or answers[by][0] != label, weight))

    def _log(self, by: str, answers: dict[str, Any], status: str, weight: float | None, foreign: bool) -> None:
        who = msgspec.structs.replace(self.sources[by], endpoint="early") if foreign else self.sources[by]
        other = "stable" if by == "canary" else "canary"
        shadows = [Shadow(self.sources[other], *answers[other])] if self.paired else None
        name = f"{len(self.logged):032x}"
        value, shares = answers[by]
        row = PredictionRow(name, 0, who, b"{}", value, shares, 7, status, weight=weight, shadows=shadows)
        self.logged.append(row)

    def _tell(self, when: str, label: Value, endpoint: str) -> None:
        name = f"{len(self.logged) - 1:032x}"
        if when != "none":
            self.told[when == "later"].append(LabelRow(name, endpoint, label, 5, 5))
        if when == "twice":
            self.told[1].append(LabelRow(name, endpoint, self.classes[0], 9, 9))


@settings(max_examples=60, deadline=None)
@given(rows, st.sampled_from(sorted(CLASSES)), st.booleans())
def test_rows_and_losses_are_those_of_a_plain_loop(seen: list[Any], kind: str, paired: bool) -> None:
    loop = PlainLoop(CLASSES[kind], paired=paired)
    for row in seen:
        loop.add(*row)
    frame = PredictionCodec().to_frame([msgspec.msgpack.encode(row) for row in loop.logged])
    labels = [LabelCodec().to_frame([msgspec.msgpack.encode(row) for row in part]) for part in loop.told]
    first = pairs.take(loop.kept, frame, labels[0], pairs.nothing_pending())
    second = pairs.take(loop.kept, frame.clear(), labels[1], first.pending)
    assert_columns(first.news.split, loop.apart)
    assert (first.news.rows, first.news.rows_at_share, second.news.rows) == (loop.scored, loop.at_share, 0)
    for taken, wanted in zip((first, second), loop.expected, strict=True):
        assert_columns(taken.news.quality, wanted)


def assert_columns(given: Pairs | Split, wanted: list[Any]) -> None:
    """The columns are those of the wanted rows, in their order."""
    found = [tuple(column.tolist()) for column in given]
    assert {len(column) for column in found} == {len(wanted)}
    assert not wanted or found == [pytest.approx(column) for column in zip(*wanted, strict=True)]


def source(deployment: Deployment) -> Source:
    return Source("late", deployment.id, "late", deployment.number, deployment.variant, deployment.classes)
