"""The operations of monitors, in every way to reach a home."""

from typing import TYPE_CHECKING

import pytest

from tests.contract.predictions.logged_home import DAY, START
from tests.contract.predictions.test_predictions_service import LATE
from tidegate.kernel.clock import to_micros
from tidegate.kernel.errors import Invalid
from tidegate.predictions.records import LabelRow, PredictionRow

if TYPE_CHECKING:
    from tidegate.testing.workspaces import Home


def log_days(home: "Home", days: int) -> list[str]:
    """One prediction a day, labelled right but for the last."""
    log = home.inside.log
    rows = [
        PredictionRow(log.ids.new(), to_micros(START + day * DAY), LATE, b"{}", "late", [0.75, 0.25], 100 * day)
        for day in range(days)
    ]
    log.append(rows)
    log.append_labels([LabelRow(row.id, "late", "late", 1, 1) for row in rows[:-1]])
    return [row.id for row in rows]


def test_windows_come_newest_first_and_in_pages(home: "Home") -> None:
    monitors = home.workspace.monitors
    assert monitors.windows("late").items == []
    log_days(home, 5)
    home.inside.controller_loop.until_idle()
    pages, cursor = [], ""
    while True:
        page = monitors.windows("late", limit=2, cursor=cursor)
        pages.append([window.start for window in page.items])
        if page.next is None:
            break
        cursor = page.next
    assert pages == [[START + 4 * DAY, START + 3 * DAY], [START + 2 * DAY, START + DAY], [START]]
    recent = monitors.windows("late", since=START + 3 * DAY)
    assert [window.start for window in recent.items] == [START + 4 * DAY, START + 3 * DAY]
    with pytest.raises(Invalid, match="cursor"):
        monitors.windows("late", cursor="nonsense")
    with pytest.raises(Invalid, match="limit"):
        monitors.windows("late", limit=0)


def test_latest_shows_the_newest_and_the_newest_with_labels(home: "Home") -> None:
    log_days(home, 3)
    home.inside.log.append_labels([LabelRow("0" * 32, "late", "late", 1, 1)])
    home.inside.controller_loop.until_idle()
    latest = home.workspace.monitors.latest("late")
    assert [window.start for window in latest.newest] == [START + 2 * DAY]
    assert [window.start for window in latest.labelled] == [START + DAY]
    assert latest.labelled[0].model == "late-arrival/3"
    accuracy = latest.labelled[0].accuracy
    assert accuracy is not None
    assert (accuracy.value, accuracy.n, accuracy.high) == (1.0, 1, 1.0)
    assert latest.labelled[0].log_loss is not None
    assert latest.labelled[0].log_loss.low != latest.labelled[0].log_loss.low  # NaN, also over the wire
    assert (latest.orphans, latest.orphan_examples) == (1, ["0" * 32])


def test_set_window_computes_earlier_windows_anew(home: "Home") -> None:
    monitors = home.workspace.monitors
    log_days(home, 3)
    home.inside.controller_loop.until_idle()
    assert monitors.set_window("late", seconds=7 * 86_400).window_seconds == 7 * 86_400
    home.inside.controller_loop.until_idle()
    windows = monitors.windows("late").items
    assert [(window.predictions, window.labels) for window in windows] == [(3, 2)]
    assert windows[0].end - windows[0].start == 7 * DAY
    with pytest.raises(Invalid, match="outside"):
        monitors.set_window("late", seconds=1)
    with pytest.raises(Invalid):
        monitors.set_window(" no name", seconds=3600)
