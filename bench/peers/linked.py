"""Measures the engines that are linked into the program `embedded`: nexus, LevelDB, RocksDB, LMDB, SQLite, DuckDB."""

import dataclasses
import os
import shutil

import machine
import measures

# Slow engines are stopped here, at the end of a tick; what they have by then is what is asked about.
_LIMIT_SECONDS = 6
# These have ticks to stop at.
_LIMITED = ("cpu", "mixed", "tenants")
_LATENCY_COMMITS = 3000
_SERIES = {"100k": 100_000, "1M": 1_000_000}
_KILL_AFTER_S = 1.0
_KILL_TICKS = 100


class Linked:
    """One engine, in a folder of its own below `folder`."""

    side = measures.EMBEDDED

    def __init__(self, name, program, truth, folder, collector):
        self.name = name
        self._program = program
        self._truth = truth
        self._folder = os.path.join(folder, f"{name}-linked")
        self._collector = collector

    def _fresh(self):
        shutil.rmtree(self._folder, ignore_errors=True)
        return self._folder

    def _run(self, command, size, *arguments):
        return self._program.run(command, self.name, "--dir", self._folder, *size.arguments, *arguments)

    def measure(self, size, thorough):
        """One repetition over a workload; `thorough` measures more than ingest, size and a few answers."""
        self._fresh()
        limit = ("--limit", _LIMIT_SECONDS) if size.workload in _LIMITED else ()
        done = self._run("ingest", size, *limit)
        samples = done["samples"]
        remark = "" if done["complete"] else f"first {done['ticks'] / size.ticks:.0%}"
        self._add("ingest.embedded", size, samples / done["seconds"], remark)
        self._add("cpu.embedded", size, done["cpu_seconds"] / samples * 1e6)
        settled = self._run("settle", size, "--compact")
        # nexus keeps a log and a reserve of fixed sizes beside its data; they are not what a sample takes.
        flushed = settled["bytes_data"] or settled["bytes"]
        self._add("bytes.flushed.embedded", size, flushed / samples, remark)
        self._add("bytes.rest.embedded", size, (settled["bytes_compacted"] or flushed) / samples, remark)
        written = size if done["complete"] else dataclasses.replace(size, ticks=done["ticks"])
        if thorough:
            self._ask(written, remark)
            self._restart(written)
        else:
            self._check(written)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ask(self, size, remark):
        for question, count in measures.QUESTION_COUNTS.items():
            asked = self._questions(size, question, count)
            for quantile in ("p50", "p95", "p99"):
                self._add(f"ask.{question}.{quantile}.embedded", size, asked[f"{quantile}_ms"], remark)
        scan = self._run("scan", size)
        self._add("scan.embedded", size, scan["samples"] / scan["seconds"], remark)

    def _check(self, size):
        for question in measures.questions_of(size.workload):
            self._questions(size, question, measures.CHECKED)

    def _questions(self, size, question, count):
        asked = self._run("ask", size, "--kind", question, "--count", count, "--answers", count)
        truth = self._truth.of(size, question, count)
        self._collector.check(f"{self.name} in process, {size.workload}", question, truth, asked["answers"])
        return asked

    def _restart(self, size):
        self._add("restart.clean.embedded", size, self._run("restart", size)["seconds"])

    def measure_small(self, size):
        """One repetition of acknowledgements and of what a kill leaves."""
        self._fresh()
        before = machine.flushes(os.path.dirname(self._folder))
        latency = self._run("latency", size, "--count", _LATENCY_COMMITS)
        for quantile in ("p50", "p99"):
            self._add(f"ack.{quantile}.embedded", size, latency[f"{quantile}_ms"])
        if before is not None:
            flushed = machine.flushes(os.path.dirname(self._folder)) - before
            self._add("flushes.embedded", size, flushed / _LATENCY_COMMITS)
        self._kill(size)
        shutil.rmtree(self._folder, ignore_errors=True)

    def measure_series(self, size):
        """New series and the memory that they take."""
        for title, count in _SERIES.items():
            self._fresh()
            made = self._run("series", size, "--count", count)
            self._add(f"memory.{title}.embedded", size, made["rss_bytes"] / 2**20)
            self._add("series.embedded", size, made["series_per_second"])
        shutil.rmtree(self._folder, ignore_errors=True)

    def _kill(self, size):
        # More than any engine takes in until then.
        size = dataclasses.replace(size, ticks=size.ticks * _KILL_TICKS)
        self._fresh()
        writing = self._program.start("ingest", self.name, "--dir", self._folder, *size.arguments, "--progress")
        writing.wait_for(1, _LIMIT_SECONDS)
        writing.wait_for(float("inf"), _KILL_AFTER_S)
        acknowledged = writing.kill()
        if acknowledged == 0:
            return
        back = self._run("restart", size, "--expect", acknowledged)
        self._add("restart.killed.embedded", size, back["seconds"])
        lost = max(0, acknowledged - back["recovered"])
        self._add("lost.embedded", size, 100 * lost / acknowledged)

    def _add(self, measure, size, value, remark=""):
        self._collector.add(measure, size.workload, self.name, value, remark)
