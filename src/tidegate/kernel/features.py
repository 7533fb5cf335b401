"""Looking features up while predicting: what `endpoints` asks for and `features` answers."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class FeatureLookup(Protocol):
    """Completes the rows of a request with what the feature views know."""

    def complete(self, service: str, rows: Sequence[Mapping[str, Any]], moments: Sequence[int]) -> list[dict[str, Any]]:
        """The rows as the model takes them: its request features, and every other feature as of the row's instant.

        ``service`` is the digest of a feature service's version. ``rows`` hold request features and entity keys;
        ``moments`` are microseconds of business time, one a row. A feature that is not known then, or has expired, is
        null. Raises `Invalid` naming the row and the field, `NotFound` for a service that nobody applied.
        """
        ...
