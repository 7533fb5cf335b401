"""The real mlflow client finds a server that conforms to its own version."""

from collections.abc import Callable
from pathlib import Path

from tests.peers.peer import Peer
from tidegate.http.thread import serving
from tidegate.kernel.settings import Settings
from tidegate.workspace import open_local


def test_the_client_reads_version_and_health(peer: Callable[[str], Peer], tmp_path: Path) -> None:
    """With and without a token; `/version` names the version of the client that we conform to."""
    settings = Settings(home=str(tmp_path / "home"))
    with open_local(settings) as workspace, serving(workspace) as url:
        token = workspace.people.new_token("local").token
        for given in ("", token):
            found = peer("mlflow").run("driver.py", address=url, token=given)
            assert found["answers"] == {
                "/version": {"status": 200, "text": found["client"]},
                "/health": {"status": 200, "text": "OK"},
            }
        assert found["client"] == settings.mlflow_version


def test_the_version_is_a_setting(peer: Callable[[str], Peer], tmp_path: Path) -> None:
    settings = Settings(home=str(tmp_path / "home"), mlflow_version="3.18.0", auth="token")
    with open_local(settings) as workspace, serving(workspace) as url:
        answers = peer("mlflow").run("driver.py", address=url)["answers"]
    assert answers["/version"] == {"status": 200, "text": "3.18.0"}
