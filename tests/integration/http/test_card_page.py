"""The card of a version over HTTP and in a real browser: drawn, loading nothing, in both schemes, at any width."""

import base64

import msgspec
import pytest
from playwright.sync_api import Browser

from tests.contract.models.late_models import manifest
from tests.integration.http.browsing import WIDTHS, Opened, Scheme
from tests.integration.http.served_home import ServedHome
from tidegate.kernel.schema import Column
from tidegate.models.records import Verdict
from tidegate.models.signature import Signature
from tidegate.runs.records import Metric

HOSTILE = "<script>document.title='run'</script><img src=http://127.0.0.1:9/x onerror=\"document.title='run'\">"
LONG = "a-very-long-name-" * 7


@pytest.fixture(scope="module")
def told(served: ServedHome) -> str:
    """The path of the card of a version of which much is told, some of it by enemies."""
    space = served.inside
    run = space.runs.create("late", params={LONG: LONG, "depth": 3})
    space.runs.log(run.id, metrics=(Metric(name="auc", value=0.7512345),))
    columns = (Column("wind", "number", True), Column(LONG, "category", False, (*"ABCDEFGHIJKL", LONG)))
    made = msgspec.structs.replace(
        manifest(space, "late arrival", b"1", run_id=run.id),
        signature=Signature(columns=columns, task="classification", classes=("late", "on time")),
    )
    space.models.register("late arrival", made, note=f"{HOSTILE}\n{LONG}", tags={"team": LONG})
    space.models.update("late arrival", note="Says whether a flight arrives late.\n\nOf no use for freight.")
    verdicts: tuple[Verdict, ...] = ("pass", "not_enough_data")
    for verdict in verdicts:
        reason = f"AUC 0.71 (0.68 to 0.74); {LONG}"
        space.models.attest("late arrival", 1, kind="gate:quality", verdict=verdict, reason=reason)
    return "/api/v1/models/late%20arrival/versions/1/card.html"


def test_a_card_is_served_to_be_drawn_and_nothing_else(served: ServedHome, told: str) -> None:
    reply = served.ask("GET", told)
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert reply.headers["x-content-type-options"] == "nosniff"
    policy = dict(part.strip().partition(" ")[::2] for part in reply.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert reply.body.decode() == served.inside.models.card("late arrival", 1, form="html")
    assert served.ask("HEAD", told).status == 200
    assert served.ask("POST", told, b"{}").status == 405


@pytest.mark.parametrize(
    ("path", "status"),
    [("late%20arrival/versions/9", 404), ("late%20arrival/versions/x", 404), ("nobody/versions/1", 404)],
)
def test_a_card_that_is_not_there_is_an_error_in_the_one_form(
    served: ServedHome, told: str, path: str, status: int
) -> None:
    reply = served.ask("GET", f"/api/v1/models/{path}/card.html")
    assert (reply.status, reply.json["code"]) == (status, "not_found")


def test_a_stranger_sees_no_card(served: ServedHome, told: str) -> None:
    wrong = base64.b64encode(b"anyone:tg_wrong").decode()
    assert served.ask("GET", told, headers={"authorization": f"Basic {wrong}"}).status == 401
    assert served.ask("GET", told, headers={"host": "evil.example"}).status == 403


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_card_is_readable_at_any_width_and_runs_nothing(
    browser: Browser, served: ServedHome, told: str, scheme: Scheme
) -> None:
    for width in WIDTHS:
        with Opened(browser, width, scheme) as opened:
            opened.page.goto(served.url + told)
            assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
            assert opened.page.title() == "late arrival/1"
            assert opened.asked == [served.url + told]
            assert not opened.complaints
            ground = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert ground == {"light": "rgb(244, 246, 247)", "dark": "rgb(14, 22, 26)"}[scheme]
            small = opened.page.evaluate(
                "Math.min(...[...document.querySelectorAll('td, p, th')].map(one => "
                "parseFloat(getComputedStyle(one).fontSize)))"
            )
            assert small >= 12
