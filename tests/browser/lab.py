"""A JupyterLab of our own, and what one does in it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from playwright.sync_api import TimeoutError as PlaywrightTimeout

REPOSITORY = Path(__file__).resolve().parents[2]
# The whole notebook is in the page, also what is out of sight; and no question about news.
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false"},
    "notebook-extension/tracker": {"windowingMode": "none"},
}


class Lab:
    """A running server. Its notebooks lie under `home`; the rest of this machine is none of its own."""

    def __init__(self, home: Path, address: str, token: str):
        self.home, self.address, self.token = home, address, token

    def open(self, browser, name: str, patience_s: float = 90, before: str = ""):
        """A page with the notebook `name` and an idle kernel, in a context of its own.

        `before` is a script that runs before the page's own.
        """
        context = browser.new_context(viewport={"width": 1300, "height": 1600})
        page = context.new_page()
        if before:
            page.add_init_script(before)
        page.goto(f"{self.address}/lab/tree/{name}?token={self.token}&reset")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=1000 * patience_s)
        page.get_by_text(re.compile("Python 3.*Idle")).wait_for(timeout=1000 * patience_s)
        return page

    def end_kernels(self) -> None:
        """Shuts the kernels down, so that those of several tests do not add up."""
        url = f"{self.address}/api/sessions"
        with urllib.request.urlopen(f"{url}?token={self.token}", timeout=30) as answer:
            sessions = json.load(answer)
        for session in sessions:
            one = f"{url}/{session['id']}?token={self.token}"
            request = urllib.request.Request(one, method="DELETE")
            # A kernel in the middle of a restart refuses; it ends with the server.
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(request, timeout=30).close()


@contextlib.contextmanager
def started(home: Path):
    """Starts a server on the folder `home`: no configuration of this machine, no request outside."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token, own = secrets.token_hex(8), home / ".server"
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "IPYTHONDIR": str(own / "ipython")}
    for name in ("CONFIG", "DATA", "RUNTIME"):
        env[f"JUPYTER_{name}_DIR"] = str(own / name.lower())
    for name, content in SETTINGS.items():
        path = own / "config/lab/user-settings/@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content))
    options = {
        "ServerApp.port": port, "ServerApp.port_retries": 0, "ServerApp.root_dir": home,
        "IdentityProvider.token": token, "ServerApp.allow_root": True, "LabApp.news_url": "",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }  # fmt: skip
    command = [sys.executable, "-m", "jupyterlab", "--no-browser"]
    command += [f"--{key}={value}" for key, value in options.items()]
    with open(own / "server.log", "w") as log:
        running = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        try:
            lab = Lab(home, f"http://127.0.0.1:{port}", token)
            _wait_for(f"{lab.address}/api?token={token}", running, own / "server.log")
            yield lab
        finally:
            running.terminate()
            try:
                running.wait(60)
            except subprocess.TimeoutExpired:  # a busy machine; nothing may be left behind
                running.kill()
                running.wait()


def _wait_for(url, running, log):
    for _ in range(400):
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            assert running.poll() is None, log.read_text()
            time.sleep(0.3)
    raise AssertionError(f"JupyterLab does not answer\n{log.read_text()[-3000:]}")


def menu(page, *names):
    """Chooses from the menu bar, e.g. menu(page, "Run", "Run All Cells")."""
    page.locator(".lm-MenuBar-item", has_text=names[0]).first.click()
    for name in names[1:]:
        page.locator(".lm-Menu-item", has_text=name).first.click()


def wait_for_status(explorer, text, seconds=20):
    """The line under an explorer's buttons, once it holds `text`."""
    status = explorer.locator(".qkd-status", has_text=text)
    status.wait_for(timeout=1000 * seconds)
    return status.inner_text()


# ---- what is tried in a chapter ----

# "[*]:" is queued or at work, "[7]:" done; after an error the cells behind it lose their star.
PROMPTS = """() =>
    [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")].map(n => n.textContent)"""
DONE = f"() => {{ const all = ({PROMPTS})(); return all.length && !all.some(t => t.includes('*')); }}"
ERRORS = """() => [...document.querySelectorAll('.jp-OutputArea-output[data-mime-type*="stderr"]')]
    .map(n => n.textContent.slice(-600))"""


def run_all(page, patience_s: float) -> None:
    """Runs all cells and waits for the last of them."""
    menu(page, "Run", "Run All Cells")
    page.wait_for_function(f"() => ({PROMPTS})().some(t => /[*\\d]/.test(t))", timeout=60_000)
    page.wait_for_function(DONE, timeout=1000 * patience_s, polling=500)
    prompts = page.evaluate(PROMPTS)
    not_run = [i for i, text in enumerate(prompts) if not any(c.isdigit() for c in text)]
    assert not_run == [], f"code cells {not_run} of {len(prompts)} did not run: {page.evaluate(ERRORS)}"


def retrain(section) -> bool:
    """Moves an explorer's first control, retrains; returns whether it can."""
    title = section.locator(".qkd-title").inner_text()
    section.scroll_into_view_if_needed()
    try:
        section.locator(".qkd-live").wait_for(timeout=20_000)  # the answer to its ping
    except PlaywrightTimeout:
        return False
    before = setting(section)
    move(section)
    assert setting(section) != before, f"{title}: the control did not move"
    stored = drawn(section)
    section.locator(".qkd-train").click()
    status = section.locator(".qkd-status")
    section.page.wait_for_function(
        "n => /^Trained with|^Stopped/.test(n.textContent) || n.classList.contains('qkd-bad')",
        arg=status.element_handle(), timeout=300_000,
    )  # fmt: skip
    said = status.inner_text()
    assert said.startswith("Trained with"), f"{title}: {said}"
    assert drawn(section) != stored, f"{title}: it trained, and nothing that is drawn changed"
    return True


def move(section) -> None:
    """Moves the first control that can move, as a reader would."""
    slider = section.locator("input[type=range]:enabled")
    if slider.count():
        at_end = "n => +n.value === +n.max"
        slider.first.press("ArrowLeft" if slider.first.evaluate(at_end) else "ArrowRight")
    else:
        section.locator("input:not(:checked)").first.locator("xpath=..").click()


def setting(section) -> list:
    """What all controls are set to."""
    inputs = "nodes => nodes.map(n => n.type === 'range' ? n.value : n.checked)"
    return section.locator(".qkd-controls input:not([type=number])").evaluate_all(inputs)


def drawn(section) -> str:
    """Everything that the panels draw, and the numbers below them."""
    parts = "[...n.querySelectorAll('.qkd-panels, .qkd-readouts')].map(part => part.innerHTML).join()"
    return section.evaluate(f"n => {parts}")
