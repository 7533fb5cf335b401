"""Counts and latencies of endpoints, added by many threads."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from tidegate.endpoints.meter import BUCKETS, TrafficMeter


@given(st.lists(st.floats(0, 10)))
def test_every_request_falls_into_one_bucket(seconds: list[float]) -> None:
    meter = TrafficMeter()
    for one in seconds:
        meter.observe("late", "predict", "ok", one)
    traffic = meter.traffic()
    if not seconds:
        assert traffic == []
        return
    [counted] = traffic
    assert counted.requests == len(seconds) == sum(counted.buckets)
    bounds = [0.0, *BUCKETS, float("inf")]
    for index, count in enumerate(counted.buckets):
        low = -1.0 if index == 0 else bounds[index]
        assert count == sum(low < one <= bounds[index + 1] for one in seconds)


def test_threads_lose_no_count() -> None:
    meter = TrafficMeter()

    def observe() -> None:
        for _ in range(2_000):
            meter.observe("late", "predict", "ok", 0.001)
            meter.observe("late", "labels", "invalid", 0.1)

    threads = [threading.Thread(target=observe) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(one.action, one.code, one.requests) for one in meter.traffic()] == [
        ("labels", "invalid", 8_000),
        ("predict", "ok", 8_000),
    ]
