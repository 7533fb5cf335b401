"""Whatever people do in whatever order, nothing stands in production without a passed gate and a second person."""

import itertools
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.contract.models.late_models import manifest
from tidegate.kernel.errors import Conflict, Forbidden, Invalid, Refused
from tidegate.models.records import Stage, Verdict
from tidegate.testing.workspaces import Home
from tidegate.workspace import Workspace

PEOPLE = ("ada", "bob", "cho")
STAGES = ("development", "staging", "production", "archived")

_names = itertools.count()


class FourEyes(RuleBasedStateMachine):
    """Three people, each admin and approver, work on versions of one model; a model of the rules beside them."""

    workspace: Workspace
    seats: dict[str, Workspace]

    def __init__(self) -> None:
        super().__init__()
        self.name = f"late-{next(_names)}"
        self.authors: dict[int, str] = {}
        self.said: dict[int, dict[str, str]] = {}
        self.gates: dict[int, str] = {}
        self.earned: dict[int, bool] = {}

    @initialize(author=st.sampled_from(PEOPLE))
    def log_first(self, author: str) -> None:
        self.log(author)

    @rule(author=st.sampled_from(PEOPLE))
    def log(self, author: str) -> None:
        number = len(self.authors) + 1
        content = manifest(self.workspace, self.name, bytes([number % 256]))
        assert self.seats[author].models.register(self.name, content).number == number
        self.authors[number], self.said[number], self.earned[number] = author, {}, False

    def pick(self, data: Any) -> int:
        return int(data.draw(st.integers(1, len(self.authors))))

    @rule(data=st.data(), by=st.sampled_from(PEOPLE), verdict=st.sampled_from(("pass", "fail", "not_enough_data")))
    def judge(self, data: Any, by: str, verdict: Verdict) -> None:
        number = self.pick(data)
        self.seats[by].models.attest(self.name, number, kind="gate:quality", verdict=verdict)
        self.gates[number] = verdict

    @rule(data=st.data(), by=st.sampled_from(PEOPLE), word=st.sampled_from(("approve", "reject", "withdraw")))
    def speak(self, data: Any, by: str, word: str) -> None:
        number = self.pick(data)
        say = getattr(self.seats[by].approvals, word)
        try:
            say(f"{self.name}/{number}", reason="because")
        except Refused:
            assert (word, by) == ("approve", self.authors[number])
        except Conflict:
            assert word == "withdraw"
            assert by not in self.said[number]
        else:
            self.said[number][by] = word
            if word == "withdraw":
                del self.said[number][by]

    @rule(data=st.data(), by=st.sampled_from(PEOPLE), verdict=st.sampled_from(("pass", "fail", "withdrawn")))
    def speak_past_the_room(self, data: Any, by: str, verdict: Verdict) -> None:
        number = self.pick(data)
        attest = self.seats[by].models.attest
        if verdict == "pass" and by == self.authors[number]:
            with pytest.raises(Refused):
                attest(self.name, number, kind="approval", verdict=verdict, reason="because")
            return
        if verdict == "withdrawn" and by not in self.said[number]:
            with pytest.raises(Conflict):
                attest(self.name, number, kind="approval", verdict=verdict, reason="because")
            return
        attest(self.name, number, kind="approval", verdict=verdict, reason="because")
        self.said[number][by] = {"pass": "approve", "fail": "reject"}.get(verdict, "")
        if verdict == "withdrawn":
            del self.said[number][by]

    @rule(data=st.data(), by=st.sampled_from(PEOPLE), to=st.sampled_from(STAGES))
    def promote(self, data: Any, by: str, to: Stage) -> None:
        number = self.pick(data)
        stands = self.workspace.models.get(self.name, number).stage
        try:
            self.seats[by].models.promote(self.name, number, to=to)
        except Conflict:
            assert stands == to
        except Refused:
            assert to == "production"
            assert not self.deserves(number)
        else:
            assert stands != to
            self.earned[number] = self.deserves(number)

    def deserves(self, number: int) -> bool:
        words = self.said[number]
        others = [word for person, word in words.items() if person != self.authors[number]]
        return self.gates.get(number) == "pass" and "approve" in others and "reject" not in words.values()

    @invariant()
    def nothing_serves_unseen(self) -> None:
        if not self.authors:
            return
        for version in self.workspace.models.versions(self.name, limit=1000).items:
            assert version.created_by == self.authors[version.number]
            assert version.stage != "production" or self.earned[version.number]


@pytest.mark.parametrize("home", ["local-sqlite", "local-postgres"], indirect=True)
def test_nothing_is_in_production_without_gate_and_second_person(home: Home) -> None:
    for person in PEOPLE:
        home.workspace.people.add(person, role="admin")
        home.workspace.people.grant(person, role="approver")
    people = {name: home.acting(name) for name in PEOPLE}
    run_state_machine_as_test(
        type("FourEyesHere", (FourEyes,), {"workspace": home.workspace, "seats": people}),
        settings=settings(
            max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    assert home.workspace.audit.list(operation="models.promote", limit=1).items
    assert home.workspace.audit.verify().intact


def test_a_person_without_the_role_says_nothing(home: Home) -> None:
    home.workspace.people.add("dan", role="maintainer")
    home.workspace.models.register("late", manifest(home.workspace, "late"))
    dan = home.acting("dan")
    for verdict in ("pass", "fail"):
        with pytest.raises(Forbidden):
            dan.models.attest("late", 1, kind="approval", verdict=verdict, reason="because")
    with pytest.raises(Invalid):
        home.workspace.models.attest("late", 1, kind="rumour", verdict="pass")
