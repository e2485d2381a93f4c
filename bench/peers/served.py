"""Measures the servers of a comparison: nexus, VictoriaMetrics, Prometheus, InfluxDB, each a process of its own."""

import dataclasses
import pathlib
import shutil
import time

import machine
import measures
import systems

_LATENCY_BATCHES = 3000
_SERIES = {"100k": 100_000, "1M": 1_000_000}
_SERIES_BATCH = 5000
# A server that is killed had acknowledged this share of the workload, if it was quick enough.
_KILL_SHARE = 0.5
_KILL_SECONDS_MAX = 20
_FIRST_SECONDS_MAX = 60
# So much longer than the workload is what is written beside questions, to outlast them.
_BUSY_TICKS = 50


class Served:
    """One server, in folders of its own below `folder`."""

    side = measures.SERVER

    def __init__(self, system, load, truth, folder, collector, make_tenants=None):
        """`make_tenants`, of nexus: a function of folder and size, for what the server cannot be asked for."""
        self.name = system.name
        self._system = system
        self._load = load
        self._truth = truth
        self._folder = pathlib.Path(folder)
        self._collector = collector
        self._make_tenants = make_tenants

    def _start_fresh(self, what, size):
        folder = self._folder / f"{self.name}-{what}"
        shutil.rmtree(folder, ignore_errors=True)
        if size.workload == "tenants" and self._make_tenants is not None:
            self._make_tenants(folder, size)
        self._system.start(folder, size.workload)

    def _end(self):
        self._system.stop()
        shutil.rmtree(self._system.folder, ignore_errors=True)

    def _feed_of(self, size, path):
        """A path by name, of the server as it was started last."""
        return self._system.feeds(size.workload if size.workload in ("mixed", "nab") else "cpu")[path]

    def measure(self, size, thorough):
        """One repetition over a workload; `thorough` takes every path and measures more than ingest, size and a few
        answers."""
        for path in self._system.paths if thorough else self._system.paths[:1]:
            self._start_fresh(path, size)
            try:
                feed = self._feed_of(size, path)
                samples = self._feed(feed, size)
                if path == self._system.paths[0]:
                    self._weigh(size, samples)
                    self._ask(feed, size) if thorough else self._check(feed, size)
                else:
                    self._check(feed, size)
            finally:
                self._end()

    def _feed(self, feed, size):
        cpu = self._system.server.cpu_seconds()
        done = self._load.run("feed", *feed.arguments, *size.arguments, "--batch", feed.batch)
        cpu = self._system.server.cpu_seconds() - cpu
        self._add(f"ingest.{feed.path}.server", size, done["samples"] / done["seconds"])
        self._add(f"cpu.{feed.path}.server", size, cpu / done["samples"] * 1e6)
        return done["samples"]

    def _weigh(self, size, samples):
        self._add("bytes.rest.server", size, systems.stored_bytes(self._system.settle()) / samples)

    def _questions(self, feed, size, question, count, *arguments):
        return self._load.run("ask", *self._system.ask_arguments(feed), *size.arguments, "--kind", question, "--count",
                              count, "--answers", count, *arguments)

    def _checked(self, feed, size, question, count, when=""):
        asked = self._questions(feed, size, question, count)
        self._collector.check(f"{self.name}, {size.workload} by {feed.path}{when}", question,
                              self._truth.of(size, question, count), asked["answers"])
        return asked

    def _check(self, feed, size):
        self._system.show()
        for question in measures.questions_of(size.workload):
            self._checked(feed, size, question, measures.CHECKED)

    def _ask(self, feed, size):
        for question, count in measures.QUESTION_COUNTS.items():
            asked = self._checked(feed, size, question, count)
            for quantile in ("p50", "p95", "p99"):
                self._add(f"ask.{question}.{quantile}.server", size, asked[f"{quantile}_ms"])
        self._ask_cold(feed, size)
        self._ask_busy(feed, size)
        seconds = self._system.restart()
        self._add("restart.clean.server", size, seconds + self._first_answer(feed, size))

    def _first_answer(self, feed, size):
        return self._questions(feed, size, "latest", 1, "--cold")["p50_ms"] / 1e3

    def _ask_cold(self, feed, size):
        for question in measures.QUESTIONS:
            self._system.stop()
            forgotten = machine.forget_cached_files()
            self._system.restart()
            if not forgotten:
                return
            self._add(f"cold.{question}.server", size, self._questions(feed, size, question, 1, "--cold")["p50_ms"])

    def _ask_busy(self, feed, size):
        longer = dataclasses.replace(size, ticks=size.ticks * _BUSY_TICKS)
        writing = self._load.start("feed", *feed.arguments, *longer.arguments, "--batch", feed.batch, "--extra",
                                   "--progress")
        try:
            writing.wait_for(1, _FIRST_SECONDS_MAX)  # it makes its rows before it sends them
            for question, count in measures.QUESTION_COUNTS.items():
                asked = self._checked(feed, size, question, count, " under ingest")
                # Whether it was under ingest to the end.
                if writing.running():
                    self._add(f"busy.{question}.server", size, asked["p50_ms"])
        finally:
            writing.finish(0)

    def measure_small(self, size):
        """One repetition of acknowledgements and of what a kill leaves."""
        self._start_fresh("small", size)
        try:
            feed = self._feed_of(size, self._system.paths[0])
            before = machine.flushes(self._folder)
            latency = self._load.run("latency", *feed.arguments, *size.arguments, "--count", _LATENCY_BATCHES)
            for quantile in ("p50", "p99"):
                self._add(f"ack.{quantile}.server", size, latency[f"{quantile}_ms"])
            if before is not None:
                self._add("flushes.server", size, (machine.flushes(self._folder) - before) / _LATENCY_BATCHES)
        finally:
            self._end()
        self._kill(size)

    def _kill(self, size):
        self._start_fresh("killed", size)
        try:
            feed = self._feed_of(size, self._system.paths[0])
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
                feed = self._feed_of(size, self._system.paths[0])
                made = self._load.run("series", *feed.arguments, *size.arguments, "--count", count, "--batch",
                                      _SERIES_BATCH)
                self._add("series.server", size, made["series_per_second"])
                time.sleep(1)  # what is put off is done
                self._add(f"memory.{title}.server", size, self._system.server.resident_bytes() / 2**20)
            finally:
                self._end()

    def _add(self, measure, size, value, remark=""):
        self._collector.add(measure, size.workload, self.name, value, remark)
