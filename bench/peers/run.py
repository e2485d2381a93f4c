#!/usr/bin/env python3
"""Compares nexus with its peers: same data, same machine, same questions, one run. Run by `make bench-peers`.

    bench/peers/run.py [--peers victoriametrics,duckdb] [--hosts N] [--ticks N] [--seed N] [--repetitions N] ...

Installs what is missing of the peers, builds the measuring programs, and lets servers and engines take turns, A B A B,
so that what the machine does meanwhile meets them all. The results go to bench/results/COMMIT.jsonl (see results.py), the
tables to standard output, the chart to COMMIT.svg. Ends with 1 if a system gave a wrong answer. A peer that cannot be had
is reported and left out.
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

import builds
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
ENGINES = (*builds.LINKED, "duckdb")
# Beside cpu, which everything is measured over: for ingest, size and answers, a quarter of its time each.
OTHER_WORKLOADS = ("mixed", "churn", "backfill", "tenants", "nab")
TENANTS = 1000


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
        self._steps = []
        self._began = time.monotonic()

    def _size(self, workload):
        hosts, ticks = self._options.hosts, self._options.ticks
        if workload != "cpu":
            ticks = max(1, ticks // 4)
        if workload == "tenants":
            # As many samples as the others, of a thousand tenants.
            hosts, ticks = TENANTS, max(1, hosts * ticks // TENANTS)
        return programs.Size(workload, hosts, ticks, self._options.seed, self._options.recordings)

    def _have(self, name, get):
        """What `get` gives, or None, and the reason is kept."""
        try:
            return get()
        except (systems.Unavailable, ServerError, programs.ProgramError, OSError) as error:
            self._skip(name, error)
            return None

    def _skip(self, name, reason):
        tell(f"{name} is left out: {reason}")
        self._skipped[name] = str(reason).replace("\n", " ")[:300]

    def _wanted(self, name):
        return name == "nexus" or not self._options.peers or name in self._options.peers

    def prepare(self):
        """Installs and builds what is wanted; fills the list of subjects, servers first."""
        wanted = list(filter(self._wanted, ENGINES))
        built = builds.build(wanted, servers=True)
        for name, reason in built.missing.items():
            self._skip(name, reason)
        library = self._have("duckdb", duckdb_library.find_or_fetch) if "duckdb" in wanted else None
        embedded = programs.Program(built.embedded, ["--duckdb", library] if library else [])
        if built.load is not None:
            self._add_servers(programs.Program(built.load), embedded)
        truth = programs.Truth(embedded)
        known = {one["engine"]: one["version"] for one in embedded.run("list")["engines"]}
        for name in ("nexus", *wanted):
            if known.get(name) is not None:
                self._versions.setdefault(name, known[name])
                self._subjects.append(linked.Linked(name, embedded, truth, self._folder, self._collector))

    def _add_servers(self, load, embedded):
        truth = programs.Truth(load)

        def make_tenants(folder, size):
            embedded.run("tenants", "--dir", folder, *size.arguments)

        for system in systems.all_systems(pathlib.Path(self._options.nexus)):
            if not self._wanted(system.name):
                continue

            def add(system=system):
                system.install()
                self._versions[system.name] = system.version()
                return served.Served(system, load, truth, self._folder, self._collector,
                                     make_tenants if system.name == "nexus" else None)

            subject = self._have(system.name, add)
            if subject is not None:
                self._subjects.append(subject)

    def run(self):
        """Every measurement, each repetition over all subjects in turn."""
        cpu = self._size("cpu")
        rounds = []
        for repetition in range(1, self._options.repetitions + 1):
            rounds.append((f"repetition {repetition}", lambda subject: subject.measure(cpu, True)))
            rounds.append((f"small batches and kill -9, repetition {repetition}", lambda subject: subject.measure_small(cpu)))
        for workload in OTHER_WORKLOADS:
            if workload == "nab" and not self._options.recordings:
                self._skip("nab", "there are no recordings; name their folder by --recordings")
                continue
            size = self._size(workload)
            rounds.append((workload, lambda subject, size=size: subject.measure(size, False)))
        rounds.append(("new series", lambda subject: subject.measure_series(cpu)))
        for done, (title, step) in enumerate(rounds):
            self._calibrations.append(machine.calibrate(self._folder))
            for turn, subject in enumerate(self._subjects):
                share = (done + turn / len(self._subjects)) / len(rounds)
                tell(f"{share:4.0%} {time.monotonic() - self._began:5.0f} s  {title}: {subject.name}, {subject.side}")
                self._have(f"{subject.name} ({subject.side}), {title}", lambda: step(subject))
        self._calibrations.append(machine.calibrate(self._folder))

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
            "noisy": max(noise.values()) > machine.NOISE_MAX,
            "seconds": round(time.monotonic() - self._began),
        }

    def publish(self):
        """Keeps and prints everything. Returns the exit status."""
        run, found = self.record(), self._collector.results()
        base = os.path.join(self._options.results, run["commit"])
        results.save(base + ".jsonl", run, found)
        caption = f"nexus {run['commit']} against the best peer of each row; longer to the right is better"
        pathlib.Path(base + ".svg").write_text(chart.svg(measures.ALL, found, caption), encoding="utf-8")
        print("\n".join([f"{line}  " for line in report.heading(run)] + report.table(measures.ALL, found)))
        tell(f"kept as {base}.jsonl and .svg, after {run['seconds']} s")
        for wrong in self._collector.wrong:
            tell(f"WRONG {wrong}")
        return 1 if self._collector.wrong else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nexus", default="bin/nexus", help="the nexus binary (bin/nexus)")
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
