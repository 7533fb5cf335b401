"""Two variants on split traffic: the canary's rate of adverse events against the stable one's.

Given that an event happened, and that the canary had the share `w` of the traffic, it came from the canary with
probability `w r / (w r + 1 - w)`, where `r` is the ratio of the two rates. That holds whatever the base rate is at
that moment, so a ramp and a drifting base rate do no harm. Rows without an event tell nothing about `r`.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike

from tidegate.statistics.sequential.columns import Flags, Floats, blocks, flags, same_length
from tidegate.statistics.sequential.evidence import SequentialTest

HARMS: Final = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""How many times higher than allowed the canary's rate may be: what `HarmTest` bets on, in equal shares."""
BETTER: Final = 0.7
"""A canary with fewer events than stable: beside equal rates, what `NonInferiorityTest` bets on."""


class _SplitTest(SequentialTest):
    """Bets on ratios of the rates against one ratio."""

    _counts = ("n", "events", "canary_n", "canary_events")

    def __init__(self, *, ratio: float, alpha: float, bets: tuple[float, ...], shares: tuple[float, ...]) -> None:
        super().__init__(alpha=alpha, bets=bets, shares=shares)
        self.ratio = float(ratio)
        self.events = 0
        self.canary_n = 0
        self.canary_events = 0

    def observe(self, canary: bool, event: bool, weight: float) -> None:
        """Take one row: who answered it, whether something went wrong, the canary's share of the traffic just then."""
        if canary not in (True, False) or event not in (True, False):
            raise ValueError(f"canary and event must be true or false, got {canary!r} and {event!r}")
        if not 0 < weight < 1:
            raise ValueError(f"weight {weight} is not between 0 and 1; leave out rows that could only go one way")
        self.n += 1
        self.canary_n += bool(canary)
        if event:
            self.events += 1
            self.canary_events += bool(canary)
            allowed = math.log1p(weight * (self.ratio - 1))
            theirs = self._log_ratios if canary else [0.0] * len(self._bets)
            self._multiply(
                [own - math.log1p(weight * (bet - 1)) + allowed for own, bet in zip(theirs, self._bets, strict=True)]
            )

    def observe_many(self, *, canary: ArrayLike, event: ArrayLike, weight: ArrayLike) -> None:
        """Take rows in the order in which they came. One weight may stand for all of them.

        The weight is the chance that the router gave the row to the canary, between 0 and 1: rows that could only
        go one way tell nothing and are to be left out.
        """
        answered, happened = flags(canary, "canary"), flags(event, "event")
        share = np.asarray(weight, dtype=np.float64)
        if share.ndim == 0:
            share = np.broadcast_to(share, answered.shape)
        same_length(canary=answered, event=happened, weight=share)
        if share.ndim != 1 or not ((share > 0) & (share < 1)).all():
            raise ValueError("weight must be between 0 and 1 in every row; leave out rows that could only go one way")
        at = np.flatnonzero(happened)
        for part in blocks(len(at)):
            rows = at[part]
            self._multiply_rows(self._log_factors(answered[rows], share[rows]), self.n + rows + 1)
        self.n += len(answered)
        self.events += len(at)
        self.canary_n += int(answered.sum())
        self.canary_events += int(answered[at].sum())

    def _log_factors(self, canary: Flags, weight: Floats) -> Floats:
        share = weight[:, np.newaxis]
        allowed = np.log1p(share * (self.ratio - 1))
        theirs = np.where(canary[:, np.newaxis], self._log_ratios, 0.0)
        factors: Floats = theirs - np.log1p(share * (np.array(self._bets) - 1)) + allowed
        return factors

    @property
    def _log_ratios(self) -> list[float]:
        return [math.log(bet / self.ratio) for bet in self._bets]

    def _settings(self) -> dict[str, float]:
        return {"ratio": self.ratio}

    @classmethod
    def _from_settings(cls, state: Mapping[str, Any]) -> Self:
        return cls._with(ratio=state["ratio"], alpha=state["alpha"])

    @classmethod
    @abstractmethod
    def _with(cls, *, ratio: float, alpha: float) -> Self: ...


class HarmTest(_SplitTest):
    """`stop` shows harm: the canary's rate of events is higher than `ratio` times the stable one's."""

    name = "harm"

    def __init__(self, alpha: float = 0.05, *, ratio: float = 1.0) -> None:
        if not 1 <= ratio < float("inf"):
            raise ValueError(f"ratio {ratio} is below 1; 1 allows no harm, 1.1 a tenth more events than stable has")
        bets = tuple(ratio * times for times in HARMS)
        super().__init__(ratio=ratio, alpha=alpha, bets=bets, shares=(1 / len(HARMS),) * len(HARMS))

    @classmethod
    def _with(cls, *, ratio: float, alpha: float) -> Self:
        return cls(alpha, ratio=ratio)


class NonInferiorityTest(_SplitTest):
    """`stop` shows that the canary is not worse: its rate of events is lower than `ratio` times the stable one's."""

    name = "non_inferiority"

    def __init__(self, ratio: float = 1.4, alpha: float = 0.05) -> None:
        if not 1 < ratio < float("inf"):
            raise ValueError(f"ratio {ratio} is not above 1; 1.4 stands for at most 1.4 times the stable rate")
        super().__init__(ratio=ratio, alpha=alpha, bets=(ratio**0.5, 1.0, BETTER), shares=(0.2, 0.6, 0.2))

    @classmethod
    def _with(cls, *, ratio: float, alpha: float) -> Self:
        return cls(ratio, alpha)
