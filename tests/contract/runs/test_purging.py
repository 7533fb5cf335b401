"""Deleted long enough ago, a run goes for good, and with it what nothing else refers to: on both catalogs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.contract.models.kept_models import kept
from tests.postgres import catalog_on
from tidegate.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from tidegate.kernel.settings import Settings
from tidegate.lineage.records import Edge, Node
from tidegate.lineage.store import LineageGraph
from tidegate.models.records import DraftMetric
from tidegate.runs.controller import PurgeController
from tidegate.runs.records import Artifact, Metric
from tidegate.runs.series_store import series
from tidegate.storage.schema import metadata
from tidegate.workspace import LocalWorkspace, open_local

BEGIN = datetime(2013, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(params=["sqlite", "postgres"])
def space(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalWorkspace]:
    """A home whose time is told, which keeps what was deleted for 30 days, and has no time of grace."""
    catalog = catalog_on(request.param, request)
    home = Settings(home=str(tmp_path / "home"), catalog=catalog, sweep_grace_hours=0)
    with open_local(home, simulated_clock=True) as opened:
        opened.loop.tick(BEGIN)
        yield opened


def rows_of(space: LocalWorkspace, run_id: str) -> dict[str, int]:
    """How many rows each table of the room has for a run."""
    found: dict[str, int] = {}
    with space.storage.catalog.connect() as connection:
        for each in metadata.sorted_tables:
            key = "id" if each.name == "run" else "run_id"
            if each.info["room"] == "runs" and key in each.c:
                found[each.name] = len(connection.execute(each.select().where(each.c[key] == run_id)).all())
    return {name: count for name, count in found.items() if count}


def full(space: LocalWorkspace, experiment: str = "flights") -> str:
    """A run that has everything that a run can have."""
    version = space.data.commit("points", pl.DataFrame({"x": [1.0, 2.0]}))
    with space.runs.start(experiment, params={"depth": 3}, tags={"by": "hand"}, inputs=[version]) as run:
        run.log_metrics({f"m{number}": 1.0 for number in range(3)}, step=1)
        run.log_artifact("notes", experiment.encode())
    return run.id


def later(space: LocalWorkspace, days: float) -> None:
    """Let days pass; what happens by itself happens then."""
    space.loop.tick(space.storage.clock.now() + days * DAY)


def test_law_1_what_was_deleted_so_many_days_ago_is_purged(space: LocalWorkspace) -> None:
    gone, restored, active = (full(space, name) for name in ("gone", "restored", "active"))
    space.runs.delete(gone)
    space.runs.delete(restored)
    later(space, 29)
    assert space.runs.get(gone).deleted_at is not None
    space.runs.restore(restored)
    later(space, 1)
    with pytest.raises(NotFound):
        space.runs.get(gone)
    later(space, 100)
    assert {run.id for run in space.runs.list().items} == {restored, active}
    assert {one.name for one in space.experiments.list().items} == {"gone", "restored", "active"}


def test_law_1_an_experiment_goes_with_its_runs(space: LocalWorkspace) -> None:
    ids = [full(space) for _ in range(7)]
    experiment = space.experiments.set_tags("flights", tags={"a": "b"}).id
    space.experiments.delete("flights")
    later(space, 31)
    assert [rows_of(space, run_id) for run_id in ids] == [{}] * 7
    with pytest.raises(NotFound):
        space.experiments.get(experiment)
    again = space.experiments.create("flights")
    assert (again.id != experiment, again.tags) == (True, {})


def test_law_2_of_a_purged_run_nothing_is_left(space: LocalWorkspace) -> None:
    run_id = full(space)
    artifact = space.runs.get(run_id).artifacts[0].digest
    before = rows_of(space, run_id)
    assert before.keys() >= {"run", "run_param", "run_tag", "run_input", "run_artifact", "run_series"}
    space.runs.delete(run_id)
    later(space, 31)
    assert rows_of(space, run_id) == {}
    assert LineageGraph(space.storage.catalog).into(Node("run", run_id)) == []
    assert not space.objects.exists(artifact)
    assert space.data.frame("points").height == 2
    for gone in (
        lambda: space.runs.get(run_id),
        lambda: space.runs.restore(run_id),
        lambda: space.runs.history(run_id),
    ):
        with pytest.raises(NotFound, match="no run"):
            gone()


def test_law_2_a_draft_outlives_its_run_and_names_it_no_more(space: LocalWorkspace) -> None:
    gone, other = full(space), full(space)
    measured = tuple(DraftMetric(name="loss", value=1.0, run_id=run_id) for run_id in (gone, other))
    info = space.objects.put(b"weights")
    draft = space.drafts.create("flights", "late", run_id=gone)
    space.drafts.log(draft.id, metrics=measured, files=(Artifact("weights", info.digest, info.size),))
    for run_id in (gone, other):
        space.drafts.link(draft.id, run_id=run_id)
    space.runs.delete(gone)
    later(space, 31)
    left = space.drafts.get(draft.id)
    assert (left.run_id, [one.run_id for one in left.metrics]) == (None, [other])
    assert [use.run_id for use in space.drafts.of_runs((gone, other))] == [other]
    version = space.drafts.adopt("late", draft_id=draft.id)
    assert (version.run_id, version.manifest.files) == (None, {"weights": info.digest})


def test_law_2_a_run_of_many_metrics_is_forgotten_piece_by_piece(space: LocalWorkspace) -> None:
    run = space.runs.create("wide")
    for start in range(0, 900, 450):
        names = range(start, start + 450)
        space.runs.log(run.id, metrics=tuple(Metric(name=f"m{number}", value=1.0) for number in names))
    space.runs.delete(run.id)
    assert space.runs.purge(days=0).runs == (run.id,)
    rows = rows_of(space, run.id)
    assert rows == {"run_purged": 1, series.name: 700}
    with pytest.raises(NotFound):
        space.runs.get(run.id)
    later(space, 0)
    assert rows_of(space, run.id) == {}


def test_law_3_a_run_that_a_version_came_from_is_kept(space: LocalWorkspace) -> None:
    model = kept("linear, no nulls")
    space.experiments.create("flights")
    run_id = full(space)
    for content in model.contents:
        space.objects.put(content)
    version = space.models.register("m", replace(model.manifest, name="m", run_id=run_id))
    edge = Edge(Node("run", run_id), Node("model", version.digest), "run")
    space.storage.catalog.write(lambda: LineageGraph(space.storage.catalog).add(edge))
    other = full(space)
    space.experiments.delete("flights")
    assert space.runs.purge(days=0, dry_run=True).kept == 1
    later(space, 50)
    assert space.runs.get(run_id).params == {"depth": 3}
    assert rows_of(space, other) == {}
    assert space.experiments.get(space.runs.get(run_id).experiment_id).name == "flights"


def test_law_4_what_others_refer_to_is_released_and_kept(space: LocalWorkspace) -> None:
    version = space.data.commit("points", pl.DataFrame({"x": [1.0, 2.0]}))
    fragment = version.fragments[0].digest
    model = kept("linear, no nulls").log("m", space.models, space.objects)
    weights = next(iter(model.manifest.files.values()))
    first, second = space.runs.start("flights"), space.runs.start("flights")
    for name, digest in (("fragment", fragment), ("weights", weights)):
        first.log_artifact(name, space.objects.get(digest))
    shared, own = (first.log_artifact(name, name.encode()).digest for name in ("shared", "own"))
    second.log_artifact("x", b"shared")
    space.runs.delete(first.id)
    later(space, 31)
    assert [space.objects.exists(digest) for digest in (fragment, weights, shared, own)] == [True, True, True, False]
    assert space.data.frame("points").height == 2
    environment = space.runs.get(second.id).environment
    assert environment is not None
    assert space.objects.exists(environment.packages_digest)
    space.runs.delete(second.id)
    later(space, 31)
    assert not space.objects.exists(shared)
    assert not space.objects.exists(environment.packages_digest)


def test_law_4_an_artifact_that_is_replaced_or_deleted_is_released(space: LocalWorkspace) -> None:
    run = space.runs.start("flights")
    first, second = (run.log_artifact("notes", content).digest for content in (b"first", b"second"))
    plot = run.log_artifact("plots/roc.png", b"plot").digest
    later(space, 0)
    assert [space.objects.exists(digest) for digest in (first, second, plot)] == [False, True, True]
    space.runs.delete_artifacts(run.id, name="plots")
    later(space, 0)
    assert [space.objects.exists(digest) for digest in (first, second, plot)] == [False, True, False]
    with pytest.raises(NotFound, match="no artifact"):
        space.runs.delete_artifacts(run.id, name="plots")


def test_law_5_a_journal_does_not_bring_back_what_was_purged(space: LocalWorkspace, tmp_path: Path) -> None:
    with space.runs.start("flights", offline=tmp_path / "plane") as run:
        run.log_metrics({"loss": 1.0})
    space.runs.upload(tmp_path / "plane")
    space.runs.delete(run.id)
    later(space, 31)
    (told,) = space.runs.upload(tmp_path / "plane")
    assert "does not come back" in told.error
    with pytest.raises(NotFound):
        space.runs.get(run.id)


def test_what_was_purged_is_in_the_audit_and_told_as_facts(space: LocalWorkspace) -> None:
    run_id = full(space)
    experiment = space.runs.get(run_id).experiment_id
    space.experiments.delete("flights")
    later(space, 31)
    (row,) = [row for row in space.audit.list(limit=1000).items if row.operation == "runs.purge"]
    assert row.actor == "controller:purging"
    assert run_id in row.detail
    assert experiment in row.detail
    assert space.audit.verify().intact


def test_purging_by_hand_is_for_admins_and_can_be_tried_first(space: LocalWorkspace) -> None:
    ids = [full(space) for _ in range(3)]
    for run_id in ids:
        space.runs.delete(run_id)
    looked = space.runs.purge(days=0, limit=2, dry_run=True)
    assert (len(looked.runs), looked.more) == (2, True)
    assert all(rows_of(space, run_id) for run_id in ids)
    assert space.runs.purge().runs == ()
    done = space.runs.purge(days=0, limit=2)
    assert (done.runs, done.more) == (looked.runs, True)
    assert done.objects >= 2
    assert space.runs.purge(days=10**9).runs == ()
    with pytest.raises(Invalid, match="days"):
        space.runs.purge(days=-1)
    with pytest.raises(Invalid, match="limit"):
        space.runs.purge(limit=0)
    space.people.add("guest", role="maintainer")
    with open_local(replace(space.settings, actor="guest")) as mine, pytest.raises(Forbidden):
        mine.runs.purge(days=0)


def test_a_controller_without_its_lease_purges_nothing(space: LocalWorkspace) -> None:
    def refuse(_: object) -> None:
        raise Conflict("another holder has the lease")

    run_id = full(space)
    space.runs.delete(run_id)
    storage = space.storage
    storage.clock.advance(storage.clock.now() + 40 * DAY)  # type: ignore[attr-defined]
    controller = PurgeController(space._purger, storage.catalog, storage.audit)
    with pytest.raises(Conflict):
        controller.step(refuse)
    assert rows_of(space, run_id)
    assert controller.step() == 0.0
    assert rows_of(space, run_id) == {}


ACTIONS = st.one_of(
    st.tuples(st.just("start"), st.frozensets(st.integers(0, 3), max_size=3)),
    st.tuples(st.just("log"), st.integers(0, 5), st.integers(0, 3)),
    st.tuples(st.sampled_from(["delete", "restore"]), st.integers(0, 5)),
    st.tuples(st.sampled_from(["delete all", "restore all"])),
    st.tuples(st.just("wait"), st.sampled_from([5, 16, 31])),
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(ACTIONS, min_size=4, max_size=12))
def test_laws_1_and_4_hold_as_a_model_of_who_refers_to_what_says(
    space: LocalWorkspace, actions: list[tuple[object, ...]]
) -> None:
    Model(space).play(actions)


class Model:
    """Who refers to what: runs, when each was deleted, and the contents that each holds. Every look compares."""

    def __init__(self, space: LocalWorkspace) -> None:
        self.space = space
        self.mark = space.storage.ids.new()  # contents and experiment of their own: a home has many models
        self.group = space.experiments.create(self.mark).id
        self.runs: dict[str, dict[int, str]] = {}
        self.deleted: dict[str, datetime] = {}
        self.group_deleted: datetime | None = None
        self.purged: set[str] = set()
        self.put: dict[int, str] = {}

    def play(self, actions: list[tuple[object, ...]]) -> None:
        for name, *given_ in actions:
            getattr(self, str(name).replace(" ", "_"))(*given_)
            self.compare()
        self.wait(31)
        self.compare()

    def start(self, contents: frozenset[int]) -> None:
        if self.group not in self.purged and self.group_deleted is None:
            run = self.space.runs.create(self.group)
            self.runs[run.id] = {}
            for content in contents:
                self._log(run.id, content)

    def log(self, which: int, content: int) -> None:
        run_id = self._pick(which)
        if run_id is not None and run_id not in self.deleted and self.group_deleted is None:
            self._log(run_id, content)

    def _log(self, run_id: str, content: int) -> None:
        info = self.space.objects.put(f"{self.mark}/{content}".encode())
        self.space.runs.log(run_id, artifacts=(Artifact(f"a{content}", info.digest, info.size),))
        self.runs[run_id][content] = self.put[content] = info.digest

    def delete(self, which: int) -> None:
        run_id = self._pick(which)
        if run_id is not None:
            self.space.runs.delete(run_id)
            self.deleted[run_id] = self._now()

    def restore(self, which: int) -> None:
        run_id = self._pick(which)
        if run_id is not None:
            self.space.runs.restore(run_id)
            self.deleted.pop(run_id, None)

    def delete_all(self) -> None:
        if self.group not in self.purged and self.group_deleted is None:
            self.space.experiments.delete(self.group)
            self.group_deleted = self._now()

    def restore_all(self) -> None:
        if self.group not in self.purged:
            self.space.experiments.restore(self.group)
            self.group_deleted = None

    def wait(self, days: int) -> None:
        later(self.space, days)
        limit = self._now() - 30 * DAY
        group_due = self.group_deleted is not None and self.group_deleted <= limit
        for run_id in [one for one in self.runs if group_due or self.deleted.get(one, limit + DAY) <= limit]:
            self.purged.add(run_id)
            del self.runs[run_id]
        if group_due:
            self.purged.add(self.group)

    def compare(self) -> None:
        held = {digest for holds in self.runs.values() for digest in holds.values()}
        for digest in self.put.values():
            if digest in held:
                assert self.space.objects.exists(digest)
        for run_id, holds in self.runs.items():
            kept_ = {one.name: one.digest for one in self.space.runs.get(run_id).artifacts}
            assert kept_ == {f"a{content}": digest for content, digest in holds.items()}
        for one in self.purged - {self.group}:
            assert rows_of(self.space, one) == {}
        loose = {digest for digest in self.put.values() if self.space.objects.exists(digest)} - held
        assert loose == set()

    def _pick(self, which: int) -> str | None:
        return list(self.runs)[which] if which < len(self.runs) else None

    def _now(self) -> datetime:
        return self.space.storage.clock.now()


def test_the_bytes_of_a_deleted_artifact_go_unless_something_else_refers_to_them(space: LocalWorkspace) -> None:
    one, other = full(space, "one"), full(space, "other")
    (shared,) = (artifact.digest for artifact in space.runs.get(one).artifacts)
    own = str(space.objects.put(b"one's own").digest)
    for run_id in (one, other):
        space.runs.log(run_id, artifacts=(Artifact("plots/shared", shared, 3),), late=True)
    space.runs.log(one, artifacts=(Artifact("plots/own", own, 9),), late=True)
    assert [artifact.name for artifact in space.runs.delete_artifacts(one, name="plots").artifacts] == ["notes"]
    later(space, 1)
    assert not space.objects.exists(own)
    assert space.objects.exists(shared)
