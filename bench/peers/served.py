"""Measures the servers of a comparison: nexus, VictoriaMetrics, Prometheus, InfluxDB, each a process of its own."""

import pathlib
import shutil
import time

import machine
import measures

_LATENCY_BATCHES = 500
_QUESTIONS = {"latest": 500, "raw": 500, "max": 20, "average": 10}
_CHECKED = 5
_SERIES = {"100k": 100_000, "1M": 1_000_000}
_SERIES_BATCH = 5000
# A server that is killed had acknowledged this share of the workload, if it was quick enough.
_KILL_SHARE = 0.5
_KILL_SECONDS_MAX = 20
# Under ingest: the questions of a kind are few, so that the ingest outlasts them.
_BUSY_SHARE = 4


class Served:
    """One server, in folders of its own below `folder`."""

    def __init__(self, system, load, folder, collector):
        self.name = system.name
        self._system = system
        self._load = load
        self._folder = pathlib.Path(folder)
        self._collector = collector

    def _start_fresh(self, what, size):
        folder = self._folder / f"{self.name}-{what}"
        shutil.rmtree(folder, ignore_errors=True)
        self._system.start(folder, size.workload)

    def _end(self):
        self._system.stop()
        shutil.rmtree(self._system.folder, ignore_errors=True)

    def _feeds(self, size):
        """Every path, the one that is usual for this server first."""
        return self._system.feeds(size.workload if size.workload in ("mixed", "nab") else "cpu")

    def paths(self, size):
        """Their names, known once it has been started."""
        return list(self._feeds(size))

    def measure(self, size, thorough):
        """One repetition over a workload; `thorough` takes every path and measures more than ingest and size."""
        self._start_fresh("probe", size)
        paths = self.paths(size)
        self._end()
        for path in paths if thorough else paths[:1]:
            self._start_fresh(path, size)
            try:
                feed = self._feeds(size)[path]
                samples = self._feed(feed, size)
                if path == paths[0]:
                    self._weigh(size, samples)
                    if thorough:
                        self._ask_all(feed, size)
            finally:
                self._end()

    def _feed(self, feed, size):
        cpu = self._system.server.cpu_seconds()
        done = self._load.run("feed", *feed.arguments, *size.arguments, "--batch", feed.batch)
        cpu = self._system.server.cpu_seconds() - cpu
        self._add(f"ingest.{feed.path}", size, done["samples"] / done["seconds"])
        self._add(f"cpu.{feed.path}", size, cpu / done["samples"] * 1e6)
        return done["samples"]

    def _weigh(self, size, samples):
        folders = self._system.settle(self._tenants(size))
        self._add("bytes.compacted", size, sum(machine.folder_bytes(folder) for folder in folders) / samples)

    def _tenants(self, size):
        return [f"tenant-{t}" for t in range(size.hosts)] if size.workload == "tenants" else ["default"]

    def _questions(self, feed, size, question, count, *arguments):
        return self._load.run("ask", *self._system.ask_arguments(feed), *size.arguments, "--kind", question, "--count",
                              count, "--answers", _CHECKED, *arguments)

    def _ask_all(self, feed, size):
        truths = {}
        for question, count in _QUESTIONS.items():
            asked = self._questions(feed, size, question, count)
            truths[question] = self._load.run("truth", *size.arguments, "--kind", question, "--count", count, "--answers",
                                              _CHECKED)["answers"]
            self._collector.check(self.name, question, truths[question], asked["answers"])
            for quantile in ("p50", "p95", "p99"):
                self._add(f"ask.server.{question}.{quantile}", size, asked[f"{quantile}_ms"])
        self._ask_cold(feed, size)
        self._ask_busy(feed, size, truths)
        seconds = self._system.restart()
        self._add("restart.clean.server", size, seconds + self._first_answer(feed, size))

    def _first_answer(self, feed, size):
        return self._questions(feed, size, "latest", 1, "--cold")["p50_ms"] / 1e3

    def _ask_cold(self, feed, size):
        for question in _QUESTIONS:
            self._system.stop()
            if not machine.forget_cached_files():
                self._system.restart()
                return
            self._system.restart()
            self._add(f"cold.{question}", size, self._questions(feed, size, question, 1, "--cold")["p50_ms"])

    def _ask_busy(self, feed, size, truths):
        writing = self._load.start("feed", *feed.arguments, *size.arguments, "--batch", feed.batch, "--extra")
        try:
            for question, count in _QUESTIONS.items():
                asked = self._questions(feed, size, question, max(_CHECKED, count // _BUSY_SHARE))
                self._collector.check(f"{self.name} under ingest", question, truths[question], asked["answers"])
                self._add(f"busy.{question}", size, asked["p50_ms"])
        finally:
            writing.finish(0)

    def measure_small(self, size):
        """One repetition of acknowledgements and of what a kill leaves."""
        self._start_fresh("small", size)
        try:
            feed = next(iter(self._feeds(size).values()))
            before = machine.flushes(self._folder)
            latency = self._load.run("latency", *feed.arguments, *size.arguments, "--count", _LATENCY_BATCHES)
            for quantile in ("p50", "p99"):
                self._add(f"ack.server.{quantile}", size, latency[f"{quantile}_ms"])
            if before is not None:
                self._add("flushes.server", size, (machine.flushes(self._folder) - before) / _LATENCY_BATCHES)
        finally:
            self._end()
        self._kill(size)

    def _kill(self, size):
        self._start_fresh("killed", size)
        try:
            feed = next(iter(self._feeds(size).values()))
            writing = self._load.start("feed", *feed.arguments, *size.arguments, "--batch", feed.batch, "--progress")
            writing.wait_for(_KILL_SHARE * size.hosts * size.ticks * 10, _KILL_SECONDS_MAX)
            self._system.kill()
            done = writing.finish()
            acknowledged = max(done["samples"], 1)
            seconds = self._system.restart(clean=False)
            self._add("restart.killed.server", size, seconds + self._first_answer(feed, size))
            # Of ten metrics it counts the first.
            found = self._load.run("count", *self._system.ask_arguments(feed), *size.arguments)["samples"] * 10
            self._add("lost.server", size, 100 * max(0, acknowledged - found) / acknowledged)
        finally:
            self._end()

    def measure_series(self, size):
        """New series and the memory that they take."""
        for title, count in _SERIES.items():
            self._start_fresh("series", size)
            try:
                feed = next(iter(self._feeds(size).values()))
                made = self._load.run("series", *feed.arguments, *size.arguments, "--count", count, "--batch",
                                      _SERIES_BATCH)
                self._add("series.server", size, made["series_per_second"])
                time.sleep(1)  # what is put off is done
                self._add(f"memory.{title}", size, self._system.server.resident_bytes() / 2**20)
            finally:
                self._end()

    def _add(self, measure, size, value, remark=""):
        self._collector.add(measure, size.workload, self.name, value, remark)


assert set(_QUESTIONS) == set(measures.QUESTIONS)
