"""The status page in a real browser: what it says in each state, both schemes, any width, from the server alone."""

import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.contract.endpoints.serving_home import ROW
from tests.integration.http.served_home import ServedHome, log_version
from tidegate.endpoints.records import OutcomeIn
from tidegate.http.status_chart import BAR_HEIGHT, LINE_HEIGHT, WIDTH, chart_of
from tidegate.http.status_page import page as render
from tidegate.http.thread import serving
from tidegate.kernel.settings import Settings
from tidegate.loop.records import EndpointStatus, Health, Measure, Status
from tidegate.workspace import open_local

CHROMIUM = "/usr/bin/chromium"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = (390, 768, 1100, 1600)
NOW = datetime(2013, 6, 1, tzinfo=UTC)
Scheme = Literal["light", "dark"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Its absence fails in CI; elsewhere these tests are skipped."""
    if shutil.which(CHROMIUM) is None:
        told = f"there is no {CHROMIUM}: run bash tools/debian_packages.sh as root"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield found
        found.close()


class Opened:
    """A page in the browser, and every address that it asked for."""

    def __init__(self, browser: Browser, width: int, scheme: Scheme) -> None:
        self._context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
        self.page: Page = self._context.new_page()
        self.asked: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_error: object) -> None:
        self._context.close()


def measures(days: int, value: float = 0.7, gap: int = -1, spread: float = 0.05) -> tuple[Measure, ...]:
    return tuple(
        Measure(
            metric="AUC",
            value=value + 0.03 * (day % 5),
            low=value - spread,
            high=value + 0.12 + spread,
            labels=200,
            start=NOW - timedelta(days=days - day),
            end=NOW - timedelta(days=days - day - 1),
        )
        for day in range(days)
        if day != gap
    )


def endpoint(name: str, health: Health, days: int = 60, **more: Any) -> EndpointStatus:
    history = more.pop("history", measures(days) if health == "good" else ())
    plain: dict[str, Any] = {
        "endpoint": name,
        "model": f"{name}/3",
        "variant": "stable",
        "deployed_at": NOW - timedelta(days=days),
        "deployed_by": "local",
        "predictions": 231 * days,
        "labels": 200 * len(history),
        "latency_p50_ms": 0.412,
        "latency_p95_ms": 1.73,
        "quality": history[-1] if history else None,
        "history": history,
        "volume": tuple(200 + day % 7 for day in range(days)),
        "windows": tuple(NOW - timedelta(days=days - day) for day in range(days)),
        "window_seconds": 86_400,
        "health": health,
    }
    return EndpointStatus(**plain | more)


LONG = "a-very-long-name-" * 7
HOSTILE = "<script>alert(1)</script>"
STATES: dict[str, tuple[EndpointStatus, ...]] = {
    "nothing": (),
    "one": (endpoint("late-arrival", "good"),),
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
        endpoint("not-a-number", "good", latency_p50_ms=float("nan"), latency_p95_ms=float("inf")),
    ),
}


def shown(state: str, home: str = "/srv/flights/.tidegate") -> str:
    return render(Status(now=NOW, simulated_clock=True, endpoints=STATES[state]), home)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_no_state_overflows_at_any_width(browser: Browser, state: str, scheme: Scheme) -> None:
    with Opened(browser, WIDTHS[0], scheme) as opened:
        opened.page.set_content(shown(state))
        for width in WIDTHS:
            opened.page.set_viewport_size({"width": width, "height": 844})
            assert opened.page.evaluate("document.documentElement.scrollWidth") <= width, (state, width)
            cut = opened.page.evaluate(CUT_OFF)
            assert cut == [], (state, width, cut)


CUT_OFF = """() => [...document.querySelectorAll('h1,h2,p,dt,dd,span,figcaption,code')]
    .filter(e => e.getClientRects().length)
    .map(e => [e.getBoundingClientRect(), e.closest('.card, header, footer, main').getBoundingClientRect(), e])
    .filter(([own, card]) => own.right > card.right + 1 || own.left < card.left - 1)
    .map(([, , e]) => e.textContent.slice(0, 60))"""


def test_the_states_say_what_they_are(browser: Browser) -> None:
    with Opened(browser, 1100, "light") as opened:
        page = opened.page
        page.set_content(shown("nothing"))
        assert page.locator(".summary").inner_text() == "Nothing is deployed yet."
        assert "tidegate demo" in page.locator(".empty").inner_text()
        page.set_content(shown("one"))
        assert page.title() == "Tidegate"
        assert page.locator(".summary").inner_text() == "One endpoint, doing well."
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


def test_names_are_text_and_nothing_else(browser: Browser) -> None:
    with Opened(browser, 390, "light") as opened:
        one = endpoint(HOSTILE, "attention", reason=HOSTILE, deployed_by=HOSTILE, model=HOSTILE)
        opened.page.set_content(render(Status(now=NOW, simulated_clock=False, endpoints=(one,)), HOSTILE))
        assert opened.page.locator("script").count() == 0
        assert opened.page.locator("h2").inner_text() == HOSTILE


COLOURS = """() => [...document.querySelectorAll('h1,h2,p,dt,dd,span,b,a,figcaption,code,small,pre,time')]
    .filter(e => e.getClientRects().length && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => {
        let ground = 'rgba(0, 0, 0, 0)';
        for (let at = e; at && ground === 'rgba(0, 0, 0, 0)'; at = at.parentElement)
            ground = getComputedStyle(at).backgroundColor;
        return [e.textContent.trim().slice(0, 40), getComputedStyle(e).color, ground];
    })"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", ["nothing", "mixed"])
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
