"""The operations of the prediction log."""

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from tidegate.kernel.errors import Invalid
from tidegate.kernel.operation import Service, operation
from tidegate.predictions.records import EndpointCount, Prediction

if TYPE_CHECKING:
    import polars as pl


class PredictionSource(Protocol):
    """Where predictions are read; `predictions.reading` has the one there is."""

    def get(self, prediction_id: str) -> Prediction:
        """One prediction with its labels. Raises `NotFound`."""
        ...

    def count(self) -> list[EndpointCount]:
        """How much the log holds of each endpoint."""
        ...

    def scan(
        self, endpoint: str | None = None, *, since: datetime | None = None, until: datetime | None = None
    ) -> "pl.LazyFrame":
        """Predictions with the labels that hold."""
        ...


class Predictions(Service):
    """What was predicted, and the labels that arrived later."""

    room = "predictions"
    _reader: PredictionSource | None = None

    def __init__(self, *, reader: PredictionSource) -> None:
        self._reader = reader

    @operation("GET /predictions", role="viewer", audit="none")
    def count(self) -> list[EndpointCount]:
        """Count the predictions and labels of each endpoint.

        Reads the whole log once a process; for the traffic of late ask the monitors.
        """
        return self._local().count()

    @operation("GET /predictions/{prediction_id}", role="viewer", audit="none")
    def get(self, prediction_id: str) -> Prediction:
        """Show one prediction: what was asked, what was answered, and the labels that have arrived."""
        return self._local().get(prediction_id)

    def scan(
        self, endpoint: str | None = None, *, since: datetime | None = None, until: datetime | None = None
    ) -> "pl.LazyFrame":
        """Predictions as a lazy Polars frame, with the labels that hold, from `since` to before `until`.

        Columns: those of `predictions.codecs`, then `label`, `label_number`, `observed_at` and `received_at`, null
        without a label. Raises `Invalid` where the workspace is remote.
        """
        return self._local().scan(endpoint, since=since, until=until)

    def _local(self) -> PredictionSource:
        if self._reader is None:
            raise Invalid("predictions.scan reads the journal in place: open the home itself instead of its server")
        return self._reader
