"""The laws of `splitting`, with real models behind a real engine."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, kstest

import tidegate as tg
from tests.contract.endpoints.serving_home import ROW, ServingHome
from tests.contract.models.kept_models import kept
from tidegate.endpoints.engine import ServingEngine
from tidegate.endpoints.meter import TrafficMeter
from tidegate.endpoints.moves import Moves
from tidegate.endpoints.records import Deployment, PredictionOut
from tidegate.endpoints.splitting import goes_to_canary
from tidegate.kernel.context import Call
from tidegate.kernel.errors import Invalid, NotFound, TidegateError, Unavailable
from tidegate.models.formats.protocol import Matrix, Outputs
from tidegate.models.loading import LoadedModel
from tidegate.models.records import StagePolicy
from tidegate.predictions.records import FELL_BACK, Prediction

LONG = 1e6
_CALL = Call(actor="controller:rollouts")


class Split:
    """A home whose endpoint `late` has a stable version, a canary, and whatever a test adds."""

    def __init__(self, home: ServingHome, *, share: float, outcome_independent: bool) -> None:
        self.home = home
        self.moves = Moves(home.store, home.models, home.engine.routing.expect_change)
        version = home.promoted("linear, text", "late")
        self.stable = home.endpoints.deploy("late", version, outcome_independent=outcome_independent)
        self.canary = self.deploy("boosting, text", "late", tg.canary())
        if share:
            self.give(share)

    def deploy(self, recipe: str, name: str, strategy: Any) -> Deployment:
        return self.home.endpoints.deploy("late", self.home.promoted(recipe, name), strategy=strategy)

    def give(self, share: float) -> None:
        """As the rollouts controller does."""
        self.home.catalog.write(
            lambda: self.home.dispatcher.on_behalf(_CALL, lambda: self.moves.give(self.canary, share))
        )

    def promote(self) -> None:
        self.home.catalog.write(lambda: self.home.dispatcher.on_behalf(_CALL, lambda: self.moves.promote(self.canary)))

    def ask(self, rows: Sequence[dict[str, Any]]) -> list[tuple[PredictionOut, Prediction]]:
        """Answers, each with its logged row."""
        answers = self.home.engine.predict("late", rows)
        return [(answer, self.home.reader.get(answer.id)) for answer in answers]


class Faulty:
    """A runtime that fails on rows whose distance is over a limit, or answers NaN there."""

    def __init__(self, model: LoadedModel, limit: float, *, nan: bool = False) -> None:
        self._predict = model.predictor.predict
        self._limit = limit
        self._nan = nan

    def predict(self, matrix: Matrix) -> Outputs:
        over = matrix[:, 0] > self._limit
        if over.any() and not self._nan:
            raise MemoryError("the model on trial runs out of memory on long flights")
        outputs = self._predict(matrix)
        assert outputs.probabilities is not None
        return Outputs(outputs.values, np.where(over[:, np.newaxis], np.nan, outputs.probabilities))


class FaultyLoader:
    """Loads models, some of them with a runtime that fails."""

    def __init__(self, home: ServingHome, references: Sequence[str], limit: float, *, nan: bool = False) -> None:
        self._home = home
        self._references = references
        self._limit = limit
        self._nan = nan

    def load(self, reference: str) -> LoadedModel:
        model = self._home.models.load(reference)
        if reference in self._references:
            model.predictor = Faulty(model, self._limit, nan=self._nan)
        return model


def with_faults(split: Split, references: Sequence[str], *, nan: bool = False) -> None:
    """Serve with models that fail on flights that are very long."""
    home = split.home
    loader = FaultyLoader(home, references, LONG, nan=nan)
    home.engine = ServingEngine(wishes=home.store, models=loader, log=home.log, clock=home.clock, machine=home.machine)


def test_law_1_the_hash_is_uniform_and_independent() -> None:
    ids = [f"{(0x0192_3456_789A_7000 << 64) + (n << 48):032x}" for n in range(20_000)]  # as alike as ids can be
    for share in (0.01, 0.05, 0.25, 0.5):
        hits = np.array([goes_to_canary(one, share) for one in ids])
        low, high = binom.ppf([0.0005, 0.9995], len(ids), share)
        assert low <= hits.sum() <= high
        together = (hits[1:] & hits[:-1]).mean()
        assert together == pytest.approx(share**2, abs=4 * np.sqrt(share**2 / len(ids)))
    gaps = np.flatnonzero([goes_to_canary(one, 0.1) for one in ids])
    assert kstest(gaps / len(ids), "uniform").pvalue > 0.001


@given(st.text("0123456789abcdef", min_size=32, max_size=32), st.floats(0, 1), st.floats(0, 1))
def test_law_1_who_has_a_row_keeps_it_as_the_share_grows(one: str, first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert goes_to_canary(one, high) or not goes_to_canary(one, low)
    assert goes_to_canary(one, 1.0)
    assert not goes_to_canary(one, 0.0)


@pytest.mark.parametrize("independent", [False, True], ids=["outcomes depend", "outcome independent"])
def test_laws_2_and_4_rows_are_weighed_and_compared(serving_home: ServingHome, independent: bool) -> None:
    split = Split(serving_home, share=0, outcome_independent=independent)
    [(_, before)] = split.ask([ROW])
    assert (before.variant, before.weight, before.shadows) == ("stable", None, [])
    split.give(30)
    told = split.ask([ROW | {"wind": float(n)} for n in range(300)])
    counts = Counter(answer.variant for answer, _ in told)
    assert 50 <= counts["canary"] <= 140
    assert counts["canary"] + counts["stable"] == 300
    versions = {"stable": "late/1", "canary": "late/2"}
    inputs = [row.inputs for _, row in told]
    alone = {version: serving_home.models.load(version).predict(inputs).values for version in versions.values()}
    for place, (answer, row) in enumerate(told):
        assert (row.model, row.variant, row.value) == (answer.model, answer.variant, answer.value)
        assert (row.model, row.weight, row.status) == (versions[row.variant], 0.3, "ok")
        assert (row.variant == "canary") == goes_to_canary(row.id, 0.3)
        assert [shadow.variant for shadow in row.shadows] == (
            [{"stable": "canary", "canary": "stable"}[row.variant]] if independent else []
        )
        assert row.value == alone[row.model][place]
        for shadow in row.shadows:
            assert shadow.value == alone[shadow.model][place]
    split.give(100)
    told = split.ask([ROW] * 20)
    assert {(row.variant, row.weight, len(row.shadows)) for _, row in told} == {("canary", None, int(independent))}
    split.promote()
    told = split.ask([ROW] * 3)
    assert {(row.model, row.variant, row.weight, len(row.shadows)) for _, row in told} == {
        ("late/2", "stable", None, 0)
    }


def test_law_4_shadows_see_every_row_and_never_answer(serving_home: ServingHome) -> None:
    split = Split(serving_home, share=50, outcome_independent=False)
    shadow = split.deploy("forest", "other", tg.shadow())
    assert (shadow.variant, serving_home.endpoints.get("late").shadows) == ("shadow", (shadow,))
    assert split.deploy("forest", "other", tg.shadow()) == shadow
    told = split.ask([ROW] * 40)
    assert {answer.variant for answer, _ in told} == {"stable", "canary"}
    expected = serving_home.models.load("other/1").predict([ROW])
    assert expected.probabilities is not None
    for _, row in told:
        [seen] = row.shadows
        assert (seen.deployment, seen.model, seen.value) == (shadow.id, "other/1", expected.values[0])
        assert seen.probabilities == pytest.approx(expected.probabilities[0].tolist())
    serving_home.endpoints.withdraw("late", deployment=shadow.id)
    assert {len(row.shadows) for _, row in split.ask([ROW] * 5)} == {0}


@pytest.mark.parametrize("nan", [False, True], ids=["it raises", "it answers NaN"])
@pytest.mark.parametrize("independent", [False, True], ids=["outcomes depend", "outcome independent"])
def test_laws_3_and_5_a_canary_that_fails_does_no_harm(serving_home: ServingHome, independent: bool, nan: bool) -> None:
    split = Split(serving_home, share=50, outcome_independent=independent)
    with_faults(split, ["late/2"], nan=nan)
    rows = [ROW | {"distance": 2 * LONG if n % 3 == 1 else 300} for n in range(80)]
    told = split.ask(rows)
    for place, (answer, row) in enumerate(told):
        theirs, fails = goes_to_canary(row.id, 0.5), place % 3 == 1
        assert answer.value in ("late", "on time")
        assert answer.probabilities is not None
        assert row.weight == 0.5
        assert (row.variant, row.status) == (
            ("stable", FELL_BACK) if theirs and fails else ("canary", "ok") if theirs else ("stable", "ok")
        )
        if independent:
            [other] = row.shadows
            assert (other.value is None) == fails, "the rows that it came with are not lost with it"
    assert {row.status for _, row in told} == {"ok", FELL_BACK}


def test_law_3_a_shadow_that_fails_is_logged_with_no_value(serving_home: ServingHome) -> None:
    split = Split(serving_home, share=0, outcome_independent=False)
    split.deploy("forest", "other", tg.shadow())
    with_faults(split, ["other/1"])
    told = split.ask([ROW | {"distance": 2 * LONG}, ROW])
    assert [row.status for _, row in told] == ["ok", "ok"]
    assert [row.shadows[0].value is None for _, row in told] == [True, False]


def test_law_3_a_canary_that_does_not_load_leaves_everything_to_stable(serving_home: ServingHome) -> None:
    split = Split(serving_home, share=50, outcome_independent=True)
    version = serving_home.models.resolve("late/2")
    for digest in version.manifest.files.values():
        serving_home.objects.delete(digest)
    serving_home.engine = ServingEngine(
        wishes=serving_home.store,
        models=serving_home.models,
        log=serving_home.log,
        clock=serving_home.clock,
        machine=serving_home.machine,
    )
    assert {(row.variant, row.weight) for _, row in split.ask([ROW] * 20)} == {("stable", None)}
    assert serving_home.engine.routing.ready


@pytest.mark.parametrize("independent", [False, True], ids=["outcomes depend", "outcome independent"])
def test_what_a_row_holds_of_unknown_and_missing_is_counted_once(serving_home: ServingHome, independent: bool) -> None:
    split, meter = Split(serving_home, share=50, outcome_independent=independent), TrafficMeter()
    serving_home.engine.measure(meter)
    split.ask([ROW, ROW | {"carrier": "??"}, {"wind": 1.0, "low_visibility": True, "carrier": "!!"}] * 10)
    assert meter.surprises == {("late", "unknown", "carrier"): 20, ("late", "missing", "distance"): 10}


def test_what_is_wrong_with_a_row_is_said_by_its_place(serving_home: ServingHome) -> None:
    split = Split(serving_home, share=50, outcome_independent=False)
    before = serving_home.logged()
    for place in range(0, 12, 3):
        rows = [ROW] * 12
        rows[place] = ROW | {"wind": "strong"}
        with pytest.raises(Invalid, match=rf"rows\[{place}\]\.wind"):
            split.ask(rows)
    assert serving_home.logged() == before


def test_every_row_is_answered_by_the_version_that_it_names_while_shares_change(serving_home: ServingHome) -> None:
    split = Split(serving_home, share=10, outcome_independent=False)
    by_version = {name: serving_home.models.load(name).predict([ROW]) for name in ("late/1", "late/2")}
    shares = {
        name: said.probabilities[0].tolist() for name, said in by_version.items() if said.probabilities is not None
    }
    assert abs(shares["late/1"][0] - shares["late/2"][0]) > 0.001
    faults: list[object] = []
    seen: Counter[tuple[str, float | None]] = Counter()
    stop = threading.Event()

    def fly() -> None:
        while not stop.is_set():
            try:
                for answer, row in split.ask([ROW] * 5):
                    right = list((answer.probabilities or {}).values()) == pytest.approx(shares[answer.model], abs=1e-5)
                    if not right or (row.model, row.variant) != (answer.model, answer.variant):
                        faults.append((answer, row))
                    if row.weight is not None and (row.variant == "canary") != goes_to_canary(row.id, row.weight):
                        faults.append(("routed by another share than the one named", row))
                    seen[row.variant, row.weight] += 1
            except TidegateError as error:
                faults.append(error)

    flyers = [threading.Thread(target=fly) for _ in range(2)]
    for flyer in flyers:
        flyer.start()
    try:
        for share in (25, 50, 75, 100, 10, 60, 90):
            split.give(share)
            split.ask([ROW] * 10)
    finally:
        stop.set()
        for flyer in flyers:
            flyer.join()
    assert not faults
    assert len(seen) >= 3


class Known:
    """Looks the wind up: by origin, as of the row's instant."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def complete(self, service: str, rows: Sequence[Mapping[str, Any]], moments: Sequence[int]) -> list[dict[str, Any]]:
        self.calls.append((service, len(rows)))
        if service not in ("a" * 64, "b" * 64):
            raise NotFound(f"there is no feature service {service}")
        wind = {"EWR": 12.5, "JFK": 30.0}
        asked = ("distance", "low_visibility", "carrier")
        return [{name: row[name] for name in asked} | {"wind": wind.get(row["origin"])} for row in rows]


def served_by(home: ServingHome, recipe: str, service: str) -> str:
    """A version in production whose manifest names a feature service."""
    version = kept(recipe).log("fed", home.models, home.objects)
    manifest = msgspec.structs.replace(version.manifest, service=service)
    fed = home.models.register("fed", manifest)
    home.models.set_policy("fed", "production", policy=StagePolicy())
    home.models.promote("fed", fed.number, to="production")
    return fed.reference


def test_features_are_looked_up_once_and_logged_as_the_model_took_them(serving_home: ServingHome) -> None:
    home, known = serving_home, Known()
    home.engine = ServingEngine(
        wishes=home.store, models=home.models, log=home.log, clock=home.clock, machine=home.machine, features=known
    )
    home.endpoints.deploy("fed", served_by(home, "linear, text", "a" * 64))
    asked = {"distance": 700, "low_visibility": False, "carrier": "c01", "origin": "JFK"}
    [answer] = home.engine.predict("fed", [asked])
    assert home.reader.get(answer.id).inputs == asked | {"wind": 30.0}
    assert known.calls == [("a" * 64, 1)], "the warm-up looks nothing up"
    home.endpoints.deploy("fed", served_by(home, "boosting, text", "a" * 64), strategy=tg.shadow())
    home.endpoints.deploy("fed", served_by(home, "forest", "b" * 64), strategy=tg.shadow())
    known.calls.clear()
    answers = home.engine.predict("fed", [asked, asked | {"origin": "EWR"}, asked | {"origin": "nowhere"}])
    assert known.calls == [("a" * 64, 3), ("b" * 64, 3)], "once a service and request"
    logged = [home.reader.get(one.id) for one in answers]
    assert [row.inputs["wind"] for row in logged] == [30.0, 12.5, None]
    taken = [{name: value for name, value in row.inputs.items() if name != "origin"} for row in logged]
    expected = home.models.load("fed/2").predict(taken)
    assert [answer.value for answer in answers] == list(expected.values)
    assert [len(row.shadows) for row in logged] == [2, 2, 2]


def test_without_a_feature_store_it_says_so(serving_home: ServingHome) -> None:
    serving_home.endpoints.deploy("fed", served_by(serving_home, "linear, text", "a" * 64))
    with pytest.raises(Unavailable, match=r"fed/2 takes features that are looked up.*no feature store"):
        serving_home.engine.predict("fed", [ROW])
    assert serving_home.logged() == 0
