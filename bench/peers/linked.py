"""Measures the engines that are linked into the program `embedded`: nexus, LevelDB, RocksDB, LMDB, SQLite, DuckDB."""

import os
import shutil

import machine
import measures

# Slow engines are stopped here; what they have by then is what is asked about.
LIMIT_SECONDS = 20
_LATENCY_COMMITS = 500
_QUESTIONS = {"latest": 500, "raw": 500, "max": 20, "average": 10}
_CHECKED = 5
_SERIES = {"100k": 100_000, "1M": 1_000_000}
_KILL_AFTER_S = 1.0


class Linked:
    """One engine, in a folder of its own below `folder`."""

    def __init__(self, name, program, folder, collector):
        self.name = name
        self._program = program
        self._folder = os.path.join(folder, f"{name}-linked")
        self._collector = collector

    def _fresh(self):
        shutil.rmtree(self._folder, ignore_errors=True)
        return self._folder

    def _run(self, command, size, *arguments):
        return self._program.run(command, self.name, "--dir", self._folder, *size.arguments, *arguments)

    def measure(self, size, thorough):
        """One repetition over a workload; `thorough` measures more than ingest and size."""
        self._fresh()
        done = self._run("ingest", size, "--limit", LIMIT_SECONDS)
        samples = done["samples"]
        whole = done["ticks"] is None or done["ticks"] >= size.ticks
        remark = "" if whole else f"first {done['ticks'] / 360:.1f} h"
        self._add("ingest.embedded", size, samples / done["seconds"], remark)
        self._add("cpu.embedded", size, done["cpu_seconds"] / samples * 1e6)
        settled = self._run("settle", size, "--compact")
        # nexus keeps a log and a reserve of fixed sizes beside its data; they are not what a sample takes.
        flushed = settled["bytes_data"] or settled["bytes"]
        self._add("bytes.flushed", size, flushed / samples, remark)
        self._add("bytes.compacted", size, (settled["bytes_compacted"] or flushed) / samples, remark)
        if thorough:
            written = size if whole else type(size)(size.workload, size.hosts, done["ticks"], size.seed, size.recordings)
            self._ask(written, remark)
            self._restart(written)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ask(self, size, remark):
        for question, count in _QUESTIONS.items():
            asked = self._run("ask", size, "--kind", question, "--count", count, "--answers", _CHECKED)
            truth = self._program.run("truth", *size.arguments, "--kind", question, "--count", count, "--answers", _CHECKED)
            self._collector.check(f"{self.name} in process", question, truth["answers"], asked["answers"])
            for quantile in ("p50", "p95", "p99"):
                self._add(f"ask.embedded.{question}.{quantile}", size, asked[f"{quantile}_ms"], remark)
        scan = self._run("scan", size)
        self._add("scan", size, scan["samples"] / scan["seconds"], remark)

    def _restart(self, size):
        self._add("restart.clean.embedded", size, self._run("restart", size)["seconds"])

    def measure_small(self, size):
        """One repetition of acknowledgements, new series, memory, and what a kill leaves."""
        self._fresh()
        before = machine.flushes(os.path.dirname(self._folder))
        latency = self._run("latency", size, "--count", _LATENCY_COMMITS)
        for quantile in ("p50", "p99"):
            self._add(f"ack.embedded.{quantile}", size, latency[f"{quantile}_ms"])
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
            self._add(f"memory.{title}", size, made["rss_bytes"] / 2**20, "in process")
            self._add("series.embedded", size, made["series_per_second"])
        shutil.rmtree(self._folder, ignore_errors=True)

    def _kill(self, size):
        self._fresh()
        writing = self._program.start("ingest", self.name, "--dir", self._folder, *size.arguments, "--progress")
        writing.wait_for(1, LIMIT_SECONDS)
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


assert set(_QUESTIONS) == set(measures.QUESTIONS)
