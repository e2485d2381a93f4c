"""Everything that a comparison measures, in the order of its table. What each row means is told in docs/benchmarks.md."""

from results import HIGHER, LOWER, Measure

QUESTIONS = {
    "latest": "latest of 1 series",
    "raw": "1 series x 1 h raw",
    "max": "8 series x all time, 1-minute max",
    "average": "all hosts x 1 h, average by host",
}
PATHS = {
    "nxp1": "binary protocol",
    "influx-http": "line protocol over HTTP",
    "influx-tcp": "line protocol over TCP",
    "remote-write": "remote write",
    "embedded": "in process, durable",
}
SIDES = {"server": "server", "embedded": "in process"}


def _all():
    yield Measure("ingest.best", "ingest, best path of each server", "samples/s", HIGHER)
    for path, title in PATHS.items():
        yield Measure(f"ingest.{path}", f"ingest, {title}", "samples/s", HIGHER)
        yield Measure(f"cpu.{path}", f"CPU of ingest, {title}", "s per M samples", LOWER)
    for side, title in SIDES.items():
        for quantile in ("p50", "p99"):
            yield Measure(f"ack.{side}.{quantile}", f"10 samples acknowledged, {title}, {quantile}", "ms", LOWER)
        yield Measure(f"flushes.{side}", f"disk flushes per acknowledged batch of 10, {title}", "flushes", HIGHER)
    yield Measure("bytes.flushed", "bytes per sample after flush", "bytes", LOWER)
    yield Measure("bytes.compacted", "bytes per sample after compaction", "bytes", LOWER)
    for side, side_title in SIDES.items():
        for question, title in QUESTIONS.items():
            for quantile in ("p50", "p95", "p99"):
                yield Measure(f"ask.{side}.{question}.{quantile}", f"{title}, {side_title}, {quantile}", "ms", LOWER)
    for question, title in QUESTIONS.items():
        yield Measure(f"cold.{question}", f"{title}, server, cold cache, first answer", "ms", LOWER)
    for question, title in QUESTIONS.items():
        yield Measure(f"busy.{question}", f"{title}, server, under ingest, p50", "ms", LOWER)
    yield Measure("scan", "scan of all samples, in process", "samples/s", HIGHER)
    yield Measure("series.server", "new series, server", "series/s", HIGHER)
    yield Measure("series.embedded", "new series, in process", "series/s", HIGHER)
    for count in ("100k", "1M"):
        yield Measure(f"memory.{count}", f"resident memory with {count} series", "MiB", LOWER)
    for side, title in SIDES.items():
        yield Measure(f"restart.clean.{side}", f"clean restart to first right answer, {title}", "s", LOWER)
        yield Measure(f"restart.killed.{side}", f"restart after kill -9 to first right answer, {title}", "s", LOWER)
        yield Measure(f"lost.{side}", f"acknowledged samples lost by kill -9, {title}", "% of them", LOWER)


ALL = list(_all())
BY_NAME = {measure.name: measure for measure in ALL}
