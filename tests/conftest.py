"""Settings of the whole suite. Fixtures stand beside the tests that need them."""

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

from tests.peers.peer import Peer, find_newest, find_peer
from tidegate.loop.supervisor import settle
from tidegate.loop.threads import one_thread

# A developer's own home or server must not be found by a test.
for name in [name for name in os.environ if name.startswith("TIDEGATE_")]:
    del os.environ[name]


# One thread a pool, as `tidegate serve` has it: the workers of the suite share the processors among themselves.
os.environ.update(one_thread())

# How long anything takes decides no test, on a busy machine least of all.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--newest`: peers in the newest versions that install (`make test-peers-newest`), not in those of their locks."""
    parser.addoption("--newest", action="store_true", help="foreign clients as tools/peers.py newest installed them")


@pytest.fixture(scope="session")
def peer(request: pytest.FixtureRequest) -> Callable[[str], Peer]:
    """Opens a foreign client or server by its name: `peer("tritonclient").run("driver.py", …)`."""
    return find_newest if request.config.getoption("newest") else find_peer


def pytest_collection_finish() -> None:
    """What has been loaded by now stays to the end: as in a server, the garbage collector need not look through it."""
    settle()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """After a run of the whole suite, print the two numbers that show how the architecture holds."""
    if terminalreporter.config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    try:
        from tests.house.census import mentions, places
        from tidegate.workspace import SERVICES
    except ImportError:  # tests/house fails on it, and says why
        return
    operations = [one for service in SERVICES.values() for one in service.operations()]
    touched = sum(len(places(one)) for one in operations)
    found = mentions()
    terminalreporter.section("house")
    terminalreporter.write_line(
        f"places per operation: {touched / max(1, len(operations)):.2f} ({len(operations)} operations)"
    )
    terminalreporter.write_line(f"mock mentions per test: {found.per_test:.3f} ({found.mocks} in {found.tests} tests)")
