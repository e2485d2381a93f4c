"""Results of a comparison: what was measured, of which system, on which commit; kept as JSON lines in bench/results/.

The first line of a file is the run: commit, machine, sizes, versions, what was skipped and how steady the machine was.
Each further line is one Result.
"""

import dataclasses
import json
import os
import statistics

# Which way is better; a COUNT is told and not judged.
HIGHER, LOWER, COUNT = "higher", "lower", ""


@dataclasses.dataclass(frozen=True)
class Measure:
    """What is measured: a name for scripts, a title for people, the unit, which way is better, and of which side: systems
    are compared with those of their side only. The chart draws the headlines."""

    name: str
    title: str
    unit: str
    better: str
    side: str
    headline: bool = False

    @property
    def full_title(self):
        """Told apart from the other side's."""
        return f"{self.side}: {self.title}"


@dataclasses.dataclass
class Result:
    """One measure of one system over one workload; a value for each repetition."""

    measure: str
    workload: str
    system: str
    values: list
    remark: str = ""

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def spread(self):
        """The smallest and the largest."""
        return min(self.values), max(self.values)


def save(path, run, results):
    """Writes a run; the file is there whole or not at all."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        for record in [run] + [dataclasses.asdict(result) for result in results]:
            file.write(json.dumps(record) + "\n")
    os.replace(path + ".tmp", path)


def load(path):
    """The run and the results of a file. Errors: OSError; ValueError, which names file and line."""
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    records = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            records.append(record if number == 1 else Result(**record))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}:{number}: not a result of a comparison: {error}") from error
    if not records:
        raise ValueError(f"{path}: holds no run")
    return records[0], records[1:]


def ratio(value, other, better):
    """How many times better `value` is than `other`: 2 is twice as good, 0.5 half."""
    if value == other:
        return 1.0
    if better == HIGHER:
        return value / other if other else float("inf")
    return other / value if value else float("inf")
