"""How a deployment takes over: what people write as `tg.canary(…)` and `tg.shadow()`."""

from collections.abc import Sequence

from tidegate.endpoints.records import Strategy
from tidegate.endpoints.rules import check_strategy

_DEFAULT = Strategy()


def canary(
    steps: Sequence[float] = (5, 25, 50, 100),
    *,
    alpha: float = _DEFAULT.alpha,
    margin: float = _DEFAULT.margin,
    ratio: float = _DEFAULT.ratio,
    rows: int = _DEFAULT.rows,
    labels: int = _DEFAULT.labels,
    least_days: float = _DEFAULT.least_days,
    days: float = _DEFAULT.days,
) -> Strategy:
    """Take over step by step, in percent of the traffic; back at once where harm is shown.

    A step is left when the canary has scored ``rows`` rows at it, ``labels`` labels of its rows have become known, and
    no harm is shown. It is promoted at 100 % once it is shown not to be worse: by ``margin`` in the mean loss (Brier,
    or 0/1) where the endpoint is outcome independent, else by ``ratio`` of the rates of wrong answers. ``alpha`` is
    the chance of each wrong decision. Days differ, and evidence speaks of those that were seen, so nothing is promoted
    before ``least_days`` of business time: 7 sees a whole week. After ``days`` without a decision the canary is
    inconclusive.
    Raises `Invalid` naming what does not make sense.
    """
    return check_strategy(
        Strategy(
            kind="canary",
            steps=tuple(float(step) for step in steps),
            alpha=float(alpha),
            margin=float(margin),
            ratio=float(ratio),
            rows=rows,
            labels=labels,
            least_days=float(least_days),
            days=float(days),
        )
    )


def shadow() -> Strategy:
    """Score the same rows, never answer."""
    return Strategy(kind="shadow")
