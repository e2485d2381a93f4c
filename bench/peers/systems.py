"""The servers of a comparison: how each is installed, started, fed, brought to rest and asked.

    system = systems.VictoriaMetrics()
    system.install()                       # raises Unavailable(reason): report it and go on with the others
    system.start(folder)
    feed = system.feeds("cpu")["influx-http"]
    run([load, "feed", *feed.arguments, ...])
    stored = system.settle()               # the folders whose size is what is stored
    run([load, "ask", *system.ask_arguments(feed), "--kind", "raw", ...])
    system.restart(clean=False); system.stop()

Settings are each server's defaults but for what the data needs: samples of 2025-01 must not be too old, and what was
written must be found at once. Servers listen on free ports of loopback. Nothing is printed.
Errors: Unavailable - cannot be had here; server.ServerError - started and misbehaved.
"""

import abc
import collections.abc
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import time
import urllib.parse

from server import Server, ServerError, free_port, get

# Merging what a run of 43 M samples left takes VictoriaMetrics and InfluxDB some tens of seconds.
SETTLE_SECONDS_MAX = 600.0
# Counters that have not moved for this long are taken to be at their end.
_QUIET_SECONDS = 3.0
_POLICY = pathlib.Path("/usr/sbin/policy-rc.d")
_INSTALL_SECONDS_MAX = 600.0


class Unavailable(Exception):
    """A system cannot be had on this machine; the text says why."""


@dataclasses.dataclass(frozen=True)
class Feed:
    """A way to write: arguments of `load feed`, `load latency` and `load series`, and how the metric is named then."""

    path: str
    address: str
    options: tuple[str, ...] = ()
    batch: int = 5000  # samples; usual for the path
    metric_prefix: str = ""

    @property
    def arguments(self) -> list[str]:
        return [self.path, "--address", self.address, *self.options]


@contextlib.contextmanager
def _no_services() -> collections.abc.Iterator[None]:
    """Keeps Debian from starting the services of packages that are being installed (policy-rc.d, exit 101)."""
    if _POLICY.exists():
        # A container's own, which does the same; another's rule is not ours to replace.
        yield
        return
    _run(_as_root() + ["tee", str(_POLICY)], given="#!/bin/sh\nexit 101\n")
    _run(_as_root() + ["chmod", "755", str(_POLICY)])
    try:
        yield
    finally:
        _run(_as_root() + ["rm", "-f", str(_POLICY)])


def _as_root() -> list[str]:
    return [] if os.geteuid() == 0 else ["sudo", "-n"]


def _run(argv: collections.abc.Sequence[str], given: str | None = None) -> str:
    """The standard output of a command. Raises Unavailable with the end of what it said."""
    try:
        done = subprocess.run(argv, input=given, stdin=subprocess.DEVNULL if given is None else None,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                              timeout=_INSTALL_SECONDS_MAX)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{' '.join(argv)}: {error}") from error
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()[-500:]
        raise Unavailable(f"{' '.join(argv)} ended with {done.returncode}: {words}")
    return done.stdout


def installed(package: str) -> bool:
    done = subprocess.run(["dpkg-query", "-W", "-f=${db:Status-Status}", package], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout == "installed"


def install_packages(packages: collections.abc.Iterable[str]) -> None:
    """Installs what is missing of these Debian packages, quietly, without starting a service.

    Raises Unavailable. The client itself needs libsnappy-dev to be built.
    """
    missing = [package for package in packages if not installed(package)]
    if not missing:
        return
    apt = [*_as_root(), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y", "-o", "Dpkg::Use-Pty=0",
           "-o", "DPkg::Lock::Timeout=300"]
    with _no_services():
        _run([*apt, "update"])
        _run([*apt, "install", "--no-install-recommends", *missing])
    for package in missing:
        _disable_service(package)


def _disable_service(package: str) -> None:
    """Keeps the package's service from the next boot, where systemd is. There may be none: nothing to tell."""
    if shutil.which("systemctl"):
        subprocess.run([*_as_root(), "systemctl", "--quiet", "disable", package], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)


def _metric(text: str, name: str) -> float:
    """The sum of a metric's series in Prometheus' text format; 0 if there are none."""
    total = 0.0
    for line in text.splitlines():
        head, _, value = line.rpartition(" ")
        if head.partition("{")[0] == name:
            total += float(value)
    return total


def _wait_until_quiet(read: collections.abc.Callable[[], object], busy: collections.abc.Callable[[], bool],
                      what: str) -> None:
    """Waits until it is not busy and what is read has not changed for _QUIET_SECONDS."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    last = read()
    since = time.monotonic()
    while busy() or time.monotonic() - since < _QUIET_SECONDS:
        if time.monotonic() > deadline:
            raise ServerError(f"{what} had not settled after {SETTLE_SECONDS_MAX} s")
        time.sleep(0.1)
        now = read()
        if now != last or busy():
            last, since = now, time.monotonic()


def _walk(top: pathlib.Path) -> collections.abc.Iterator[tuple[str, os.stat_result]]:
    """The files below, or the file itself. What a server removes meanwhile is left out, folders too."""
    paths = [str(top)] if top.is_file() else [
        os.path.join(parent, name) for parent, _, names in os.walk(top) for name in names]
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            yield path, os.stat(path)


def _files(folder: pathlib.Path) -> frozenset[tuple[str, int]]:
    """The files below, with their sizes."""
    return frozenset((path, status.st_size) for path, status in _walk(folder))


def stored_bytes(paths: collections.abc.Iterable[pathlib.Path]) -> int:
    """Disk space that the files below take, in whole blocks: files set up in advance have holes."""
    return sum(status.st_blocks * 512 for top in paths for _, status in _walk(top))


class System(abc.ABC):
    """One of the servers. start() before all but install() and version()."""

    name: str  # of this comparison, and of `load ask`
    paths: tuple[str, ...]  # what feeds() has
    package: str | None = None

    def __init__(self) -> None:
        self._server: Server | None = None
        self.folder = pathlib.Path()
        self.address = ""

    # ---- What differs.

    @abc.abstractmethod
    def _argv(self) -> list[str]:
        """Command line for self.folder; may write configuration there and choose ports."""

    @property
    @abc.abstractmethod
    def _ready_path(self) -> str:
        """Answers 2xx once it serves."""

    @abc.abstractmethod
    def feeds(self, measurement: str) -> dict[str, Feed]:
        """The paths it takes, by name, of a workload whose measurement is this (its name, but `cpu` where it is made
        of cpu: churn, backfill, tenants)."""

    @abc.abstractmethod
    def settle(self) -> list[pathlib.Path]:
        """Brings all that was written into its form at rest, as far as the server lets one ask for that.

        Returns the files and folders whose size is what the samples take: see stored_bytes.
        """

    def show(self) -> None:
        """Makes all that was written be found by questions, where a server puts that off."""

    # ---- What does not.

    @property
    def server(self) -> Server:
        if self._server is None:
            raise ServerError(f"{self.name} was not started")
        return self._server

    def install(self) -> None:
        """Raises Unavailable."""
        if self.package is not None:
            install_packages([self.package])

    def version(self) -> str:
        """As Debian numbers it."""
        return _run(["dpkg-query", "-W", "-f=${Version}", str(self.package)])

    def start(self, folder: pathlib.Path, workload: str = "cpu") -> float:
        """Starts it over a folder, new or used before, for a workload. Returns the seconds until it was ready.

        Only backfill changes a setting (of Prometheus). Raises Unavailable if it cannot be started at all.
        """
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.workload = workload
        self.address = f"127.0.0.1:{free_port()}"
        self._server = Server(self._argv(), self.folder.parent / f"{self.folder.name}.log",
                              f"http://{self.address}{self._ready_path}")
        try:
            seconds = self._server.start()
            self._started()
        except (OSError, ServerError) as error:
            self._server.kill()
            raise Unavailable(f"{self.name} did not start: {error}") from error
        return seconds

    def _started(self) -> None:
        """What is to be done once it serves."""

    def stop(self) -> float:
        return self.server.stop()

    def kill(self) -> None:
        self.server.kill()

    def restart(self, clean: bool = True) -> float:
        """On the same folder and ports, after SIGTERM or after SIGKILL. Returns the seconds from start to ready."""
        return self.server.restart(clean)

    def ask_arguments(self, feed: Feed) -> list[str]:
        """Of `load ask`, for what was written by this feed."""
        prefix = ["--metric-prefix", feed.metric_prefix] if feed.metric_prefix else []
        return [self.name, "--address", self.address, *prefix]

    def get(self, path: str, data: bytes | None = None) -> str:
        return get(f"http://{self.address}{path}", SETTLE_SECONDS_MAX, data)


class Nexus(System):
    """Settled: each tenant's samples are in layers. What stays of the log is not counted, as it holds nothing more; catalog
    and layers are. There is no compaction yet."""

    name = "nexus"
    paths = ("nxp1", "influx-tcp", "influx-http")
    _ready_path = "/ready"

    def __init__(self, binary: pathlib.Path) -> None:
        super().__init__()
        self.binary = binary.resolve()

    def install(self) -> None:
        if not self.binary.exists():
            raise Unavailable(f"there is no {self.binary}: run make build")

    def version(self) -> str:
        return _run([str(self.binary), "version"]).strip()

    def _argv(self) -> list[str]:
        return [str(self.binary), "serve", "--data", str(self.folder), "--listen", self.address, "--log-level", "error"]

    def feeds(self, measurement: str) -> dict[str, Feed]:
        return {
            "nxp1": Feed("nxp1", self.address, batch=1000),
            "influx-tcp": Feed("influx-tcp", self.address, metric_prefix=f"{measurement}_"),
            "influx-http": Feed("influx-http", self.address, ("--url", "/write"), 50_000, f"{measurement}_"),
        }

    def settle(self) -> list[pathlib.Path]:
        # Of all tenants.
        _run([str(self.binary), "flush", "--connect", self.address])
        return [self.folder / "catalog", self.folder / "layers"]


class VictoriaMetrics(System):
    """Settled: flushed by force_flush, and merged by force_merge, which takes all parts of a month, goes on behind its
    answer and is awaited by its metric. Of line protocol it names metrics measurement_field."""

    name = "victoriametrics"
    paths = ("influx-http", "influx-tcp", "remote-write")
    package = "victoria-metrics"
    _ready_path = "/health"

    def _argv(self) -> list[str]:
        self.influx_address = f"127.0.0.1:{free_port()}"
        return ["/usr/bin/victoria-metrics", f"-storageDataPath={self.folder}", f"-httpListenAddr={self.address}",
                f"-influxListenAddr={self.influx_address}", "-retentionPeriod=100y", "-search.latencyOffset=0s",
                "-loggerLevel=WARN"]

    def feeds(self, measurement: str) -> dict[str, Feed]:
        return {
            "influx-http": Feed("influx-http", self.address, ("--url", "/write"), 50_000, f"{measurement}_"),
            "influx-tcp": Feed("influx-tcp", self.influx_address, ("--no-answer",), metric_prefix=f"{measurement}_"),
            "remote-write": Feed("remote-write", self.address),
        }

    def show(self) -> None:
        self.get("/internal/force_flush")

    def settle(self) -> list[pathlib.Path]:
        self.show()
        self.get("/internal/force_merge")
        _wait_until_quiet(lambda: _files(self.folder / "data"), self._merging, self.name)
        return [self.folder]

    def _merging(self) -> bool:
        text = self.get("/metrics")
        return _metric(text, "vm_active_force_merges") + _metric(text, "vm_active_merges") > 0


class Prometheus(System):
    """Settled: compactions have come to rest. What is younger than about three hours stays in its log and memory, by
    its design; so the size is that of a snapshot, which has that as a block, too. Asking is not changed by it."""

    name = "prometheus"
    paths = ("remote-write",)
    package = "prometheus"
    _ready_path = "/-/ready"

    def _argv(self) -> list[str]:
        configuration = self.folder.parent / f"{self.folder.name}.yml"
        late = "storage: {tsdb: {out_of_order_time_window: 4d}}\n" if self.workload == "backfill" else ""
        configuration.write_text("scrape_configs: []\n" + late, encoding="utf-8")
        return ["/usr/bin/prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={self.folder}",
                "--storage.tsdb.retention.time=100y", f"--web.listen-address={self.address}",
                "--web.enable-remote-write-receiver", "--web.enable-admin-api", "--log.level=warn"]

    def feeds(self, measurement: str) -> dict[str, Feed]:
        return {"remote-write": Feed("remote-write", self.address)}

    def settle(self) -> list[pathlib.Path]:
        _wait_until_quiet(self._compactions, lambda: False, self.name)
        shutil.rmtree(self.folder / "snapshots", ignore_errors=True)
        snapshot = json.loads(self.get("/api/v1/admin/tsdb/snapshot", data=b""))["data"]["name"]
        return [self.folder / "snapshots" / snapshot]

    def _compactions(self) -> tuple[float, float]:
        text = self.get("/metrics")
        return (_metric(text, "prometheus_tsdb_compactions_total"),
                _metric(text, "prometheus_tsdb_head_min_time_seconds"))


class InfluxDb(System):
    """Settled: restarted with settings that make it write its cache and compact fully one second after the last write,
    until its cache is empty and no compaction runs or waits; then restarted with its own settings. A last segment of its
    log (at most 10 MiB) stays, as it removes only those behind which there is another: it is not counted, and read
    again at each start."""

    name = "influxdb"
    paths = ("influx-http",)
    package = "influxdb"
    _ready_path = "/ping"

    def _argv(self) -> list[str]:
        configuration = self.folder.parent / f"{self.folder.name}.conf"
        configuration.write_text(f"""reporting-disabled = true
bind-address = "127.0.0.1:{free_port()}"
[meta]
dir = "{self.folder}/meta"
logging-enabled = false
[data]
dir = "{self.folder}/data"
wal-dir = "{self.folder}/wal"
query-log-enabled = false
max-series-per-database = 0
[monitor]
store-enabled = false
[http]
bind-address = "{self.address}"
log-enabled = false
max-body-size = 0
[logging]
level = "error"
""", encoding="utf-8")
        return ["/usr/bin/influxd", "run", "-config", str(configuration)]

    def _started(self) -> None:
        self.get("/query?" + urllib.parse.urlencode({"q": "CREATE DATABASE bench"}), data=b"")

    def feeds(self, measurement: str) -> dict[str, Feed]:
        return {"influx-http": Feed("influx-http", self.address, ("--url", "/write?db=bench"), 50_000)}

    def settle(self) -> list[pathlib.Path]:
        self.server.environment = {"INFLUXDB_DATA_CACHE_SNAPSHOT_WRITE_COLD_DURATION": "1s",
                                   "INFLUXDB_DATA_COMPACT_FULL_WRITE_COLD_DURATION": "1s"}
        try:
            self.restart()
            _wait_until_quiet(lambda: _files(self.folder / "data"), self._busy, self.name)
        finally:
            self.server.environment = {}
        self.restart()
        return [self.folder / "data"]

    def _busy(self) -> bool:
        """Whether samples are in its cache alone, or compactions run or wait."""
        for entry in json.loads(self.get("/debug/vars")).values():
            if not isinstance(entry, dict):
                continue
            values = entry.get("values", {})
            if entry.get("name") == "tsm1_cache" and values["memBytes"] > 0:
                return True
            if entry.get("name") == "tsm1_engine" and any(
                    count for name, count in values.items() if name.endswith(("Active", "Queue"))):
                return True
        return False


def all_systems(nexus_binary: pathlib.Path) -> list[System]:
    """nexus and its peers, not started."""
    return [Nexus(nexus_binary), VictoriaMetrics(), Prometheus(), InfluxDb()]
