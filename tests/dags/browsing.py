"""A real browser before a real Airflow: its API server on a port, and headless Chromium.

Only the API server runs: it shows pages, takes forms and answers. Runs are done in the test's own
process on the same database, as in the other tests of this folder.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

from safehands_airflow import home

CHROMIUM = "/usr/bin/chromium"
PHONE_SIZE, DESK_SIZE = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
_START_SECONDS = 240.0


@contextmanager
def api_server(airflow: Any, logs: Path) -> Iterator[str]:
    """Start Airflow's API server alone; yield its address; stop it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = f"http://127.0.0.1:{port}"
    environment = {**airflow.environment, "AIRFLOW__API__BASE_URL": place}
    command = [sys.executable, "-m", "airflow", "api-server", "--port", str(port)]
    with (logs / "api-server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _await(place, server)
        yield place
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _await(place: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, "the API server ended"
        try:
            if httpx.get(f"{place}/api/v2/monitor/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.3)
    raise AssertionError("the API server did not answer")


class Browser:
    """Chromium, logged in through Airflow's own form. ``shots``: where pictures are kept."""

    def __init__(self, playwright: Any, place: str, password: str, shots: Path) -> None:
        self.place, self.shots = place, shots
        self._chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], headless=True
        )
        # The checker is put into the page by the browser, which our policy would not allow.
        self._context = self._chromium.new_context(viewport=DESK_SIZE, bypass_csp=True)
        self._context.set_default_timeout(60_000)
        self.page: Page = self._context.new_page()
        self.foreign: list[str] = []
        self.page.on("request", self._look)
        self._login(password)

    def _look(self, request: Any) -> None:
        if not request.url.startswith((self.place, "data:", "blob:")):
            self.foreign.append(request.url)

    def _login(self, password: str) -> None:
        self.page.goto(self.place)
        self.page.locator("input[name=username]").fill("admin")
        self.page.locator("input[name=password]").fill(password)
        self.page.locator("button[type=submit]").click()
        self.page.wait_for_url(re.compile(rf"^{re.escape(self.place)}/(?!auth)"))

    def api(self, path: str) -> Any:
        """Return what Airflow's REST API answers to whoever is logged in here."""
        cookies = {c["name"]: c["value"] for c in self.page.context.cookies()}
        headers = {"Authorization": f"Bearer {cookies['_token']}"}
        return httpx.get(f"{self.place}/api/v2/{path}", headers=headers).json()

    def open(self, path: str) -> int:
        """Open one of our pages; return its status."""
        answer = self.page.goto(f"{self.place}/safehands/{path}")
        assert answer is not None
        return answer.status

    def shot(self, name: str) -> None:
        """Keep a picture of the whole page."""
        self.page.screenshot(path=self.shots / f"{name}.png", full_page=True)

    def size(self, size: dict[str, int]) -> None:
        """Change the window."""
        self.page.set_viewport_size(size)  # type: ignore[arg-type]

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(wide))

    def faults(self) -> list[str]:
        """Return what axe finds that is serious or critical: rule and places."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {[node['target'] for node in one['nodes'][:3]]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    @contextmanager
    def speaking(self, locale: str) -> Iterator[Page]:
        """Open a page of the same login in a browser of another language."""
        context = self._chromium.new_context(viewport=DESK_SIZE, locale=locale)
        # The login, but not the language that Airflow remembers in the browser.
        context.add_cookies(self._context.cookies())
        context.set_default_timeout(60_000)
        try:
            yield context.new_page()
        finally:
            context.close()

    def close(self) -> None:
        """End the browser."""
        self._chromium.close()


@contextmanager
def browser(airflow: Any, place: str, shots: Path) -> Iterator[Browser]:
    """Open a browser of its own, for the thread that calls."""
    with sync_playwright() as playwright:
        made = Browser(playwright, place, home.password(airflow.settings), shots)
        try:
            yield made
        finally:
            made.close()


def shots_folder(otherwise: Path) -> Path:
    """Return where pictures are kept: ``DASHBOARD_SHOTS``, or a folder that is thrown away."""
    folder = Path(os.environ.get("DASHBOARD_SHOTS") or otherwise)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
