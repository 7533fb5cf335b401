"""The law of `Follower`: every record exactly once, wherever the steps are cut and whatever is sealed meanwhile."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.predictions.logged_home import LoggedHome
from tidegate.predictions.records import LABELS, PREDICTIONS, Mark

acts = st.lists(
    st.tuples(st.sampled_from(["predict", "label", "both", "roll", "seal", "follow", "restart"]), st.integers(1, 9)),
    max_size=30,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(acts)
def test_every_record_is_followed_once(things: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        home = LoggedHome(Path(folder))
        try:
            _follow(home, things)
        finally:
            home.close()


def _follow(home: LoggedHome, things: list[tuple[str, int]]) -> None:
    logged: dict[str, list[str]] = {PREDICTIONS: [], LABELS: []}
    seen: dict[str, list[str]] = {PREDICTIONS: [], LABELS: []}
    columns = {PREDICTIONS: "id", LABELS: "prediction_id"}
    followers = {topic: home.follower(topic) for topic in logged}
    marks = {topic: Mark() for topic in logged}

    def follow(topic: str, limit: int) -> bool:
        news = followers[topic].after(marks[topic], limit, (columns[topic],))
        assert news.frame.height <= limit
        marks[topic] = news.mark
        seen[topic] += news.frame[columns[topic]].to_list()
        return news.exhausted

    for what, count in things:
        if what in ("predict", "both"):
            logged[PREDICTIONS] += home.predict(*(home.row() for _ in range(count)))
        if what in ("label", "both"):
            logged[LABELS].append(home.label(home.log.ids.new(), "late").prediction_id)
        if what == "roll":
            home.writer.roll()
        elif what == "seal":
            home.seal_one()
        elif what == "restart":
            followers = {topic: home.follower(topic) for topic in logged}
        elif what == "follow":
            follow(PREDICTIONS if count % 2 else LABELS, count)
    for topic in logged:
        while not follow(topic, 5):
            pass
    assert {topic: sorted(ids) for topic, ids in seen.items()} == {topic: sorted(ids) for topic, ids in logged.items()}
    home.seal()
    for topic in logged:
        assert follow(topic, 5)
        assert marks[topic].numbers == {}
        assert len(seen[topic]) == len(logged[topic])
