#!/usr/bin/env python3
"""Tests of what a comparison prints and keeps: results, table, chart, the comparison of two commits."""

import contextlib
import io
import os
import pathlib
import shutil
import sys
import tempfile
import unittest
import unittest.mock
import xml.dom.minidom

sys.path.insert(0, os.path.join("bench", "peers"))

# pylint: disable=wrong-import-position
import chart
import diff
import machine
import measures
import report
import results as records
import systems

RUN = {"commit": "0123456789ab", "when": "2026-11-20", "repetitions": 3, "seed": 42, "noise": {"processor": 1.05, "disk": 1.1}, "noisy": False,
       "machine": {"processor": "a processor", "cores": 2, "memory_gib": 24, "kernel": "6", "file_system": "ext4 rw",
                   "disk": "vda", "disk_cache": "write back", "disk_fua": "0", "compiler": "g++ 12"},
       "sizes": {"hosts": 200, "ticks": 4320}, "versions": {"nexus": "0", "leveldb": "1.23"},
       "skipped": {"duckdb": "could not be installed: no network"}}


def result(measure, system, *values, workload="cpu"):
    return records.Result(measure, workload, system, list(values))


class ReportTest(unittest.TestCase):
    RESULTS = [result("ingest.embedded", "nexus", 30e6, 31e6, 29e6), result("ingest.embedded", "leveldb", 1e6),
               result("ingest.embedded", "duckdb", 15e6), result("bytes.rest.embedded", "nexus", 0.8),
               result("bytes.rest.embedded", "leveldb", 11.2), result("bytes.rest.embedded", "duckdb", 0.4)]

    def test_ratio_is_how_many_times_better(self):
        self.assertEqual(records.ratio(2, 1, records.HIGHER), 2)
        self.assertEqual(records.ratio(2, 1, records.LOWER), 0.5)
        self.assertEqual(records.ratio(0, 0, records.LOWER), 1)
        self.assertEqual(records.ratio(0, 3, records.LOWER), float("inf"))

    def test_nexus_is_compared_with_the_best_peer_of_each_row(self):
        found = {measure.name: (peer, ratio) for measure, _, peer, ratio in report.ratios(measures.ALL, self.RESULTS)}
        self.assertEqual(found, {"ingest.embedded": ("duckdb", 2.0), "bytes.rest.embedded": ("duckdb", 0.5)})

    def test_table_has_every_system_with_median_and_range(self):
        lines = report.table(measures.ALL, self.RESULTS)
        self.assertEqual(lines[1], "### In process")
        self.assertEqual(len(lines), 7)
        self.assertIn("| 30.0 M (29.0 M-31.0 M) | 2.00 x duckdb | 1.00 M | 15.0 M |", lines[5])
        self.assertIn("0.5 x duckdb", lines[6])

    def test_servers_and_linked_engines_have_tables_of_their_own(self):
        lines = report.table(measures.ALL, self.RESULTS + [result("ack.p50.server", "nexus", 0.1),
                                                           result("ack.p50.server", "influxdb", 0.2)])
        self.assertEqual([line for line in lines if line.startswith("###")], ["### Server", "### In process"])
        self.assertIn("| against the best peer | influxdb |", lines[3])

    def test_counts_are_told_and_not_judged(self):
        counts = [result("flushes.server", "nexus", 1), result("flushes.server", "victoriametrics", 0)]
        self.assertEqual(list(report.ratios(measures.ALL, counts)), [])
        self.assertIn("| 1.00 |  | 0 |", report.table(measures.ALL, counts)[5])

    def test_what_was_skipped_and_noise_are_told(self):
        self.assertIn("Skipped: duckdb: could not be installed: no network", report.heading(RUN))
        noisy = report.heading(dict(RUN, noisy=True, noise={"processor": 1.0, "disk": 1.7}))
        self.assertIn("**Noisy**", noisy[-1])
        self.assertIn("disk by 1.70 x", noisy[-2])
        self.assertNotIn("**Noisy**", "".join(report.heading(RUN)))

    def test_nothing_lost_against_something_is_drawn_and_told(self):
        lost = [result("lost.server", "nexus", 0), result("lost.server", "victoriametrics", 7.5)]
        self.assertIn("inf x victoriametrics", report.table(measures.ALL, lost)[5])
        xml.dom.minidom.parseString(chart.svg(measures.ALL, lost, "lost"))

    def test_measures_have_names_of_their_own(self):
        self.assertEqual(len(measures.BY_NAME), len(measures.ALL))

    def test_chart_is_well_formed_and_knows_light_and_dark(self):
        text = chart.svg(measures.ALL, self.RESULTS, "0123 & more")
        document = xml.dom.minidom.parseString(text)
        self.assertEqual(len(document.getElementsByTagName("rect")), 2)
        self.assertIn("prefers-color-scheme: dark", text)
        self.assertIn('class="better"', text)
        self.assertIn('class="worse"', text)


class KeptTest(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def keep(self, commit, *results):
        path = os.path.join(self.folder, commit + ".jsonl")
        records.save(path, dict(RUN, commit=commit), results)
        return path

    def diff(self, *arguments):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            argv, sys.argv = sys.argv, ["diff.py", *arguments, "--results", self.folder]
            try:
                code = diff.main()
            except SystemExit as ended:
                code = ended.code
            finally:
                sys.argv = argv
        return code, printed.getvalue()

    def test_results_come_back_as_they_were(self):
        kept = [result("scan.embedded", "nexus", 1.5, 2.5), result("scan.embedded", "lmdb", 1)]
        run, loaded = records.load(self.keep("aaaaaaaaa", *kept))
        self.assertEqual(loaded, kept)
        self.assertEqual(run["commit"], "aaaaaaaaa")

    def test_damaged_file_is_named_with_its_line(self):
        path = self.keep("aaaaaaaaa", result("scan.embedded", "nexus", 1))
        with open(path, "a", encoding="utf-8") as file:
            file.write("{}\n")
        with self.assertRaisesRegex(ValueError, r"aaaaaaaaa\.jsonl:3"):
            records.load(path)

    def test_what_became_worse_fails(self):
        self.keep("aaaaaaaaa", result("scan.embedded", "nexus", 100), result("bytes.flushed.embedded", "nexus", 1.0))
        self.keep("bbbbbbbbb", result("scan.embedded", "nexus", 95), result("bytes.flushed.embedded", "nexus", 1.1))
        self.keep("ccccccccc", result("scan.embedded", "nexus", 80), result("bytes.flushed.embedded", "nexus", 0.5))
        self.assertEqual(self.diff("aaaaaaaaa", "bbbbbbbbb")[0], 0)
        code, printed = self.diff("aaaaaaaaa", "ccccccccc")
        self.assertEqual(code, 1)
        self.assertIn("scan of all samples", printed.splitlines()[-1])
        self.assertEqual(self.diff("aaaaaaaaa", "bbbbbbbbb", "--threshold", "1.04")[0], 1)

    def test_commit_without_results_is_told_with_the_way_out(self):
        self.keep("aaaaaaaaa", result("scan.embedded", "nexus", 1))
        code, printed = self.diff("aaaaaaaaa", "ddddddddd")
        self.assertEqual(code, 2)
        self.assertIn("make bench-peers", printed)


class StoredTest(unittest.TestCase):
    def test_what_is_removed_while_it_is_counted_is_left_out(self):
        with tempfile.TemporaryDirectory() as folder:
            top = pathlib.Path(folder)
            for name in ("stays/a", "goes/b"):
                (top / name).parent.mkdir()
                (top / name).write_bytes(bytes(8192))
            one = systems.stored_bytes([top / "stays"])
            self.assertGreaterEqual(one, 8192)
            self.assertEqual(systems.stored_bytes([top / "stays" / "a", top / "goes"]), 2 * one)
            walk = os.walk

            def walk_and_remove(*arguments):
                yield from list(walk(*arguments))
                shutil.rmtree(top / "goes", ignore_errors=True)

            with unittest.mock.patch("os.walk", walk_and_remove):
                self.assertEqual(systems.stored_bytes([top]), one)
            self.assertEqual(systems.stored_bytes([top / "goes"]), 0)


class MachineTest(unittest.TestCase):
    def test_noise_is_the_worst_ratio_of_any_part(self):
        calm = [machine.Calibration(1.0, 100), machine.Calibration(1.1, 100)]
        self.assertEqual(machine.noise(calm), {"processor": 1.1, "disk": 1.0})
        self.assertEqual(machine.noise(calm + [machine.Calibration(1.0, 150)]), {"processor": 1.1, "disk": 1.5})

    def test_calibration_leaves_nothing_behind(self):
        with tempfile.TemporaryDirectory() as folder:
            measured = machine.calibrate(folder)
            self.assertGreater(measured.processor_s, 0)
            self.assertEqual(os.listdir(folder), [])

    def test_facts_name_the_machine(self):
        facts = machine.facts(tempfile.gettempdir())
        self.assertGreater(facts["cores"], 0)
        self.assertGreater(facts["memory_gib"], 0)


if __name__ == "__main__":
    unittest.main()
