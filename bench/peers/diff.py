#!/usr/bin/env python3
"""Compares two runs of nexus: make bench-diff A=commit B=commit [THRESHOLD=1.15].

Prints how many times better or worse each measure of B is; ends with 1 if any is worse by more than the threshold, with
2 if there is nothing to compare. Peers are not looked at.
"""

import argparse
import os
import sys

import measures
import report
import results as records


def find(folder, commit):
    """The file of a commit, which may be named by its beginning. Exits with 2 if there is not exactly one."""
    if not commit:
        print("bench-diff: name two commits: make bench-diff A=commit B=commit", file=sys.stderr)
        sys.exit(2)
    try:
        names = [name for name in os.listdir(folder) if name.endswith(".jsonl") and name.startswith(commit[:9])]
    except FileNotFoundError:
        names = []
    if len(names) != 1:
        what = "no results" if not names else "several results: " + ", ".join(sorted(names))
        print(f"bench-diff: {what} of commit '{commit}' in {folder}; make them with: git checkout {commit} && "
              "make bench-peers", file=sys.stderr)
        sys.exit(2)
    return os.path.join(folder, names[0])


def compare(one, other, threshold):
    """Lines of a table, and the titles of what became worse by more than the threshold."""
    before = {(result.measure, result.workload): result for result in one if result.system == report.OURS}
    lines, worse = [], []
    for measure, workload, ours, _ in report.rows(measures.ALL, [r for r in other if r.system == report.OURS]):
        old = before.get((measure.name, workload))
        if old is None or measure.better == records.COUNT:
            continue
        ratio = records.ratio(ours.median, old.median, measure.better)
        mark = ""
        if ratio * threshold < 1:
            mark = "  WORSE"
            worse.append(f"{measure.full_title}, {workload}")
        lines.append(f"{measure.full_title + ', ' + workload:<70} {report.number(old.median):>10} -> "
                     f"{report.number(ours.median):>10} {measure.unit:<22} {ratio:6.2f} x{mark}")
    return lines, worse


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("a", help="the commit before")
    parser.add_argument("b", help="the commit after")
    parser.add_argument("--threshold", type=float, default=1.15, help="worse by this factor fails (1.15)")
    parser.add_argument("--results", default="bench/results", help="where the results are (bench/results)")
    options = parser.parse_args()
    loaded = [records.load(find(options.results, commit)) for commit in (options.a, options.b)]
    for run, _ in loaded:
        noisy = ", NOISY" if run["noisy"] else ""
        print(f"{run['commit']}  {run['when']}  {run['machine']['processor']}, {run['machine']['cores']} cores{noisy}")
    if loaded[0][0]["machine"] != loaded[1][0]["machine"] or loaded[0][0]["sizes"] != loaded[1][0]["sizes"]:
        print("Other machines or other sizes: the ratios tell little.")
    lines, worse = compare(loaded[0][1], loaded[1][1], options.threshold)
    if not lines:
        print("bench-diff: the two runs share no measure of nexus", file=sys.stderr)
        return 2
    print("\n".join(lines))
    if worse:
        print(f"\nworse by more than {options.threshold} x: " + "; ".join(worse))
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
