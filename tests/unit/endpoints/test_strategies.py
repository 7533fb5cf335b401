"""What makes a strategy, and what is refused with a reason."""

from typing import Any

import msgspec
import pytest

import tidegate as tg
from tidegate.endpoints.records import Strategy
from tidegate.endpoints.rules import check_strategy
from tidegate.kernel import wire


def test_a_canary_and_a_shadow() -> None:
    canary = tg.canary(steps=[5, 25, 50, 100])
    assert (canary.kind, canary.steps) == ("canary", (5.0, 25.0, 50.0, 100.0))
    assert tg.canary() == canary
    assert tg.shadow() == Strategy(kind="shadow")
    for strategy in (canary, tg.shadow(), Strategy()):
        assert check_strategy(strategy) == strategy
        assert wire.decode(wire.encode(strategy), Strategy) == strategy
    assert wire.decode(b'{"kind":"canary","steps":[5,100]}', Strategy) == tg.canary([5, 100])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": []}, "steps: a canary takes 1 to 20 steps, got 0"),
        ({"steps": [0, 100]}, "steps: 0 is no percentage above 0"),
        ({"steps": [-5, 100]}, "steps: -5 is no percentage"),
        ({"steps": [5, 101]}, "steps: 101 is no percentage above 0 and up to 100"),
        ({"steps": [5, float("nan")]}, "steps: nan is no percentage"),
        ({"steps": [25, 5, 100]}, "steps: 5 does not come after 25"),
        ({"steps": [5, 5, 100]}, "steps: 5 does not come after 5"),
        ({"steps": [5, 50]}, "steps: the last step is 50: it must be 100"),
        ({"steps": range(1, 101)}, "got 100"),
        ({"alpha": 0}, "alpha: 0 is outside"),
        ({"alpha": float("nan")}, "alpha: nan is outside"),
        ({"margin": 0}, "margin: 0 is outside"),
        ({"ratio": 1}, "ratio: 1 is outside"),
        ({"rows": 0}, "rows: 0 is outside"),
        ({"labels": 0}, "labels: 0 is outside.*without labels nobody can show"),
        ({"days": 400}, "days: 400 is outside"),
        ({"least_days": -1}, "least_days: -1 is outside"),
        ({"least_days": 15}, "least_days: 15 days are more than the 14 days after which"),
    ],
)
def test_what_makes_no_sense_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(tg.Invalid, match=f"strategy, {message}" if ":" in message else message) as error:
        tg.canary(**arguments)
    assert str(error.value.details["field"]).startswith("strategy.")


def test_only_a_canary_takes_steps() -> None:
    with pytest.raises(tg.Invalid, match="only a canary takes steps, shadow does not"):
        check_strategy(Strategy(kind="shadow", steps=(100.0,)))
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"kind": "blue_green"}, Strategy)
