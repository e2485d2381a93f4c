"""One server process of a comparison, on loopback: started, awaited, measured, stopped or killed.

A Server owns its process and ends only that, by its own pid. Whatever was started and not stopped is killed when Python
ends. Nothing is printed; failures are ServerError with the end of the server's log.
Threading: one thread at a time.
"""

import atexit
import collections.abc
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

START_SECONDS_MAX = 120.0  # replaying a log of 40 M samples takes seconds
STOP_SECONDS_MAX = 120.0  # Prometheus and InfluxDB write what they hold in memory
_POLL_SECONDS = 0.002  # bounds the error of a measured start
_LOG_TAIL_BYTES = 2000


class ServerError(Exception):
    """A server did not start, did not stop, or is gone."""


def free_port() -> int:
    """A TCP port of loopback that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url: str, timeout: float = 60.0, data: bytes | None = None) -> str:
    """The body of a GET, or of a POST if there is data. Raises ServerError with the server's words."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=timeout) as response:
            return response.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        words = error.read(_LOG_TAIL_BYTES).decode("utf-8", "replace")
        raise ServerError(f"{url}: HTTP status {error.code}: {words}") from error
    except OSError as error:
        raise ServerError(f"{url}: {error}") from error


def answers(url: str) -> bool:
    """Whether a GET gets a status of 2xx within a second."""
    try:
        get(url, timeout=1.0)
    except ServerError:
        return False
    return True


class Server:
    """A server process. `ready_url` answers 2xx once it serves."""

    def __init__(self, argv: collections.abc.Sequence[str], log: pathlib.Path, ready_url: str,
                 environment: collections.abc.Mapping[str, str] | None = None) -> None:
        self.argv = list(argv)
        self.log = log
        self.ready_url = ready_url
        self.environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerError(f"{self.argv[0]} is not running")
        return self._process.pid

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, seconds_max: float = START_SECONDS_MAX) -> float:
        """Starts it and waits until it is ready. Returns the seconds that took."""
        if self.running():
            raise ServerError(f"{self.argv[0]} is running already, as process {self.pid}")
        started = time.monotonic()
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             env={**os.environ, **self.environment})
        atexit.register(self.kill)
        while not answers(self.ready_url):
            if not self.running():
                raise ServerError(f"{self.argv[0]} ended with {self._process.returncode} before it was ready; "
                                  f"{self._last_words()}")
            if time.monotonic() - started > seconds_max:
                self.kill()
                raise ServerError(f"{self.argv[0]} was not ready after {seconds_max} s at {self.ready_url}; "
                                  f"{self._last_words()}")
            time.sleep(_POLL_SECONDS)
        return time.monotonic() - started

    def stop(self, seconds_max: float = STOP_SECONDS_MAX) -> float:
        """SIGTERM and wait; SIGKILL and ServerError if that takes too long. Returns the seconds it took."""
        if self._process is None:
            return 0.0
        started = time.monotonic()
        if self.running():
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(seconds_max)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise ServerError(f"{self.argv[0]} had not ended {seconds_max} s after SIGTERM and was killed; "
                              f"{self._last_words()}") from error
        self._forget()
        return time.monotonic() - started

    def kill(self) -> None:
        """SIGKILL, and waits for its end."""
        if self._process is None:
            return
        if self.running():
            self._process.kill()
        self._process.wait()
        self._forget()

    def restart(self, clean: bool = True, seconds_max: float = START_SECONDS_MAX) -> float:
        """Ends it by SIGTERM, or by SIGKILL, and starts it. Returns the seconds from its start until it is ready."""
        if clean:
            self.stop()
        else:
            self.kill()
        return self.start(seconds_max)

    def cpu_seconds(self) -> float:
        """User and system time of all its threads, ended ones too, in the kernel's ticks of 10 ms."""
        fields = self._proc("stat").rpartition(")")[2].split()
        # utime and stime are fields 14 and 15; the state, field 3, is the first here.
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """Memory that it occupies now, shared pages and mapped files included."""
        return self._memory("VmRSS")

    def resident_bytes_max(self) -> int:
        """The most that it has occupied."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        for line in self._proc("status").splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        raise ServerError(f"process {self.pid} tells no {name}: it has ended")

    def _proc(self, file: str) -> str:
        try:
            return pathlib.Path(f"/proc/{self.pid}/{file}").read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise ServerError(f"{self.argv[0]} is gone: {error}; {self._last_words()}") from error

    def _last_words(self) -> str:
        with open(self.log, "rb") as log:
            log.seek(max(0, os.path.getsize(self.log) - _LOG_TAIL_BYTES))
            return f"the end of {self.log}: {log.read().decode('utf-8', 'replace')}"

    def _forget(self) -> None:
        self._process = None
        atexit.unregister(self.kill)
