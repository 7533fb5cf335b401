"""`kill -9` of a process that logs: what was acknowledged is there once and unchanged, before and after recovery."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.contract.predictions.logged_home import LoggedHome


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path) -> None:
    module = "tests.integration.predictions.logging_process"
    acked: list[list[str]] = []
    for count in (40, 400):
        with subprocess.Popen(
            [sys.executable, "-m", module, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            acked += [child.stdout.readline().split(maxsplit=2) for _ in range(count)]
            child.kill()
            acked += [line.split(maxsplit=2) for line in child.stdout if line.endswith("\n")]
    predictions = {line[1] for line in acked if line[0] == "prediction"}
    labels = {line[1]: line[2].strip() for line in acked if line[0] == "label"}
    assert len(predictions) > 200
    home = LoggedHome(tmp_path)
    try:
        check(home, predictions, labels)
        assert sum(len(result.sealed) for result in home.seal()) > 4
        check(home, predictions, labels)
        home.settle()
        known = sum(stored.window.predictions for stored in home.store.windows("late", None, 100, None))
        assert known == home.reader.count()[0].predictions
    finally:
        home.close()


def check(home: LoggedHome, predictions: set[str], labels: dict[str, str]) -> None:
    """Everything that was acknowledged is there once; what was not may be there, once."""
    found = home.reader.scan("late").select("id", "label").collect()
    times = Counter(found["id"])
    assert set(times.values()) == {1}
    assert predictions <= set(times)
    values = dict(found.iter_rows())
    assert {prediction: values[prediction] for prediction in labels} == {
        prediction: f'"{value}"' for prediction, value in labels.items()
    }
    for prediction in sorted(predictions)[::50]:
        assert home.reader.get(prediction).id == prediction
