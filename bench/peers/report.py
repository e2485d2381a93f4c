"""The tables of a comparison, in Markdown: a row for each measure and workload, nexus against the best peer and each peer."""

import math

import results as records

OURS = "nexus"


def number(value):
    """Three significant digits, thousands and millions by letter."""
    magnitude = abs(value)
    if math.isinf(value):
        return "inf"
    for limit, letter in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if magnitude >= limit:
            return number(value / (limit if limit != 1e4 else 1e3)) + letter
    if magnitude >= 100 or value == 0:
        return f"{value:.0f}"
    return f"{value:.1f}" if magnitude >= 10 else f"{value:.2f}" if magnitude >= 1 else f"{value:.3g}"


def cell(result):
    """The median, and the range if there was more than one repetition that differed."""
    if result is None:
        return ""
    low, high = result.spread
    text = number(result.median)
    if number(low) != number(high):
        text += f" ({number(low)}-{number(high)})"
    return f"{text} {result.remark}".rstrip()


def rows(measures, results):
    """(measure, workload, nexus or None, {peer: result}) in the order of the measures."""
    found = {}
    for result in results:
        found.setdefault((result.measure, result.workload), {})[result.system] = result
    workloads = list(dict.fromkeys(result.workload for result in results))
    for measure in measures:
        for workload in workloads:
            systems = found.get((measure.name, workload))
            if systems:
                ours = systems.get(OURS)
                yield measure, workload, ours, {name: one for name, one in systems.items() if name != OURS}


def best(measure, peers):
    """The peer with the best median, or None."""
    if not peers or measure.better == records.COUNT:
        return None
    pick = max if measure.better == records.HIGHER else min
    return pick(peers.values(), key=lambda result: result.median)


def ratios(measures, results):
    """(measure, workload, best peer's name, how many times better nexus is) where both sides were measured."""
    for measure, workload, ours, peers in rows(measures, results):
        peer = best(measure, peers)
        if ours is not None and peer is not None:
            yield measure, workload, peer.system, records.ratio(ours.median, peer.median, measure.better)


def table(measures, results):
    """The lines of a Markdown table for each side, with a column for each of its peers."""
    found = list(rows(measures, results))
    lines = []
    for side in dict.fromkeys(measure.side for measure, *_ in found):
        of_side = [row for row in found if row[0].side == side]
        peers = list(dict.fromkeys(name for *_, others in of_side for name in others))
        lines += ["", f"### {side.capitalize()}", "",
                  "| what | data | nexus | against the best peer | " + " | ".join(peers) + " |",
                  "|---" * (4 + len(peers)) + "|"]
        lines += [_line(row, peers) for row in of_side]
    return lines


def _line(row, peers):
    measure, workload, ours, others = row
    peer = best(measure, others)
    against = ""
    if ours is not None and peer is not None:
        against = f"{number(records.ratio(ours.median, peer.median, measure.better))} x {peer.system}"
    judged = f" ({measure.better} is better)" if measure.better != records.COUNT else ""
    cells = [f"{measure.title}, {measure.unit}{judged}", workload, cell(ours), against]
    return "| " + " | ".join(cells + [cell(others.get(name)) for name in peers]) + " |"


def heading(run):
    """What a reader must know of a run, as lines of Markdown."""
    machine = run["machine"]
    lines = [
        f"Commit {run['commit']}, {run['when']}; {run['repetitions']} repetitions, medians, in brackets the range.",
        f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
        f"{machine['compiler']}; disk {machine['disk']} ({machine['file_system'].split()[0]}, cache "
        f"{machine['disk_cache']}, FUA {machine['disk_fua']}).",
        "Sizes: " + ", ".join(f"{name} {size}" for name, size in run["sizes"].items()) + f"; seed {run['seed']}.",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in run["versions"].items()) + ".",
    ]
    for name, reason in run["skipped"].items():
        lines.append(f"Skipped: {name}: {reason}")
    speed = " and ".join(f"that of its {part} by {ratio:.2f} x" for part, ratio in run["noise"].items())
    lines.append(f"Within this run the machine's own speed differed: {speed}.")
    if run["noisy"]:
        lines.append("**Noisy**: do not compare these figures with those of another run.")
    return lines
