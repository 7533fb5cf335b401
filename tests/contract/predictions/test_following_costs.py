"""What following the log costs: it grows with the news, never with what was read before."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.predictions.logged_home import LoggedHome
from tidegate.predictions.records import LABELS, PREDICTIONS, Mark
from tidegate.storage.journal import reader
from tidegate.storage.journal.bookmarks import APART
from tidegate.storage.journal.frames import Frame, read_frames

HISTORY = 5_000
ROW = 200
"""A record has at least so many bytes."""

AGAIN = 2 * APART // ROW
"""So many records may be read once more where somebody goes back."""


class Read:
    """How many records were read from files."""

    def __init__(self) -> None:
        self.frames = 0

    def counted(self, fd: int, seed: int, topics: dict[int, str], offset: int = 0) -> Iterator[Frame]:
        for frame in read_frames(fd, seed, topics, offset):
            self.frames += 1
            yield frame

    def since(self) -> int:
        """Records read since this was asked last."""
        frames, self.frames = self.frames, 0
        return frames


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    found = Read()
    monkeypatch.setattr(reader, "read_frames", found.counted)
    return found


@pytest.fixture
def home(tmp_path: Path) -> Iterator[LoggedHome]:
    made = LoggedHome(tmp_path / "home")
    made.predict(*(made.row() for _ in range(HISTORY)))
    assert all(path.stat().st_size > HISTORY * ROW for path in made.journal.glob("*.seg"))
    yield made
    made.close()


def test_what_was_read_is_not_read_again(home: LoggedHome, read: Read) -> None:
    follower, mark = home.follower(PREDICTIONS), Mark()
    mark = follower.after(mark, 2 * HISTORY).mark
    assert read.since() == HISTORY  # once, after a restart
    assert follower.after(mark, 2 * HISTORY).frame.is_empty()
    assert read.since() == 0
    for _ in range(5):
        home.predict(*(home.row() for _ in range(10)))
        news = follower.after(mark, HISTORY)
        mark = news.mark
        assert news.frame.height == 10
        assert read.since() <= 12


def test_looking_ahead_costs_no_history_when_somebody_goes_back(home: LoggedHome, read: Read) -> None:
    follower = home.follower(PREDICTIONS)
    mark = follower.after(Mark(), 2 * HISTORY).mark
    read.since()
    for step in range(1, 6):
        home.predict(*(home.row() for _ in range(10)))
        assert follower.after(mark, HISTORY).frame.height == 10 * step  # and the mark stays where it was
        assert read.since() <= 10 * step + AGAIN
    assert follower.after(mark, HISTORY).mark != mark


def test_reading_in_pieces_costs_each_record_once(home: LoggedHome, read: Read) -> None:
    follower, mark, pieces = home.follower(PREDICTIONS), Mark(), 0
    while not (news := follower.after(mark, 100)).exhausted:
        mark, pieces = news.mark, pieces + 1
    assert pieces == HISTORY // 100
    assert read.since() <= HISTORY + 2 * pieces + 2


def test_a_topic_without_records_costs_the_other_ones_records_once(home: LoggedHome, read: Read) -> None:
    follower, mark = home.follower(LABELS), Mark()
    mark = follower.after(mark, 10).mark
    assert read.since() == HISTORY
    for _ in range(3):
        home.predict(home.row())
        mark = follower.after(mark, 10).mark
        assert read.since() <= 3
    label = home.label(home.log.ids.new(), "late")
    assert follower.after(mark, 10).frame["prediction_id"].to_list() == [label.prediction_id]
    assert read.since() <= 3


def test_who_comes_from_the_same_mark_reads_nothing_again(home: LoggedHome, read: Read) -> None:
    follower = home.follower(PREDICTIONS)
    mark = follower.after(Mark(), 2 * HISTORY).mark
    home.predict(*(home.row() for _ in range(10)))
    first = follower.after(mark, HISTORY)
    read.since()
    assert follower.after(first.mark, HISTORY).frame.is_empty()
    again = follower.after(mark, HISTORY)
    assert read.since() == 0
    assert again.frame.equals(first.frame)
    assert (again.mark, again.exhausted) == (first.mark, True)
    part = follower.after(mark, 4)  # who wants less gets less
    assert (part.frame.height, part.exhausted) == (4, False)
    home.predict(home.row())
    assert follower.after(mark, HISTORY).frame.height == 11


def test_who_lags_behind_reads_only_what_nobody_has_read(home: LoggedHome, read: Read) -> None:
    follower = home.follower(PREDICTIONS)
    first = follower.after(Mark(), 2 * HISTORY).mark
    home.predict(*(home.row() for _ in range(10)))
    second = follower.after(first, HISTORY)
    home.predict(*(home.row() for _ in range(10)))
    read.since()
    third = follower.after(second.mark, HISTORY)
    assert read.since() <= 12
    home.predict(home.row())
    late = follower.after(first, HISTORY)
    assert read.since() <= 3
    assert late.frame[:20].equals(second.frame.vstack(third.frame))
    assert late.frame.height == 21
    assert follower.skip(first) == follower.skip(third.mark) == late.mark
    assert read.since() == 0


def test_going_back_to_any_record_costs_little(home: LoggedHome, read: Read) -> None:
    follower, marks = home.follower(PREDICTIONS), [Mark()]
    while not (news := follower.after(marks[-1], 500)).exhausted:
        marks.append(news.mark)
    read.since()
    for place, mark in enumerate(reversed(marks[1:])):
        assert follower.after(mark, 10).frame.height == min(10, HISTORY - 500 * (len(marks) - 1 - place))
        assert read.since() <= 10 + AGAIN


def test_controllers_that_find_nothing_new_read_nothing(home: LoggedHome, read: Read) -> None:
    quality = home.controller()
    while quality.step() == 0.0:
        pass
    read.since()
    for _ in range(3):
        assert quality.step() > 0.0
        assert quality.uncounted(10).every
    assert read.since() == 0
    home.predict(home.row())
    assert quality.uncounted(10).predicted.len() == 1  # somebody looks ahead
    read.since()
    quality.step()
    assert read.since() <= 2 * (AGAIN + 2)
