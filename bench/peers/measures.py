"""Everything that a comparison measures, in the order of its tables. What each row means is told in docs/benchmarks.md."""

from results import COUNT, HIGHER, LOWER, Measure

QUESTIONS = {
    "latest": "latest of 1 series",
    "raw": "1 series x 1 h raw",
    "max": "8 series x all time, 1-minute max",
    "average": "all hosts x 1 h, average by host",
}
# How many of each are timed, and how many are asked where only the answers matter.
QUESTION_COUNTS = {"latest": 500, "raw": 500, "max": 20, "average": 10}
CHECKED = 5
PATHS = {
    "nxp1": "binary protocol",
    "influx-http": "line protocol over HTTP",
    "influx-tcp": "line protocol over TCP",
    "remote-write": "remote write",
}
SERVER, EMBEDDED = "server", "in process"
# In the order of the tables: the last part of a measure's name, and how people call it.
SIDES = {"server": SERVER, "embedded": EMBEDDED}


def questions_of(workload):
    """Those that all systems answer alike. Recordings have timestamps twice, which some keep and some do not, and do not
    begin on whole minutes; of a tenant's single host an average is its own."""
    return {"nab": ("latest",), "tenants": ("latest", "raw")}.get(workload, ("latest", "raw", "max", "average"))


def _ingest():
    yield Measure("ingest.best.server", "ingest, best path", "samples/s", HIGHER, SERVER, True)
    for path, title in PATHS.items():
        yield Measure(f"ingest.{path}.server", f"ingest, {title}", "samples/s", HIGHER, SERVER, path.startswith("influx"))
        yield Measure(f"cpu.{path}.server", f"CPU of ingest, {title}", "s per M samples", LOWER, SERVER)
    yield Measure("ingest.embedded", "ingest, durable", "samples/s", HIGHER, EMBEDDED, True)
    yield Measure("cpu.embedded", "CPU of ingest, durable", "s per M samples", LOWER, EMBEDDED)


def _sizes(side, title):
    if side == "embedded":
        yield Measure(f"bytes.flushed.{side}", "bytes per sample after flush", "bytes", LOWER, title)
    yield Measure(f"bytes.rest.{side}", "bytes per sample at rest: compacted, where there is that", "bytes", LOWER, title,
                  True)


def _questions(side, title):
    for question, words in QUESTIONS.items():
        for quantile in ("p50", "p95", "p99"):
            yield Measure(f"ask.{question}.{quantile}.{side}", f"{words}, {quantile}", "ms", LOWER, title, quantile == "p50")
    if side == "embedded":
        yield Measure("scan.embedded", "scan of all samples", "samples/s", HIGHER, title, True)
        return
    for question, words in QUESTIONS.items():
        yield Measure(f"cold.{question}.{side}", f"{words}, cold cache, first answer", "ms", LOWER, title)
    for question, words in QUESTIONS.items():
        yield Measure(f"busy.{question}.{side}", f"{words}, under ingest, p50", "ms", LOWER, title)


def _life(side, title):
    for quantile in ("p50", "p99"):
        yield Measure(f"ack.{quantile}.{side}", f"10 samples acknowledged, {quantile}", "ms", LOWER, title, quantile == "p99")
    yield Measure(f"flushes.{side}", "disk flushes per acknowledged batch of 10", "flushes", COUNT, title)
    yield Measure(f"series.{side}", "new series", "series/s", HIGHER, title, True)
    for count in ("100k", "1M"):
        yield Measure(f"memory.{count}.{side}", f"resident memory with {count} series", "MiB", LOWER, title, count == "1M")
    yield Measure(f"restart.clean.{side}", "clean restart to first right answer", "s", LOWER, title)
    yield Measure(f"restart.killed.{side}", "restart after kill -9 to first answer", "s", LOWER, title, True)
    yield Measure(f"lost.{side}", "acknowledged samples lost by kill -9", "% of them", LOWER, title, True)


def _all():
    ingest = list(_ingest())
    for side, title in SIDES.items():
        yield from (measure for measure in ingest if measure.side == title)
        yield from _sizes(side, title)
        yield from _questions(side, title)
        yield from _life(side, title)


ALL = list(_all())
BY_NAME = {measure.name: measure for measure in ALL}
assert set(QUESTION_COUNTS) == set(QUESTIONS)
