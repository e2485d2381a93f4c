#!/usr/bin/env python3
"""Tests of the flame graphs: stacks as perf and gperftools print them become boxes of the right width."""

import os
import re
import sys
import unittest
import xml.dom.minidom

sys.path.insert(0, os.path.join("bench", "profile"))

# pylint: disable=wrong-import-position
import flame

PERF = """loop
            55d0 inner
            55c0 outer

loop
            55d1 inner
            55c0 outer

worker
            7f00 encode<unsigned long>

"""


class FlameTest(unittest.TestCase):
    def test_stacks_of_perf_are_outermost_first(self):
        self.assertEqual(list(flame.from_perf(PERF.splitlines())),
                         [(["loop", "outer", "inner"], 1), (["loop", "outer", "inner"], 1),
                          (["worker", "encode<unsigned long>"], 1)])

    def test_stacks_of_gperftools(self):
        self.assertEqual(list(flame.from_collapsed(["a;b 3", "a;operator new 1"])),
                         [(["a", "b"], 3), (["a", "operator new"], 1)])

    def test_width_is_the_share_and_names_are_escaped(self):
        graph, tops = flame.svg(flame.from_perf(PERF.splitlines()), "both <kinds>")
        xml.dom.minidom.parseString(graph)
        widths = {name: float(width) for name, width in re.findall(r"<title>(.*?): .*?width=\"([\d.]+)\"", graph)}
        self.assertEqual(widths["all"], flame.WIDTH)
        self.assertAlmostEqual(widths["inner"], flame.WIDTH * 2 / 3, places=1)
        self.assertAlmostEqual(widths["encode&lt;unsigned long&gt;"], flame.WIDTH / 3, places=1)
        self.assertEqual(tops["inner"], 2)

    def test_no_samples_is_told(self):
        with self.assertRaisesRegex(ValueError, "no samples"):
            flame.svg(flame.from_perf([]), "nothing")


if __name__ == "__main__":
    unittest.main()
