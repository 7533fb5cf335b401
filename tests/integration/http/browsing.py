"""A page of ours in a real browser, and what it asked for."""

from typing import Literal

from playwright.sync_api import Browser, Page

WIDTHS = (390, 768, 1100, 1600)
Scheme = Literal["light", "dark"]


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
