"""Answers rows that more than one variant sees: a canary's share, shadows, features that are looked up.

Laws:

1. **Chance.** A row goes to the canary by a hash of its id alone: uniform, and independent of the row and all others.
2. **Weighed.** `weight` is the canary's share on every row that could have gone either way, and on no other.
3. **Unharmed.** A canary that raises, or has no finite answer where stable has one, is answered for by stable; the
   row's status is then `fell_back`. A shadow that fails is logged with no value.
4. **Same rows.** Shadows score every row; so do both variants of an endpoint that is outcome independent, and what the
   other one answered is logged beside the answer.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

from tidegate.endpoints.routing import Route
from tidegate.endpoints.variant import Answered, Encoding, LiveVariant, Said, Takes, row_json
from tidegate.kernel.errors import Invalid, Unavailable
from tidegate.kernel.features import FeatureLookup
from tidegate.predictions.records import FELL_BACK, Shadow, Source

log = logging.getLogger("tidegate.endpoints")

Row = Mapping[str, Any]
Answers = dict[int, Said]
"""What a variant said, by the row's place in the request; rows on which it failed are not there."""


class Asked(NamedTuple):
    """The rows of a request. Rows as JSON where they came so; instants in microseconds; one of each a row."""

    rows: Sequence[dict[str, Any]]
    texts: Sequence[bytes] | None
    moments: Sequence[int]
    ids: Sequence[str]


def goes_to_canary(prediction_id: str, share: float) -> bool:
    """Whether the row with this id is the canary's, whose part of the traffic lies between 0 and 1."""
    if share >= 1:
        return True
    digest = hashlib.blake2b(prediction_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest) < ceil(share * 2**64)


def answer_split(route: Route, features: FeatureLookup | None, asked: Asked) -> Answered:
    """Answer a request by a route that is not plain.

    Raises as the stable variant does, and `Unavailable` where its features cannot be looked up.
    """
    return _Request(route, features, asked).answer()


class _Request:
    """One request on its way through the variants."""

    def __init__(self, route: Route, features: FeatureLookup | None, asked: Asked) -> None:
        self._route = route
        self._features = features
        self._asked = asked
        self._faults: dict[str, list[Exception]] = {}
        self._completed: dict[str | None, tuple[dict[int, dict[str, Any]], dict[int, bytes]]] = {}
        """By feature service and the row's place: as a model takes it, and as it is logged."""
        self._encodings: list[tuple[Takes, Encoding]] = []

    def answer(self) -> Answered:
        """What every variant says, put together."""
        route, every = self._route, range(len(self._asked.rows))
        canary = route.canary if route.share > 0 else None
        theirs = {index for index in every if canary and goes_to_canary(self._asked.ids[index], route.share)}
        both = canary is not None and route.endpoint.outcome_independent
        canaries = self._on_trial(canary, every if both else sorted(theirs)) if canary else {}
        stables = self._stable(every if both or not theirs else [index for index in every if index not in theirs])
        lost = [index for index in theirs if index not in stables and not _usable(canaries.get(index))]
        stables |= self._stable(sorted(lost)) if lost else {}
        beside: list[tuple[LiveVariant, Answers]] = []
        if canary and both:
            beside = [(route.stable, stables), (canary, canaries)]
        beside += [(shadow, self._on_trial(shadow, every)) for shadow in route.shadows]
        for version, faults in self._faults.items():
            log.warning("endpoint %s: %s failed %d times: %s", route.endpoint.name, version, len(faults), faults[0])
        return self._merge(theirs, (stables, canaries), [(variant.source, said) for variant, said in beside])

    def _merge(
        self, theirs: set[int], answers: tuple[Answers, Answers], beside: list[tuple[Source, Answers]]
    ) -> Answered:
        route, asked = self._route, self._asked
        weight = route.share if 0 < route.share < 1 else None
        stables, canaries = answers
        merged = Answered([], [], surprising=True)
        for index, (one, moment) in enumerate(zip(asked.ids, asked.moments, strict=True)):
            own = canaries.get(index) if index in theirs else None
            if route.canary is not None and own is not None and (_usable(own) or not _usable(stables[index])):
                variant, said, status = route.canary, own, None
            else:
                variant, said, status = route.stable, stables[index], FELL_BACK if index in theirs else None
            shadows = [
                Shadow(source, other.value, other.probabilities)
                if (other := answers.get(index))
                else Shadow(source, None)
                for source, answers in beside
                if source is not variant.source
            ]
            text = self._completed[variant.service][1][index]
            out, row = variant.tell(one, moment, text, said, status=status, weight=weight, shadows=shadows or None)
            merged.predictions.append(out)
            merged.rows.append(row)
        return merged

    def _stable(self, places: Sequence[int]) -> Answers:
        """The stable variant's answers. What it raises is the request's fault, or ours."""
        try:
            return self._ask(self._route.stable, places)
        except Invalid:
            if len(places) < len(self._asked.rows):
                self._ask(self._route.stable, range(len(self._asked.rows)))  # names the row by its place in the request
            raise

    def _on_trial(self, variant: LiveVariant, places: Sequence[int]) -> Answers:
        """The answers of a canary or a shadow: those that it has. A part that fails is halved until the rows are alone.

        A fault of one row is then one failure, not that of all rows that it came with.
        """
        if not places:
            return {}
        try:
            return self._ask(variant, places)
        except Exception as error:  # noqa: BLE001 - the edge: whatever a model on trial raises must not harm the answer
            if len(places) == 1 or isinstance(error, Unavailable):
                self._faults.setdefault(variant.deployment.version, []).append(error)
                return {}
        middle = len(places) // 2
        return self._on_trial(variant, places[:middle]) | self._on_trial(variant, places[middle:])

    def _ask(self, variant: LiveVariant, places: Sequence[int]) -> Answers:
        if not places:
            return {}
        return dict(zip(places, variant.say(self._encoding(variant, places)), strict=True))

    def _encoding(self, variant: LiveVariant, places: Sequence[int]) -> Encoding:
        """The rows as the variant takes them: where it is all of them, once for all variants that take the same."""
        whole = len(places) == len(self._asked.rows)
        known = [one for takes, one in self._encodings if takes == variant.takes] if whole else []
        if known:
            return known[0]
        rows = self._inputs(variant, places)
        encoding = variant.encode([rows[index] for index in places])
        if whole:
            self._encodings.append((variant.takes, encoding))
        return encoding

    def _inputs(self, variant: LiveVariant, places: Sequence[int]) -> Mapping[int, dict[str, Any]]:
        """The completed rows, beside which stand those that are logged: looked up once a feature service and row."""
        rows, texts = self._completed.setdefault(variant.service, ({}, {}))
        lacking = [index for index in places if index not in rows]
        if lacking and variant.service is None:
            given = self._asked.texts
            for index in lacking:
                rows[index] = self._asked.rows[index]
                texts[index] = given[index] if given is not None else row_json(self._asked.rows[index])
        elif lacking and variant.service is not None:
            for index, row in zip(lacking, self._look_up(variant, variant.service, lacking), strict=True):
                rows[index] = row
                texts[index] = row_json({**self._asked.rows[index], **row})  # entity keys, and all that the model takes
        return rows

    def _look_up(self, variant: LiveVariant, service: str, places: Sequence[int]) -> list[dict[str, Any]]:
        if self._features is None:
            raise Unavailable(
                f"{variant.deployment.version} takes features that are looked up (service {service[:12]}), and this "
                "process has no feature store: ask a server of its home, or open the home with its features",
                version=variant.deployment.version,
                service=service,
            )
        rows = [self._asked.rows[index] for index in places]
        return self._features.complete(service, rows, [self._asked.moments[index] for index in places])


def _usable(said: Said | None) -> bool:
    return said is not None and said.status == "ok"
