#!/usr/bin/env python3
"""Draws a flame graph of sampled stacks (Gregg, "The Flame Graph", CACM 59(6), 2016).

    perf script -F comm,ip,sym | flame.py TITLE > graph.svg
    google-pprof --collapsed PROGRAM PROFILE | flame.py --collapsed TITLE > graph.svg

A box is a function; what stands on it was called by it; its width is its share of the samples. The pointer on a box
tells function and share. Also prints, to standard error, the ten functions that were most often at the top.
"""

import argparse
import collections
import html
import sys

WIDTH = 1200
ROW = 17
# Narrower boxes are not drawn.
_SMALLEST = 0.3
_LETTER = 6.6

_STYLE = """
  text { font: 11px ui-monospace, monospace; fill: #1f2328; pointer-events: none }
  .title { font: 14px system-ui, sans-serif; fill: #24292f }
  rect { stroke: #ffffff; stroke-width: 0.5 }
  rect:hover { stroke: #000000; stroke-width: 1 }
  @media (prefers-color-scheme: dark) { .title { fill: #e6edf3 } rect { stroke: #0d1117 } }
"""


class Box:
    """A function in its place: how many samples, and what it called."""

    def __init__(self):
        self.samples = 0
        self.called = {}

    def add(self, stack, samples):
        """A stack, outermost first."""
        box = self
        box.samples += samples
        for name in stack:
            box = box.called.setdefault(name, Box())
            box.samples += samples

    def depth(self):
        """Rows that the boxes above take."""
        return 1 + max((box.depth() for box in self.called.values()), default=0)


def from_perf(lines):
    """(stack, samples) of `perf script -F comm,ip,sym`: a line with the thread's name, then frames, innermost first."""
    thread, frames = None, []
    for line in lines:
        if not line.strip():
            if thread is not None:
                yield [thread] + frames[::-1], 1
            thread, frames = None, []
        elif not line[0].isspace():
            thread = line.strip()
        else:
            parts = line.split(None, 1)
            frames.append(parts[1].strip() if len(parts) > 1 else "[unknown]")
    if thread is not None:
        yield [thread] + frames[::-1], 1


def from_collapsed(lines):
    """(stack, samples) of lines `outer;inner 12`."""
    for line in lines:
        stack, _, samples = line.rpartition(" ")
        if stack:
            yield stack.split(";"), int(samples)


def _colour(name):
    """A warm one, always the same for a name."""
    mixed = sum((index + 1) * ord(letter) for index, letter in enumerate(name))
    return f"rgb({205 + mixed % 50},{100 + mixed // 7 % 110},{mixed // 11 % 60})"


def _draw(box, name, left, depth, scale, total, height):
    """Lines of a box and of those on it."""
    width = box.samples * scale
    if width < _SMALLEST:
        return
    y = height - (depth + 1) * ROW
    shown = name if len(name) * _LETTER < width else name[:max(0, int(width / _LETTER) - 2)] + ".." \
        if width > 4 * _LETTER else ""
    yield (f'<g><title>{html.escape(name)}: {box.samples} samples, {100 * box.samples / total:.2f} %</title>'
           f'<rect x="{left:.2f}" y="{y}" width="{width:.2f}" height="{ROW - 1}" fill="{_colour(name)}" rx="1"/>'
           f'<text x="{left + 3:.2f}" y="{y + 12}">{html.escape(shown)}</text></g>')
    for called in sorted(box.called):
        yield from _draw(box.called[called], called, left, depth + 1, scale, total, height)
        left += box.called[called].samples * scale


def svg(stacks, title):
    """The graph, and the functions at the top of stacks with their samples."""
    everything, tops = Box(), collections.Counter()
    for stack, samples in stacks:
        everything.add(stack, samples)
        tops[stack[-1]] += samples
    if everything.samples == 0:
        raise ValueError("there are no samples: did the program run long enough, and may this user profile it?")
    height = everything.depth() * ROW + 34
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"><style>{_STYLE}</style>',
             f'<text class="title" x="8" y="20">{html.escape(title)}: {everything.samples} samples</text>']
    lines += _draw(everything, "all", 0, 0, WIDTH / everything.samples, everything.samples, height)
    return "\n".join(lines + ["</svg>"]) + "\n", tops


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("title")
    parser.add_argument("--collapsed", action="store_true", help="the input is lines `outer;inner samples`")
    options = parser.parse_args()
    read = from_collapsed if options.collapsed else from_perf
    try:
        graph, tops = svg(read(sys.stdin), options.title)
    except ValueError as error:
        sys.exit(f"flame.py: {error}")
    sys.stdout.write(graph)
    total = sum(tops.values())
    for name, samples in tops.most_common(10):
        print(f"{100 * samples / total:6.2f} %  {name}", file=sys.stderr)


if __name__ == "__main__":
    main()
