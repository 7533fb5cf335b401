"""What the machine does while a run goes on, sampled beside it: under MLflow's names, so that its tools find them."""

import contextlib
import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator

from tidegate.kernel.errors import Conflict, Invalid, TidegateError, Unavailable
from tidegate.runs.records import Metric

log = logging.getLogger("tidegate.runs")

EVERY_SECONDS = 10.0
LEAST_SECONDS = 0.1

_GPU_SECONDS = 5.0
_STOP_SECONDS = 2.0
_MEBIBYTE = 1024 * 1024 / 1e6
"""Megabytes of a mebibyte, in which nvidia-smi counts."""

_GPU_FIELDS = "index,memory.used,memory.total,utilization.gpu,power.draw,power.limit"
_GPU_COMMAND = ("nvidia-smi", f"--query-gpu={_GPU_FIELDS}", "--format=csv,noheader,nounits")


class SystemSampler:
    """Samples the machine in a thread of its own, and hands each sample over as metrics ``system/…``.

    It harms no run: what fails is logged once and tried again at the next sample, and the thread ends with the run or
    with the process. Raises `Unavailable` without the extra, `Invalid` for a pause that is too short.
    """

    def __init__(self, every: float = EVERY_SECONDS) -> None:
        if not LEAST_SECONDS <= every < threading.TIMEOUT_MAX:
            raise Invalid(
                f"system_metrics={every!r}: say True, or the seconds between two samples, at least {LEAST_SECONDS}",
                field="system_metrics",
            )
        self._every = every
        self._machine = Machine()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, tell: Callable[[tuple[Metric, ...]], object]) -> None:
        """Hand every sample over, until `stop`."""
        self._thread = threading.Thread(target=self._run, args=(tell,), name="system-metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no further sample; one that is on its way is waited for a little."""
        self._done.set()
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)

    def _run(self, tell: Callable[[tuple[Metric, ...]], object]) -> None:
        step, lost = 0, False
        while not self._done.wait(self._every):
            try:
                measured = self._machine.sample()
                tell(tuple(Metric(name=f"system/{name}", value=value, step=step) for name, value in measured))
            except Conflict:  # the run has ended
                return
            except (TidegateError, OSError, ValueError) as error:
                if not lost and not self._done.is_set():
                    log.warning("system metrics: a sample was lost (%s); the run goes on, and so do the samples", error)
                lost = True
            step += 1


def sampler_for(system_metrics: bool | float) -> SystemSampler | None:
    """The sampler that is asked for: none, one of the usual pause, or of so many seconds."""
    if system_metrics is False:
        return None
    return SystemSampler() if system_metrics is True else SystemSampler(system_metrics)


class Machine:
    """Reads CPU, memory, disk and network of this machine, and its GPUs where nvidia-smi is there."""

    def __init__(self) -> None:
        try:
            import psutil
        except ImportError as error:
            raise Unavailable("system metrics need the extra: pip install 'tidegate[system]'") from error
        self._psutil = psutil
        self._gpus = shutil.which(_GPU_COMMAND[0]) is not None
        psutil.cpu_percent()  # the next call tells of the time since this one
        self._received, self._sent = self._network()

    def sample(self) -> list[tuple[str, float]]:
        """Names and values of one moment. Raises `OSError` where the system tells nothing."""
        try:
            return [*self._own(), *(read_gpus(self._ask_gpus()) if self._gpus else ())]
        except self._psutil.Error as error:
            raise OSError(str(error)) from error

    def _own(self) -> Iterator[tuple[str, float]]:
        memory, disk = self._psutil.virtual_memory(), self._psutil.disk_usage(os.sep)
        received, sent = self._network()
        yield "cpu_utilization_percentage", self._psutil.cpu_percent()
        yield "system_memory_usage_megabytes", memory.used / 1e6
        yield "system_memory_usage_percentage", 100.0 * memory.used / memory.total
        yield "disk_usage_percentage", disk.percent
        yield "disk_usage_megabytes", disk.used / 1e6
        yield "disk_available_megabytes", disk.free / 1e6
        yield "network_receive_megabytes", (received - self._received) / 1e6
        yield "network_transmit_megabytes", (sent - self._sent) / 1e6

    def _network(self) -> tuple[int, int]:
        counters = self._psutil.net_io_counters()  # None where there is no network
        return (counters.bytes_recv, counters.bytes_sent) if counters is not None else (0, 0)

    def _ask_gpus(self) -> str:
        """What nvidia-smi says; it is not asked again once it fails, or takes too long."""
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            asked = subprocess.run(
                _GPU_COMMAND, capture_output=True, timeout=_GPU_SECONDS, check=True, stdin=subprocess.DEVNULL
            )
            return asked.stdout.decode("utf-8", "replace")
        self._gpus = False
        return ""


def read_gpus(text: str) -> Iterator[tuple[str, float]]:
    """The metrics in nvidia-smi's lines; a figure that a card does not give is left out."""
    for line in text.splitlines():
        cells = [_number(cell) for cell in line.split(",")]
        if len(cells) != len(_GPU_FIELDS.split(",")) or cells[0] is None:
            continue
        index, (used, total, busy, draw, limit) = int(cells[0]), cells[1:]
        figures: Iterable[tuple[str, float | None]] = (
            ("memory_usage_megabytes", None if used is None else used * _MEBIBYTE),
            ("memory_usage_percentage", _share(used, total)),
            ("utilization_percentage", busy),
            ("power_usage_watts", draw),
            ("power_usage_percentage", _share(draw, limit)),
        )
        yield from ((f"gpu_{index}_{name}", value) for name, value in figures if value is not None)


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else 100.0 * part / whole


def _number(cell: str) -> float | None:
    """A figure; None for what nvidia-smi says where there is none, such as ``[N/A]``."""
    try:
        return float(cell)
    except ValueError:
        return None
