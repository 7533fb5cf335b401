"""Runs the demo, serves its home, and takes the pictures of the status page that stand in docs/."""

import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
TIDEGATE = str(ROOT / ".venv" / "bin" / "tidegate")
CHROMIUM = "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
SIZES = {"wide": (1280, 800), "narrow": (390, 844)}


def main() -> int:
    """Make docs/pictures/status-{wide,narrow}-{light,dark}.png."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = str(Path(folder) / "home")
        subprocess.run([TIDEGATE, "demo", "--home", home], check=True, cwd=folder)
        port = free_port()
        server = subprocess.Popen([TIDEGATE, "serve", "--home", home, "--port", str(port)], cwd=folder)
        try:
            address = f"http://127.0.0.1:{port}/"
            wait_until_ready(f"{address}ready")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
                take(browser, address)
                browser.close()
        finally:
            server.terminate()
            server.wait(20)
    return 0


def take(browser: Browser, address: str) -> None:
    """One picture for each size and scheme."""
    for size, (width, height) in SIZES.items():
        for scheme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
            )
            page = context.new_page()
            page.goto(address, wait_until="load")
            page.screenshot(path=PICTURES / f"status-{size}-{scheme}.png", full_page=True)
            context.close()


def wait_until_ready(url: str) -> None:
    """Return when the server answers; raises after 30 seconds."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own server, on loopback
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
