"""The law of `Follower`: every record exactly once, wherever the steps are cut and whatever is sealed meanwhile."""

import itertools
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.predictions.logged_home import LoggedHome
from tidegate.predictions.records import LABELS, PREDICTIONS, Mark

READERS = range(2)
"""So many follow through the same follower."""

acts = st.lists(
    st.tuples(st.sampled_from(["predict", "label", "both", "roll", "seal", "follow", "restart"]), st.integers(1, 9)),
    max_size=30,
)


@settings(max_examples=30)
@given(acts)
def test_every_record_is_followed_once(new_catalog: Callable[[], str], things: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        home = LoggedHome(Path(folder), new_catalog())
        try:
            _follow(home, things)
        finally:
            home.close()


def _follow(home: LoggedHome, things: list[tuple[str, int]]) -> None:
    logged: dict[str, list[str]] = {PREDICTIONS: [], LABELS: []}
    seen: list[dict[str, list[str]]] = [{PREDICTIONS: [], LABELS: []} for _ in READERS]
    columns = {PREDICTIONS: "id", LABELS: "prediction_id"}
    followers = {topic: home.follower(topic) for topic in logged}
    marks = [{topic: Mark() for topic in logged} for _ in READERS]

    def follow(topic: str, limit: int, reader: int) -> bool:
        news = followers[topic].after(marks[reader][topic], limit)
        assert news.frame.height <= limit
        marks[reader][topic] = news.mark
        seen[reader][topic] += news.frame[columns[topic]].to_list()
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
            follow(PREDICTIONS if count % 2 else LABELS, count, count // 2 % len(READERS))
    for reader, topic in itertools.product(READERS, logged):
        while not follow(topic, 5, reader):
            pass
        assert sorted(seen[reader][topic]) == sorted(logged[topic])
    home.seal()
    for reader, topic in itertools.product(READERS, logged):
        assert follow(topic, 5, reader)
        assert marks[reader][topic].numbers == {}
        assert len(seen[reader][topic]) == len(logged[topic])
