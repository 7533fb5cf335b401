"""The operations of retraining, on every kind of home: a policy is set and shown, a person asks for a retraining."""

from typing import Any

import msgspec
import pytest

from tests.contract.loop import training_steps
from tests.contract.loop.retraining_home import DAY, ENDPOINT, MONTHLY, START, audited, facts
from tidegate.kernel.errors import Forbidden, Invalid, NotFound, Refused
from tidegate.loop.policy import RetrainingPolicy
from tidegate.testing.workspaces import Home


def test_a_policy_is_set_and_shown(learning: Home) -> None:
    retraining = learning.workspace.retraining
    with pytest.raises(NotFound, match="has no retraining policy"):
        retraining.policy(ENDPOINT)
    kept = retraining.set_policy(ENDPOINT, policy=MONTHLY)
    assert (kept.endpoint, kept.policy, kept.active, kept.set_by, kept.set_at) == (
        ENDPOINT, MONTHLY, True, "local", learning.inside.storage.clock.now(),
    )  # fmt: skip
    assert retraining.policy(ENDPOINT) == kept
    paused = retraining.set_policy(ENDPOINT, policy=MONTHLY, active=False)
    assert (paused.active, paused.digest) == (False, kept.digest)
    assert retraining.policy(ENDPOINT) == paused
    weekly = retraining.set_policy(ENDPOINT, policy=msgspec.structs.replace(MONTHLY, schedule_days=7))
    assert weekly.digest != kept.digest
    assert [each["policy"] for _, each in facts(learning)] == [kept.digest, paused.digest, weekly.digest]
    assert audited(learning) == [("retraining.set_policy", "local", ENDPOINT)] * 3

    learning.workspace.people.add("reader", role="contributor")
    with pytest.raises(Forbidden, match="needs the role maintainer"):
        learning.acting("reader").retraining.set_policy(ENDPOINT, policy=MONTHLY)
    with pytest.raises(Forbidden, match="needs the role maintainer"):
        learning.acting("reader").retraining.retrain(ENDPOINT, reason="I want to")
    assert learning.acting("reader").retraining.policy(ENDPOINT) == weekly
    with pytest.raises(NotFound, match="no endpoint 'nowhere'"):
        retraining.set_policy("nowhere", policy=MONTHLY)
    with pytest.raises(NotFound, match="no pipeline 'unheard of'"):
        retraining.set_policy(ENDPOINT, policy=RetrainingPolicy(pipeline="unheard of"))
    for nonsense, words in NONSENSE:
        with pytest.raises(Invalid, match=words):
            retraining.set_policy(ENDPOINT, policy=msgspec.structs.replace(MONTHLY, **nonsense))
    assert retraining.policy(ENDPOINT) == weekly, "what was refused has changed nothing"


NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"pipeline": "../x"}, "'../x' is not a name"),
    ({"schedule_days": 0.5}, "1 or more; leave it out"),
    ({"cool_down_days": -1.0}, "cool_down_days must be from 0"),
    ({"budget": 0}, "budget must be from 1 to 1,000"),
    ({"params": {"endpoint": "another"}}, "every run gets a 'endpoint' of its own"),
    ({"params": {"seed": 2**63}}, "9223372036854775808"),
    ({"params": {"text": "x" * 40_000}}, "40,011 bytes of JSON, at most 32,768"),
]


def test_a_person_asks_and_is_refused_a_second_run(learning: Home) -> None:
    space = learning.workspace
    with pytest.raises(NotFound, match="no retraining policy"):
        space.retraining.retrain(ENDPOINT, reason="new data")
    space.pipelines.register("patient", steps=(f"{training_steps.HERE}:approved",))
    policy = RetrainingPolicy(pipeline="patient", params={"rate": 0.1, "trees": 40})
    kept = space.retraining.set_policy(ENDPOINT, policy=policy, active=False)
    with pytest.raises(Invalid, match="say why"):
        space.retraining.retrain(ENDPOINT, reason=" ")
    made = space.retraining.retrain(ENDPOINT, reason="new data")
    assert (made.fired, made.proposal, made.reason, made.by, made.policy, made.at) == (
        True, "asked", "asked", "local", kept.digest, START,
    )  # fmt: skip
    assert made.summary == "local asked for it: new data"
    space.loop.tick()
    run = space.pipelines.get_run(made.run)
    assert (run.state, run.by, run.key, run.reason) == ("waiting", "local", made.id, "nobody has approved")
    assert run.params == {"rate": 0.1, "trees": 40, "endpoint": ENDPOINT, "reason": made.summary}

    space.retraining.set_policy(ENDPOINT, policy=MONTHLY)  # of another pipeline: the run is under way all the same
    with pytest.raises(Refused, match=f"not trained anew now: run {made.run} of pipeline patient is under way"):
        space.retraining.retrain(ENDPOINT, reason="again")
    space.loop.tick(START + 40 * DAY)
    assert space.retraining.decisions(ENDPOINT).items == [made], "nothing is due beside a run that is under way"
    space.pipelines.cancel(made.run, reason="not needed")
    again = space.retraining.retrain(ENDPOINT, reason="again, and the cool-down does not hold a person back")
    first = space.retraining.decisions(ENDPOINT, limit=1)
    assert first.items == [again]
    rest = space.retraining.decisions(ENDPOINT, limit=1, cursor=first.next or "")
    assert (rest.items, rest.next) == ([made], None)
    assert space.retraining.decisions("nowhere").items == []
    told = [(kind, each["run"]) for kind, each in facts(learning) if "run" in each]
    assert told == [("retraining_fired", made.run), ("retraining_fired", again.run)]
    asked = [each for each in audited(learning) if each[0] == "retraining.retrain"]
    assert asked == [("retraining.retrain", "local", ENDPOINT)] * 2
