"""Two models on the same rows: the candidate's mean loss against the stable one's.

Each bet multiplies its wealth by `1 + stake * (difference of the losses - margin)`: fair while the mean is the margin.
The stakes are fixed, so what is shown is about the average over the rows seen, also where rows differ or drift.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike

from tidegate.statistics.sequential.columns import blocks, same_length, unit_numbers
from tidegate.statistics.sequential.evidence import SequentialTest

STAKES: Final = (0.95, 0.45, 0.2, 0.1, 0.04, 0.015)
"""Parts of the largest stake that cannot ruin: large ones find a clear difference soon, small ones a slight one."""


class _PairedTest(SequentialTest):
    """Bets on the difference candidate - stable lying on one side of the margin."""

    _counts = ("n", "sum_of_differences")
    _side: ClassVar[int]

    def __init__(self, *, margin: float, alpha: float) -> None:
        if not -1 < margin < 1:
            raise ValueError(f"margin {margin} is not between -1 and 1, as the difference of two losses in [0, 1] is")
        most = 1 / (1 + self._side * margin)
        bets = tuple(part * most for part in STAKES)
        super().__init__(alpha=alpha, bets=bets, shares=(1 / len(STAKES),) * len(STAKES))
        self.margin = float(margin)
        self.sum_of_differences = 0.0

    @property
    def mean_difference(self) -> float:
        """Mean of candidate - stable over the rows seen; NaN before the first."""
        return self.sum_of_differences / self.n if self.n else float("nan")

    def observe(self, stable: float, candidate: float) -> None:
        """Take one row: the losses in [0, 1] of the two models on it."""
        if not (0 <= stable <= 1 and 0 <= candidate <= 1):
            raise ValueError(f"losses must be in [0, 1], as Brier and 0/1 losses are, got {stable} and {candidate}")
        difference = float(candidate) - float(stable)
        gain = self._side * (difference - self.margin)
        self.n += 1
        self.sum_of_differences += difference
        self._multiply([math.log1p(bet * gain) for bet in self._bets])

    def observe_many(self, *, stable: ArrayLike, candidate: ArrayLike) -> None:
        """Take rows in the order in which they came."""
        known, new = unit_numbers(stable, "stable"), unit_numbers(candidate, "candidate")
        same_length(stable=known, candidate=new)
        differences = new - known
        for part in blocks(len(differences)):
            gains = self._side * (differences[part] - self.margin)
            rows = self.n + 1 + np.arange(part.start, part.stop, dtype=np.intp)
            self._multiply_rows(np.log1p(gains[:, np.newaxis] * self._bets), rows)
        self.n += len(differences)
        self.sum_of_differences = float(np.cumsum(np.append(self.sum_of_differences, differences))[-1])

    def _settings(self) -> dict[str, float]:
        return {"margin": self.margin}

    @classmethod
    def _from_settings(cls, state: Mapping[str, Any]) -> Self:
        return cls(margin=state["margin"], alpha=state["alpha"])


class PairedTest(_PairedTest):
    """`stop` shows a worse candidate: its mean loss is more than `margin` above the stable model's."""

    name = "paired"
    _side = 1

    def __init__(self, alpha: float = 0.05, margin: float = 0.0) -> None:
        super().__init__(margin=margin, alpha=alpha)


class PairedNonInferiorityTest(_PairedTest):
    """`stop` shows that the candidate is not worse: its mean loss is less than `margin` above the stable model's."""

    name = "paired_non_inferiority"
    _side = -1

    def __init__(self, margin: float, alpha: float = 0.05) -> None:
        super().__init__(margin=margin, alpha=alpha)
