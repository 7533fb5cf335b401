"""How many threads the numeric libraries of a process start: one where requests are answered, all where it trains."""

import os
from typing import Final

_POOLS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
_BEFORE: Final = "THREADS_BEFORE_TIDEGATE"

PATIENT: Final = {"OMP_WAIT_POLICY": "PASSIVE"}
"""OpenMP's threads sleep when they wait. They would spin, and on busy cores a training then takes 20 times as long."""


def one_thread() -> dict[str, str]:
    """What to set in the environment of a process that shares its cores with others of its kind.

    With OpenMP's default a model was seen 40 times slower. `all_threads` finds what was there before.
    """
    before = " ".join(f"{name}={os.environ[name]}" for name in _POOLS if name in os.environ)
    return {_BEFORE: os.environ.get(_BEFORE, before), **dict.fromkeys(_POOLS, "1")}


def all_threads() -> dict[str, str]:
    """The environment of a process that trains: without what `one_thread` set, and with what was there before."""
    environment = {**PATIENT, **os.environ}
    before = environment.pop(_BEFORE, None)
    if before is not None:
        environment = {name: value for name, value in environment.items() if name not in _POOLS}
        environment |= dict(each.split("=", 1) for each in before.split())
    return environment
