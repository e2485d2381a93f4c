"""Gathers the figures of a comparison as they come, and whether the answers were right."""

import math

import measures
import results as records


def agree(truth, answers):
    """Counts equal, sums within one part in 10^9."""
    return len(truth) == len(answers) and all(
        a[0] == b[0] and math.isclose(a[1], b[1], rel_tol=1e-9, abs_tol=1e-9) for a, b in zip(truth, answers))


class Collector:
    """Results by measure, workload and system, in the order in which they came first."""

    def __init__(self, tell):
        self._results = {}
        self._tell = tell
        self.wrong = []

    def add(self, measure, workload, system, value, remark=""):
        """One value of one repetition. REQUIRES: the measure is one of measures.ALL."""
        assert measure in measures.BY_NAME, measure
        key = (measure, workload, system)
        result = self._results.setdefault(key, records.Result(measure, workload, system, []))
        result.values.append(value)
        result.remark = remark or result.remark

    def check(self, system, what, truth, answers):
        """The run has failed unless these answers are the right ones."""
        if not agree(truth, answers):
            wrong = [(a, b) for a, b in zip(truth, answers) if not agree([a], [b])][:3]
            self.wrong.append(f"{system}: {what}: {len(answers)} answers, right are {len(truth)}; right and answered: {wrong}")
            self._tell(f"WRONG {self.wrong[-1]}")

    def results(self):
        """All, with the best path of each server as a measure of its own."""
        best = {}
        for (measure, workload, system), result in self._results.items():
            kind, _, path = measure.removesuffix(".server").partition(".")
            if kind == "ingest" and path in measures.PATHS:
                known = best.get((workload, system))
                if known is None or result.median > known[1].median:
                    best[(workload, system)] = (path, result)
        leaders = [records.Result("ingest.best.server", workload, system, result.values, f"by {path}")
                   for (workload, system), (path, result) in best.items()]
        return leaders + list(self._results.values())
