"""Firefox by its own Marionette protocol: JSON over TCP, which Playwright does not speak.

Only what the tests need: open a page, run a script in it. FIREFOX names another executable.
"""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

NAMES = ("firefox-esr", "firefox")
PREFERENCES = {
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}
_START = 60.0  # seconds within which it must answer


def find_firefox():
    """The executable that FIREFOX names, or the first that the path holds, or None."""
    named = os.environ.get("FIREFOX")
    if named:
        return shutil.which(named)
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Firefox:
    """A running Firefox without a window.

    Args:
        executable: Its path.
    """

    def __init__(self, executable):
        self._profile = tempfile.mkdtemp(prefix="qkd-firefox-")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items()]
        lines.append(f'user_pref("marionette.port", {port});')
        Path(self._profile, "user.js").write_text("\n".join(lines))
        command = [executable, "--headless", "--marionette", "--no-remote", "--profile", self._profile]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._number = 0
        try:
            self._socket = self._connect(port)
            self._stream = self._socket.makefile("rb")
            self._read()  # its greeting
            self._call("WebDriver:NewSession")
            self._call("WebDriver:SetTimeouts", script=600_000, pageLoad=60_000)
        except BaseException:
            self.close()
            raise

    def open(self, url):
        """Opens a page and waits until it is loaded."""
        self._call("WebDriver:Navigate", url=url)

    def call(self, function, argument=None):
        """What a JavaScript function, async or not, makes of an argument; both in terms of JSON.

        Raises:
            RuntimeError: It threw.
        """
        script = (
            "const [text, argument, done] = arguments;"
            "Promise.resolve(argument).then(eval(text)).then("
            "value => done({ value }), error => done({ error: `${error}\\n${error.stack}` }));"
        )
        args = [f"({function})", argument]
        answer = self._call("WebDriver:ExecuteAsyncScript", script=script, args=args, sandbox=None)
        if "error" in answer["value"]:
            raise RuntimeError(answer["value"]["error"])
        return answer["value"].get("value")

    def close(self):
        """Ends it and removes its profile."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for name in ("_stream", "_socket"):
            if hasattr(self, name):
                getattr(self, name).close()
        shutil.rmtree(self._profile, ignore_errors=True)

    def _connect(self, port):
        end = time.monotonic() + _START
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=600)
            except OSError:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise
                time.sleep(0.1)

    def _call(self, command, **arguments):
        self._number += 1
        message = json.dumps([0, self._number, command, arguments]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self._read()
        if error:
            raise RuntimeError(f"Firefox: {command}: {error['message']}")
        return result

    def _read(self):
        length = b""
        while (char := self._stream.read(1)) != b":":
            if not char:
                raise ConnectionError("Firefox closed the connection")
            length += char
        return json.loads(self._stream.read(int(length)))
