"""A process that writes to an online store until it is killed: each update sets two keys to the same number."""

import sys
from pathlib import Path

from tidegate.features.online_sqlite import SqliteOnlineStore

PAIR = (("view", "left"), ("view", "right"))


def main() -> None:
    """Write ever greater numbers, telling each one when it is kept."""
    store = SqliteOnlineStore(Path(sys.argv[1]))
    for number in range(1_000_000):
        store.update(PAIR, lambda _key, _old, number=number: str(number).encode())  # type: ignore[misc]
        print(number, flush=True)


if __name__ == "__main__":
    main()
