"""The catalog: small mutable rows, on SQLite or PostgreSQL, through one implementation.

Laws, each with a conformance test in ``tests/contract/storage``:

1. What `Catalog.write` returned from is committed; with ``durable=True`` it also survives a power failure.
2. What `Catalog.write` raised from has changed nothing, except `Unavailable` whose message says "unknown".
3. Works of one group share a transaction, but each stands in its own savepoint: one that raises takes
   nothing of the others with it.
4. Reads inside a work see what it wrote; reads outside see one committed snapshot.
5. Writers of several processes wait for each other in the order of the operating system's queue; none starves.
6. A write under a lease of an old term is refused.
7. A work that was committed is never run again, whatever the connection said.
8. Events and audit rows get positions in the order of their commits.
9. Within `Catalog.at_once` that yielded True the first write waits for nobody; whoever comes meanwhile waits, and
   is served after the block's first write, or after the block.
"""

from tidegate.storage.catalog.catalog import Catalog
from tidegate.storage.catalog.line import Fence
from tidegate.storage.catalog.opening import open_catalog
from tidegate.storage.catalog.prepared import Prepared, PreparedQueries, PreparedQuery

__all__ = ["Catalog", "Fence", "Prepared", "PreparedQueries", "PreparedQuery", "open_catalog"]
