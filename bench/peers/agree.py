#!/usr/bin/env python3
"""Checks that nexus and its peers give the right answers to the comparison's questions, however they were fed.

    bench/peers/agree.py --load bazel-bin/bench/peers/load/load --nexus bin/nexus [--hosts 20] [--ticks 200]
        [--workload cpu] [--only SYSTEM ...] [--dir DIR]

Each system is installed if need be and started over a folder of its own for each path that it takes; it is fed, settled,
asked every kind of question, restarted clean, and asked once more; where acknowledgements are durable, also killed and
asked. Prints a line for each; ends with 1 if an answer was wrong or a step failed, and says which systems could not be
had. Run by hand: it installs Debian packages.
"""

import argparse
import json
import math
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import systems
from server import ServerError

KINDS = ("latest", "raw", "max", "average")
# These acknowledge what is on stable storage; the others may lose it when killed.
DURABLE = ("nexus", "influxdb")
_LOAD_SECONDS_MAX = 600.0


class Disagreement(Exception):
    """An answer is wrong, or could not be had."""


class Load:
    """The client, for one workload."""

    def __init__(self, binary: pathlib.Path, options: argparse.Namespace) -> None:
        self.binary = binary.resolve()
        self.workload = ["--workload", options.workload, "--hosts", str(options.hosts), "--ticks", str(options.ticks)]
        if options.directory:
            self.workload += ["--directory", options.directory]
        self.count = options.count

    def run(self, *arguments: str) -> dict:
        """The JSON that the client prints last."""
        argv = [str(self.binary), *arguments, *self.workload]
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                              timeout=_LOAD_SECONDS_MAX)
        if done.returncode != 0:
            raise Disagreement(f"{' '.join(argv)}: {done.stderr.strip()}")
        return json.loads(done.stdout.splitlines()[-1])

    def questions(self, command: list[str], kind: str) -> list[list[float]]:
        answers = self.run(*command, "--kind", kind, "--count", str(self.count), "--answers", str(self.count))
        return answers["answers"]


def equal(one: list[list[float]], other: list[list[float]]) -> bool:
    """Counts equal, sums within one part in 10^9."""
    return len(one) == len(other) and all(
        a[0] == b[0] and math.isclose(a[1], b[1], rel_tol=1e-9, abs_tol=1e-9) for a, b in zip(one, other))


def check(load: Load, ask: list[str], truth: dict[str, list], when: str) -> None:
    for kind, expected in truth.items():
        found = load.questions(["ask", *ask], kind)
        for number, (a, b) in enumerate(zip(expected, found, strict=True)):
            if not equal([a], [b]):
                raise Disagreement(f"{when}: question {number} of {kind}: expected {a}, answered {b}")


def try_path(system: systems.System, path: str, load: Load, truth: dict, folder: pathlib.Path, workload: str) -> str:
    """Feeds and asks one system by one path. Returns what was done, for people."""
    system.start(folder, workload)
    try:
        measurement = workload if workload in ("mixed", "nab") else "cpu"
        feed = system.feeds(measurement)[path]
        fed = load.run("feed", *feed.arguments, "--batch", "1000")
        stored = systems.stored_bytes(system.settle())
        ask = system.ask_arguments(feed)
        check(load, ask, truth, "settled")
        system.restart()
        check(load, ask, truth, "after a clean restart")
        if system.name in DURABLE:
            system.restart(clean=False)
            check(load, ask, truth, "after kill -9")
        cpu, resident = system.server.cpu_seconds(), system.server.resident_bytes()
        return (f"{fed['samples']} samples, {fed['bytes_sent']} bytes sent, {stored} stored; "
                f"since its last start {cpu:.2f} cpu-s, {resident >> 20} MiB")
    finally:
        system.stop()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Checks that all systems give the right answers.")
    parser.add_argument("--load", type=pathlib.Path, required=True, help="bench/peers/load:load, built")
    parser.add_argument("--nexus", type=pathlib.Path, required=True, help="the nexus binary")
    parser.add_argument("--workload", default="cpu")
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--ticks", type=int, default=200)
    parser.add_argument("--directory", help="recordings of nab")
    parser.add_argument("--count", type=int, default=8, help="questions of each kind")
    parser.add_argument("--only", nargs="*", help="systems; default all")
    parser.add_argument("--dir", type=pathlib.Path, help="where data goes; default a temporary folder")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    # A SIGTERM is to end the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load = Load(options.load, options)
    truth = {kind: load.questions(["truth"], kind) for kind in KINDS}
    top = pathlib.Path(tempfile.mkdtemp(prefix="nexus-agree-", dir=options.dir))
    wrong = 0
    try:
        for system in systems.all_systems(options.nexus):
            if options.only and system.name not in options.only:
                continue
            try:
                system.install()
                print(f"{system.name} {system.version()}", flush=True)
                for path in system.paths:
                    try:
                        done = try_path(system, path, load, truth, top / f"{system.name}-{path}", options.workload)
                        print(f"  {path:<13} agrees: {done}", flush=True)
                    except (Disagreement, ServerError) as error:
                        print(f"  {path:<13} WRONG: {error}", flush=True)
                        wrong += 1
            except systems.Unavailable as error:
                print(f"{system.name} cannot be had: {error}", flush=True)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
