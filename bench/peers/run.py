#!/usr/bin/env python3
"""Compares nexus with its peers: same data, same machine, same questions, one run. Run by `make bench-peers`.

    bench/peers/run.py --nexus BINARY --load BINARY --embedded BINARY [--peers victoriametrics,duckdb] [--hosts N] ...

Servers and engines take turns, A B A B, so that what the machine does meanwhile meets them all. The results go to
bench/results/COMMIT.jsonl (see results.py), the table to standard output and COMMIT.md beside it, the chart to
COMMIT.svg. Ends with 1 if a system gave a wrong answer. A peer that cannot be had is reported and left out.
"""

import argparse
import datetime
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import chart
import duckdb_library
import linked
import machine
import measures
import programs
import report
import results
import served
import systems
from collector import Collector
from server import ServerError

SERVERS = ("victoriametrics", "prometheus", "influxdb")
ENGINES = ("leveldb", "rocksdb", "lmdb", "sqlite", "duckdb")
# Beside cpu, which everything is measured over: for ingest and size.
OTHER_WORKLOADS = ("mixed", "churn", "backfill", "tenants", "nab")
ENGINE_PACKAGES = ("libleveldb-dev", "librocksdb-dev", "liblmdb-dev", "libsqlite3-dev", "libsnappy-dev")


def tell(text):
    print(f"bench-peers: {text}", file=sys.stderr, flush=True)


def git(*arguments):
    return subprocess.run(["git", *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


class Comparison:
    """A whole run."""

    def __init__(self, options):
        self._options = options
        self._folder = pathlib.Path(options.dir).resolve()
        self._collector = Collector(tell)
        self._calibrations = []
        self._skipped = {}
        self._versions = {}
        self._subjects = []
        self._began = time.monotonic()

    def _size(self, workload):
        return programs.Size(workload, self._options.hosts, self._options.ticks, self._options.seed,
                             self._options.recordings)

    def _have(self, name, get):
        """What `get` gives, or None, and the reason is kept."""
        try:
            return get()
        except (systems.Unavailable, ServerError, programs.ProgramError, OSError) as error:
            tell(f"{name} is left out: {error}")
            self._skipped[name] = str(error).replace("\n", " ")[:300]
            return None

    def _wanted(self, name):
        return name == "nexus" or not self._options.peers or name in self._options.peers

    def prepare(self):
        """Installs what is wanted; fills the list of subjects, servers first."""
        load = programs.Program(self._options.load)
        for system in systems.all_systems(pathlib.Path(self._options.nexus)):
            if self._wanted(system.name):
                self._have(system.name, lambda system=system: self._add_server(system, load))
        library = None
        if self._wanted("duckdb"):
            library = self._have("duckdb", duckdb_library.find_or_fetch)
        embedded = programs.Program(self._options.embedded, ["--duckdb", library] if library else [])
        known = {one["engine"]: one["version"] for one in embedded.run("list")["engines"]}
        for name in ("nexus", *ENGINES):
            if self._wanted(name) and known.get(name) is not None:
                self._versions.setdefault(name, known[name])
                self._subjects.append(linked.Linked(name, embedded, self._folder, self._collector))

    def _add_server(self, system, load):
        system.install()
        self._versions[system.name] = system.version()
        subject = served.Served(system, load, self._folder, self._collector)
        self._subjects.append(subject)

    def run(self):
        """Every measurement, each repetition over all subjects in turn."""
        cpu = self._size("cpu")
        steps = [("cpu", lambda subject: subject.measure(cpu, True)), ("small", lambda subject: subject.measure_small(cpu))]
        for repetition in range(self._options.repetitions):
            self._calibrations.append(machine.calibrate(self._folder))
            for title, step in steps:
                self._in_turn(f"{title}, repetition {repetition + 1}", step)
        self._calibrations.append(machine.calibrate(self._folder))
        for workload in OTHER_WORKLOADS:
            if workload == "nab" and not self._options.recordings:
                self._skipped["nab"] = "no recordings: pass --recordings"
                continue
            size = self._size(workload)
            self._in_turn(workload, lambda subject, size=size: subject.measure(size, False))
        self._in_turn("series", lambda subject: subject.measure_series(cpu))
        self._calibrations.append(machine.calibrate(self._folder))

    def _in_turn(self, title, step):
        for subject in list(self._subjects):
            kind = "in process" if isinstance(subject, linked.Linked) else "server"
            tell(f"{time.monotonic() - self._began:5.0f} s  {title}: {subject.name} ({kind})")
            if self._have(f"{subject.name} ({kind}), {title}", lambda subject=subject: step(subject) or True) is None:
                continue

    def record(self):
        """The first line of the results."""
        dirty = "-dirty" if git("status", "--porcelain", "--untracked-files=no") else ""
        noise = machine.noise(self._calibrations)
        return {
            "commit": git("rev-parse", "--short=12", "HEAD") + dirty,
            "when": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "machine": machine.facts(self._folder),
            "sizes": {"hosts": self._options.hosts, "ticks": self._options.ticks},
            "seed": self._options.seed,
            "repetitions": self._options.repetitions,
            "versions": self._versions,
            "skipped": self._skipped,
            "noise": noise,
            "noisy": noise > machine.NOISE_MAX,
            "seconds": round(time.monotonic() - self._began),
        }

    def publish(self):
        """Keeps and prints everything. Returns the exit status."""
        run, found = self.record(), self._collector.results()
        base = os.path.join(self._options.results, run["commit"])
        results.save(base + ".jsonl", run, found)
        text = "\n".join([f"{line}  " for line in report.heading(run)] + [""] + report.table(measures.ALL, found)) + "\n"
        pathlib.Path(base + ".md").write_text(text, encoding="utf-8")
        caption = f"nexus {run['commit']} against the best peer of each row; longer to the right is better"
        pathlib.Path(base + ".svg").write_text(chart.svg(measures.ALL, found, caption), encoding="utf-8")
        print(text)
        tell(f"kept as {base}.jsonl, .md and .svg, after {run['seconds']} s")
        for wrong in self._collector.wrong:
            tell(f"WRONG {wrong}")
        return 1 if self._collector.wrong else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nexus", required=True, help="the nexus binary")
    parser.add_argument("--load", required=True, help="bench/peers/load:load, built")
    parser.add_argument("--embedded", required=True, help="bench/peers/embedded:embedded, built")
    parser.add_argument("--peers", default="", help="some of " + ",".join(SERVERS + ENGINES) + " (all)")
    parser.add_argument("--hosts", type=int, default=100, help="of ten series each (100)")
    parser.add_argument("--ticks", type=int, default=4320, help="of 10 s (4320)")
    parser.add_argument("--seed", type=int, default=42, help="of the data (42)")
    parser.add_argument("--repetitions", type=int, default=3, help="of what is measured over cpu (3)")
    parser.add_argument("--recordings", default="", help="folder of recorded series, for nab")
    parser.add_argument("--dir", default=".cache/bench-peers", help="where databases are made and removed")
    parser.add_argument("--results", default="bench/results", help="where results are kept (bench/results)")
    options = parser.parse_args()
    options.peers = [name for name in options.peers.split(",") if name]
    unknown = set(options.peers) - set(SERVERS + ENGINES)
    if unknown:
        parser.error(f"there is no peer {', '.join(sorted(unknown))}; there are {', '.join(SERVERS + ENGINES)}")
    if min(options.hosts, options.ticks, options.repetitions) < 1:
        parser.error("hosts, ticks and repetitions are at least 1")
    return options


def main():
    options = arguments()
    # A SIGTERM is to end the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shutil.rmtree(options.dir, ignore_errors=True)
    os.makedirs(options.dir)
    comparison = Comparison(options)
    try:
        comparison.prepare()
        comparison.run()
        return comparison.publish()
    finally:
        shutil.rmtree(options.dir, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
