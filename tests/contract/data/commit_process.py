"""Commits to a home until it is killed, and says each version once it is acknowledged."""

import sys

from tests.contract.data.seeded_flights import flights
from tidegate.workspace import open_workspace


def main() -> None:
    workspace = open_workspace(sys.argv[1])
    first = int(sys.argv[2])
    for seed in range(first, first + 10_000):
        version = workspace.data.commit("flights", flights(rows=200, seed=seed, month=1 + seed % 12))
        sys.stdout.write(f"{version.number} {version.digest} {seed}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
