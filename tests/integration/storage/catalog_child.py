"""A process of its own for the catalog's tests: ``python -m …catalog_child ROLE FOLDER ADDRESS …``.

It says on its standard output what it was promised, line by line, until it is killed or its input is closed.
"""

import os
import sys
import threading
import time
from pathlib import Path

from tests.contract.storage.catalog_home import add_one, sequence
from tidegate.kernel.errors import Unavailable
from tidegate.storage.catalog import Catalog, open_catalog


def say(*words: object) -> None:
    """One line, in one write, so that a kill never cuts it."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def load(catalog: Catalog, writer: str, threads: int) -> None:
    """Write numbers without end; say each that was acknowledged, and each whose outcome is not known."""
    ended = threading.Event()

    def write(thread: int) -> None:
        mine, number = f"{writer}-{thread}", 0
        while not ended.is_set():
            number += 1

            def work(number: int = number) -> None:
                with catalog.connect() as connection:
                    connection.execute(sequence.insert(), {"writer": mine, "number": number})

            began = time.monotonic()
            try:
                catalog.write(work)
            except Unavailable as error:
                say("unknown" if "unknown" in error.message else "failed", mine, number)
            else:
                say("written", mine, number, f"{time.monotonic() - began:.3f}")

    workers = [threading.Thread(target=write, args=(thread,), daemon=True) for thread in range(threads)]
    for worker in workers:
        worker.start()
    sys.stdin.readline()
    ended.set()
    for worker in workers:
        worker.join(60)


def count(catalog: Catalog, writer: str) -> None:
    """Add one to the shared counter, and say so, until the input is closed; first wait for the word to begin."""
    say("ready", writer)
    sys.stdin.readline()
    ended = threading.Event()

    def listen() -> None:
        sys.stdin.readline()
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    while not ended.is_set():
        value = catalog.write(add_one(catalog, "shared"))
        say("counted", writer, value)


def create(address: str, folders: list[Path]) -> None:
    """Open each home when the word is given."""
    import tidegate.workspace  # noqa: F401 - a catalog is made with the tables that are known by then

    for folder in folders:
        say("ready")
        sys.stdin.readline()
        catalog = open_catalog(address, folder)
        catalog.write(lambda: None)
        catalog.close()
        say("opened")


def main() -> None:
    """Play the role."""
    role, folder, address, *rest = sys.argv[1:]
    if role == "create":
        create(address, [Path(folder), *map(Path, rest)])
        return
    catalog = open_catalog(address, Path(folder))
    if role == "count":
        count(catalog, rest[0])
    else:
        load(catalog, rest[0], int(rest[1]))
    catalog.close()


if __name__ == "__main__":
    main()
