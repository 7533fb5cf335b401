"""A real server in a thread of this process: for notebooks and tests."""

import contextlib
import threading
from collections.abc import Iterator

import uvicorn

from tidegate.http.address import listen, wait_ready
from tidegate.http.server import application, configuration
from tidegate.kernel.errors import Unavailable
from tidegate.workspace import LocalWorkspace


@contextlib.contextmanager
def serving(workspace: LocalWorkspace) -> Iterator[str]:
    """The address of a real server over this workspace, in a thread, for as long as the block runs."""
    bound = listen("127.0.0.1", 0)
    bound.listen(128)
    server = uvicorn.Server(configuration(application(workspace)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    try:
        if not wait_ready(url, 20.0):
            raise Unavailable("the server did not become ready within 20 s")
        yield url
    finally:
        server.should_exit = True
        thread.join(20.0)
