"""The status page in a real browser: what it says in each state, both schemes, any width, from the server alone."""

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.contract.endpoints.serving_home import ROW
from tests.integration.http.browsing import WIDTHS, Opened, Scheme
from tests.integration.http.served_home import ServedHome, log_version
from tests.told_status import BUSY, NOW, canary, decision, endpoint, episode, incident, measures, outcome
from tidegate.endpoints.records import OutcomeIn
from tidegate.http.status_chart import BAR_HEIGHT, LINE_HEIGHT, WIDTH, chart_of
from tidegate.http.status_page import page as render
from tidegate.http.thread import serving
from tidegate.kernel.settings import Settings
from tidegate.loop.records import EndpointStatus, Status
from tidegate.workspace import open_local

LONG = "a-very-long-name-" * 7
HOSTILE = "<script>alert(1)</script>"
STATES: dict[str, tuple[EndpointStatus, ...]] = {
    "nothing": (),
    "one": (endpoint("late-arrival", "good"),),
    "alone": (endpoint("delay", "attention", unknown_categories=1, missing_features=1, reason="labels are strange"),),
    "mixed": (
        endpoint("delay", "attention", history=measures(30, 0.3), days=30, reason="the AUC is worse than chance"),
        endpoint("quiet", "waiting", days=0, predictions=0, latency_p50_ms=None, latency_p95_ms=None, window_seconds=0),
        endpoint("unlabelled", "waiting", days=2),
        endpoint("gap", "good", history=measures(60, gap=30)),
        endpoint("policy", "good", unknown_categories=12, missing_features=1_204_331),
        endpoint("much", "good", predictions=10**10, labels=10**10, latency_p50_ms=12_345.6, latency_p95_ms=123_456.7),
        endpoint("hourly", "good", window_seconds=3600 * 4),
    ),
    "long": (
        endpoint(LONG[:128], "attention", deployed_by="somebody-" * 12, reason=f"because of {LONG}"),
        endpoint(
            "everything",
            "attention",
            incidents=(incident(LONG * 20, LONG * 20, acknowledged_by=LONG, state="acknowledged"),),
            canary=canary(LONG, 7, steps=tuple(float(step) for step in range(2, 101, 2)), waits_for=LONG * 20, by=LONG),
            shadows=(LONG, LONG),
            last_rollout=outcome("inconclusive", LONG * 20, version=LONG),
            episodes=tuple(episode(f"{LONG}{number}", summary=LONG * 20) for number in range(100)),
            retraining=decision(LONG * 20),
        ),
        endpoint("not-a-number", "good", latency_p50_ms=float("nan"), latency_p95_ms=float("inf")),
    ),
}


STATES["busy"] = (
    BUSY,
    endpoint("fresh", "good", canary=canary("fresh/2", 0, rows=0, labels=0, waits_for="its rollout has not begun")),
)
ELSEWHERE = {
    "nothing": (incident("nightly: the pipeline failed", endpoint=None, severity="warning"),),
    "busy": tuple(incident(f"nightly {number}: the pipeline failed", endpoint=None) for number in range(4)),
    "long": (incident(LONG * 20, endpoint=LONG),),
}


def shown(state: str, home: str = "/srv/flights/.tidegate", *, elsewhere: bool = True) -> str:
    told = ELSEWHERE.get(state, ()) if elsewhere else ()
    return render(Status(now=NOW, simulated_clock=True, endpoints=STATES[state], incidents=told), home)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_no_state_overflows_at_any_width(browser: Browser, state: str, scheme: Scheme) -> None:
    with Opened(browser, WIDTHS[0], scheme) as opened:
        opened.page.set_content(shown(state))
        opened.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        for width in WIDTHS:
            opened.page.set_viewport_size({"width": width, "height": 844})
            assert opened.page.evaluate("document.documentElement.scrollWidth") <= width, (state, width)
            cut = opened.page.evaluate(CUT_OFF)
            assert cut == [], (state, width, cut)


CUT_OFF = """() => [...document.querySelectorAll('h1,h2,h3,p,dt,dd,li,span,figcaption,code,summary')]
    .filter(e => e.getClientRects().length)
    .map(e => [e.getBoundingClientRect(), e.closest('.card, header, footer, main').getBoundingClientRect(), e])
    .filter(([own, card]) => own.right > card.right + 1 || own.left < card.left - 1)
    .map(([, , e]) => e.textContent.slice(0, 60))"""


def test_the_states_say_what_they_are(browser: Browser) -> None:
    with Opened(browser, 1100, "light") as opened:
        page = opened.page
        page.set_content(shown("nothing", elsewhere=False))
        assert page.locator(".summary").inner_text() == "Nothing is deployed yet."
        assert "tidegate demo" in page.locator(".empty").inner_text()
        page.set_content(shown("one"))
        assert page.title() == "Tidegate"
        assert page.locator(".summary").inner_text() == "One endpoint, doing well."
        page.set_content(shown("alone"))
        assert page.locator(".summary").inner_text() == "One endpoint, and it needs attention."
        assert "1 unknown category and 1 missing feature, served" in page.locator(".card").inner_text()
        chart, hint = page.locator("figure").last.bounding_box(), page.locator(".hint").last.bounding_box()
        assert chart is not None
        assert hint is not None
        assert hint["y"] - chart["y"] - chart["height"] >= 8
        page.set_content(shown("mixed"))
        assert page.title() == "(1) Tidegate"
        assert page.locator(".summary").inner_text() == "1 of 7 endpoints needs attention."
        assert page.locator("h1").all_inner_texts() == ["Tidegate"]
        names = page.locator("h2").all_inner_texts()
        assert names == [each.endpoint for each in STATES["mixed"]]
        cards = {name: page.locator(".card").nth(index).inner_text() for index, name in enumerate(names)}
        assert "needs attention" in cards["delay"]
        assert "The AUC is worse than chance." in cards["delay"]
        assert "dashed: chance" in cards["delay"]
        assert "tidegate predict quiet" in cards["quiet"]
        assert "POST /api/v1/endpoints/unlabelled/labels" in cards["unlabelled"]
        assert "12 unknown categories and 1\u202f204\u202f331 missing features" in cards["policy"]
        assert "10\u202f000\u202f000\u202f000" in cards["much"]
        assert "12\u202f346 ms" in cards["much"]
        assert "by 4 hours" in cards["hourly"]
        page.set_content(shown("long"))
        assert "nan" not in page.locator("main").inner_text().lower().replace("not-a-number", "")


def test_what_goes_on_is_told_where_it_belongs(browser: Browser) -> None:
    with Opened(browser, 390, "light") as opened:
        page = opened.page
        page.set_content(shown("busy"))
        assert page.title() == "(5) Tidegate"
        assert (
            page.locator(".summary").inner_text() == "1 of 2 endpoints needs attention. 4 incidents are open elsewhere."
        )
        aside = page.get_by_label("incidents that are of no endpoint")
        assert aside.locator("h3").first.inner_text() == "nightly 0: the pipeline failed"
        card = page.locator(".card", has=page.locator("h2", has_text="delay"))
        titles = card.locator(".incidents h3")
        assert titles.all_inner_texts()[:2] == ["wind_speed_mph is broken", "delay/2 was rolled back"]
        first, second = (card.locator(".incidents li").nth(place) for place in range(2))
        assert "critical · since 30 May 2013 00:00 · not acknowledged yet" in first.inner_text()
        assert first.locator("code").all_inner_texts() == ["tidegate monitors diagnosis delay"]
        assert "acknowledged by ada" in second.inner_text()
        assert not titles.nth(6).is_visible()
        card.locator("summary", has_text="and 4 more").click()
        assert titles.nth(6).is_visible()

        steps = card.get_by_label("steps of the canary").locator("li")
        assert steps.all_inner_texts() == ["5 %", "25 %", "50 %", "100 %"]
        assert [each.get_attribute("class") for each in steps.all()] == ["done", "now", None, None]
        assert card.locator("[aria-current=step]").inner_text() == "25 %"
        trial = card.get_by_label("canary", exact=True).inner_text()
        assert "delay/4 answers 25 % as a canary" in trial
        assert (
            "1\u202f204 rows scored, 860 of them with their label. At 25 % it waits for 1\u202f120 more rows." in trial
        )

        chips = card.locator(".chips li")
        assert chips.first.inner_text() == "wind_speed_mph since 29 May · incident"
        assert chips.nth(1).inner_text() == "column_0 since 29 May"
        assert [each.is_visible() for each in chips.all()] == [True] * 6 + [False] * 5
        card.locator("summary", has_text="and 5 more").click()
        assert chips.last.inner_text() == "p95 latency since 27 Apr 2012"
        told = card.locator(".told").inner_text()
        assert "delay/2 rolled back on 12 May 2013, after 12\u202f345 rows and 3 days: harm is shown" in told
        assert "delay/1, delay/3" in told
        assert "Held back on 31 May 2013: wind_speed_mph is broken" in told
        fresh = page.locator(".card", has=page.locator("h2", has_text="fresh"))
        assert "fresh/2 answers 0 % as a canary" in fresh.inner_text()
        assert fresh.locator("[aria-current]").count() == 0
        assert fresh.locator(".told").count() == 0


def test_names_are_text_and_nothing_else(browser: Browser) -> None:
    everything = endpoint(
        HOSTILE,
        "attention",
        reason=HOSTILE,
        deployed_by=HOSTILE,
        model=HOSTILE,
        incidents=(incident(HOSTILE, f"run 'tidegate {HOSTILE}' now", state="acknowledged", acknowledged_by=HOSTILE),),
        canary=canary(HOSTILE, waits_for=HOSTILE, by=HOSTILE),
        shadows=(HOSTILE,),
        last_rollout=outcome("promoted", HOSTILE, version=HOSTILE),
        episodes=(episode(HOSTILE, summary=f'"{HOSTILE}'),),
        retraining=decision(HOSTILE, fired=True),
    )
    apart = (incident(HOSTILE, HOSTILE, endpoint=None),)
    status = Status(now=NOW, simulated_clock=False, endpoints=(everything,), incidents=apart)
    with Opened(browser, 390, "light") as opened:
        opened.page.set_content(render(status, HOSTILE))
        assert opened.page.locator("script").count() == 0
        assert opened.page.locator("h2").inner_text() == HOSTILE
        assert opened.page.locator("h3").all_inner_texts()[:2] == [HOSTILE, HOSTILE]
        assert opened.page.locator(".incidents code").inner_text() == f"tidegate {HOSTILE}"
        assert opened.page.locator(".chips li").get_attribute("title") == f'"{HOSTILE}'
        assert opened.page.locator("body").inner_text().count(HOSTILE) >= 14


COLOURS = """() => [...document.querySelectorAll('h1,h2,h3,p,dt,dd,li,span,b,a,figcaption,code,small,pre,time,summary')]
    .filter(e => e.getClientRects().length && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => {
        let ground = 'rgba(0, 0, 0, 0)';
        for (let at = e; at && ground === 'rgba(0, 0, 0, 0)'; at = at.parentElement)
            ground = getComputedStyle(at).backgroundColor;
        return [e.textContent.trim().slice(0, 40), getComputedStyle(e).color, ground];
    })"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", ["nothing", "mixed", "busy"])
def test_every_text_can_be_read(browser: Browser, state: str, scheme: Scheme) -> None:
    """A contrast of 4.5 to 1 at least (WCAG AA)."""
    with Opened(browser, 1100, scheme) as opened:
        opened.page.set_content(shown(state))
        texts = opened.page.evaluate(COLOURS)
    assert len(texts) > 8
    poor = [(text, round(ratio, 2)) for text, ink, ground in texts if (ratio := contrast(ink, ground)) < 4.5]
    assert poor == []


def contrast(ink: str, ground: str) -> float:
    lighter, darker = sorted((luminance(ink), luminance(ground)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    red, green, blue, *alpha = (float(part) for part in re.findall(r"[\d.]+", colour))
    assert alpha in ([], [1.0]), colour
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (red / 255, green / 255, blue / 255)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_charts_stay_in_their_boxes_and_leave_gaps() -> None:
    for endpoints in STATES.values():
        for each in endpoints:
            drawn = chart_of(each)
            assert len(drawn.bars) == (len(each.volume) if any(each.volume) else 0)
            for one, following in pairwise(drawn.bars):
                assert one.x + one.width <= following.x
            for bar in drawn.bars:
                assert -0.01 <= bar.x <= bar.x + bar.width <= WIDTH + 0.01
                assert 0 <= bar.y <= bar.y + bar.height <= BAR_HEIGHT + 0.01
            if drawn.line is not None:
                points = " ".join(drawn.line.lines + drawn.line.bands).split()
                for x, y in (map(float, point.split(",")) for point in points):
                    assert 0 <= x <= WIDTH
                    assert 0 <= y <= LINE_HEIGHT
    gap = next(each for each in STATES["mixed"] if each.endpoint == "gap")
    line = chart_of(gap).line
    assert line is not None
    assert [len(points.split()) for points in line.lines] == [30, 29]


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHome]:
    """A simulated home with an endpoint that was asked and told on twelve days, and one that waits for labels."""
    folder = tmp_path_factory.mktemp("status")
    with open_local(Settings(home=str(folder / "home")), simulated_clock=True) as workspace:
        with serving(workspace) as url:
            first = datetime(2013, 7, 1, 12, tzinfo=UTC)
            workspace.loop.tick(until=first)
            for name in ("late", "quiet"):
                workspace.endpoints.deploy(name, log_version(workspace, name))
            for day in range(12):
                now = first + timedelta(days=day)
                workspace.loop.tick(until=now)
                rows = [{**ROW, "distance": 200 + 50 * number, "wind": number * 2.5} for number in range(40)]
                answers = workspace.endpoints.predict("late", rows).predictions
                told = [
                    OutcomeIn(each.id, "late" if number % 3 else each.value or "", now)
                    for number, each in enumerate(answers)
                ]
                workspace.endpoints.labels("late", told)
            workspace.loop.tick()
            yield ServedHome(workspace, url)


def test_the_server_shows_a_living_home(browser: Browser, living: ServedHome, tmp_path: Path) -> None:
    """Through the real server: windows drawn, nothing fetched from elsewhere, nothing forbidden by its own policy."""
    pictures: dict[str, bytes] = {}
    for scheme in ("light", "dark"):
        with Opened(browser, 390, scheme) as opened:
            answer = opened.page.goto(living.url + "/", wait_until="networkidle")
            assert answer is not None
            assert answer.status == 200
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
            assert opened.page.locator("h2").all_inner_texts() == ["quiet", "late"]
            card = opened.page.locator(".card", has=opened.page.locator("h2", has_text="late"))
            assert card.locator("rect").count() == 12
            assert card.locator("polyline").count() >= 1
            assert "480" in card.inner_text()
            assert "AUC by day" in card.inner_text()
            assert [url for url in opened.asked if not url.startswith((living.url, "data:"))] == []
            assert opened.complaints == []
            pictures[scheme] = opened.page.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)
            for link in opened.page.locator("footer a").all():
                href = link.get_attribute("href")
                assert living.ask("GET", f"/{href}").status == 200
    assert pictures["light"] != pictures["dark"]


def test_the_server_shows_an_empty_home(browser: Browser, tmp_path: Path) -> None:
    with open_local(Settings(home=str(tmp_path / "home"))) as workspace, serving(workspace) as url:
        with Opened(browser, 390, "light") as opened:
            opened.page.goto(url + "/")
            assert opened.page.locator(".summary").inner_text() == "Nothing is deployed yet."
            assert opened.page.locator("li").count() == 0


def test_a_browser_asks_for_a_token_where_everybody_needs_one(browser: Browser, tmp_path: Path) -> None:
    settings = Settings(home=str(tmp_path / "home"), auth="token")
    with open_local(settings) as workspace, serving(workspace) as url:
        served, token = ServedHome(workspace, url), workspace.people.add("reader", role="viewer").token
        wrong = {"authorization": "Basic " + base64.b64encode(b"me:tg_wrong").decode()}
        for path, headers in (("/", {}), ("/", wrong), ("/metrics", wrong)):
            refused = served.ask("GET", path, None, headers)
            assert (refused.status, refused.json["code"]) == (401, "unauthenticated")
            assert refused.headers["www-authenticate"] == 'Basic realm="Tidegate", charset="UTF-8"'
            assert "a token as the password" in refused.json["message"]
        context = browser.new_context(http_credentials={"username": "me", "password": token})
        opened = context.new_page()
        opened.goto(url + "/")
        assert opened.locator(".summary").inner_text() == "Nothing is deployed yet."
        opened.goto(url + "/metrics")
        assert "tidegate_operations_total" in opened.content()
        asked = "fetch('/api/v1/models').then(reply => [reply.status, reply.headers.get('www-authenticate')])"
        assert opened.evaluate(asked) == [401, "Bearer"], "what a browser sends by itself opens no operation"
        context.close()
