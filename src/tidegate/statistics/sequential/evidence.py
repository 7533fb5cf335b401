"""Evidence that stays valid however often it is looked at: the wealth of bets against a hypothesis."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Decision = Literal["continue", "stop"]


class SequentialTest(ABC):
    """Several bets against a hypothesis, sharing one unit of wealth, none of which wins on average while it holds.

    Their joint wealth then reaches `1 / alpha` with chance `alpha` at most, over all rows and looks together.
    All evidence is in natural logarithms, so that it never overflows. Rows in pieces of any size, or one at a time,
    give the same (to 1e-9). Invalid rows raise ValueError and change nothing.
    """

    name: ClassVar[str]
    """Which test a state belongs to."""
    _counts: ClassVar[tuple[str, ...]]
    """Attributes that are counted up, and travel with the state."""

    def __init__(self, *, alpha: float, bets: Sequence[float], shares: Sequence[float]) -> None:
        if not 0 < alpha < 1:
            raise ValueError(f"alpha {alpha} is not between 0 and 1; it is the chance of deciding wrongly")
        self.alpha = float(alpha)
        self.n = 0
        self.decided_at: int | None = None
        self._bets = list(bets)
        self._shares = list(shares)
        self._wealth = [0.0] * len(self._bets)
        self._evidence = 0.0

    @property
    def evidence(self) -> float:
        """The highest that the logarithm of the e-value ever was: 0 in the beginning; it never falls.

        `exp(-evidence)` is a p-value that is valid at any time.
        """
        return self._evidence

    @property
    def threshold(self) -> float:
        """The evidence that decides: `log(1 / alpha)`."""
        return -math.log(self.alpha)

    @property
    def decision(self) -> Decision:
        """`stop` once the claim is shown, for ever; before, `continue`."""
        return "continue" if self.decided_at is None else "stop"

    @property
    def log_e_value(self) -> float:
        """The logarithm of the e-value after the last row; unlike `evidence` it also falls."""
        return self._joint()

    def state(self) -> dict[str, Any]:
        """All that the test knows, as names, numbers and lists that JSON keeps exactly."""
        return {
            "test": self.name,
            "alpha": self.alpha,
            **self._settings(),
            "bets": list(self._bets),
            "shares": list(self._shares),
            "wealth": list(self._wealth),
            "evidence": self._evidence,
            "decided_at": self.decided_at,
            **{name: getattr(self, name) for name in self._counts},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The test that goes on where `state()` was taken, with the bets that it began with.

        Raises ValueError where the state is of another test, or not whole.
        """
        if state.get("test") != cls.name:
            raise ValueError(f"this is the state of {state.get('test')!r}, not of {cls.name!r}")
        try:
            test = cls._from_settings(state)
            bets, shares, wealth = ([float(one) for one in state[key]] for key in ("bets", "shares", "wealth"))
            counts = {name: state[name] for name in cls._counts}
            evidence, decided_at = float(state["evidence"]), state["decided_at"]
            finite = all(map(math.isfinite, (*bets, *shares, *wealth, evidence, *counts.values())))
        except (KeyError, TypeError) as error:
            raise ValueError(f"the state of {cls.name!r} is not whole: {error}; take it from state()") from None
        if not finite or not len(bets) == len(shares) == len(wealth):
            raise ValueError(f"the state of {cls.name!r} is damaged: it needs one finite number a bet")
        test._bets, test._shares, test._wealth = bets, shares, wealth
        test._evidence, test.decided_at = evidence, decided_at
        for name, value in counts.items():
            setattr(test, name, value)
        return test

    @abstractmethod
    def _settings(self) -> dict[str, float]: ...

    @classmethod
    @abstractmethod
    def _from_settings(cls, state: Mapping[str, Any]) -> Self: ...

    def _multiply(self, log_factors: list[float]) -> None:
        """Multiply each bet's wealth, for the row that `n` has just counted."""
        self._wealth = [one + more for one, more in zip(self._wealth, log_factors, strict=True)]
        joint = self._joint()
        if joint > self._evidence:
            self._evidence = joint
            if self.decided_at is None and joint >= self.threshold:
                self.decided_at = self.n

    def _multiply_rows(self, log_factors: Floats, rows: NDArray[np.intp]) -> None:
        """The same for many rows: `log_factors` has a column a bet, `rows` numbers the rows from 1."""
        course = np.cumsum(np.vstack((self._wealth, log_factors)), axis=0)[1:]
        highest = course.max(axis=1)
        self._wealth = course[-1].tolist()
        # The joint wealth is an average: where the best bet is not above the evidence, neither is the average.
        higher = np.flatnonzero(highest > self._evidence)
        if not len(higher):
            return
        best = highest[higher]
        joint = best + np.log((np.exp(course[higher] - best[:, np.newaxis]) * self._shares).sum(axis=1))
        over = joint >= self.threshold
        if self.decided_at is None and over.any():
            self.decided_at = int(rows[higher[over.argmax()]])
        self._evidence = max(self._evidence, float(joint.max()))

    def _joint(self) -> float:
        highest = max(self._wealth)
        shared = zip(self._shares, self._wealth, strict=True)
        return highest + math.log(math.fsum(share * math.exp(one - highest) for share, one in shared))
