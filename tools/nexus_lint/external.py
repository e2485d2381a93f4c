"""The checks that other programs make: clang-format, header self-containment (g++), clang-tidy, shellcheck.

The slow ones remember clean results in .cache/lint/, keyed by the content of the file, of all headers of ours that
it reaches, and of the tool's configuration; a change to any of them checks again. Findings are never remembered.
"""

import concurrent.futures
import hashlib
import os
import re
import subprocess
import time

from nexus_lint.source import Finding

CXX_FLAGS = ["-std=c++20", "-I.", "-DSPDLOG_COMPILED_LIB", "-DSPDLOG_FMT_EXTERNAL", "-DSPDLOG_SHARED_LIB"]
CACHE = os.path.join(".cache", "lint")
_PLACE = re.compile(r"^(?:\./)?([\w./-]+):(\d+):\d+: (?:fatal )?(?:error|warning): (.*)$", re.MULTILINE)


def _run(command, stdin=None):
    done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)
    return done.returncode, done.stdout


def _parallel(function, items):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for findings in pool.map(function, items):
            yield from findings


class Cache:
    """Which (tool, content) pairs were clean. `sources` is every C++ source by path."""

    def __init__(self, sources):
        self._sources = sources
        self._digests = {}

    def _reached(self, path):
        """The path and every source of ours that it includes, directly or not."""
        seen = set()
        waiting = [path]
        while waiting:
            name = waiting.pop()
            if name in seen or name not in self._sources:
                continue
            seen.add(name)
            waiting += [found for _, found in self._sources[name].includes]
        return sorted(seen)

    def _digest(self, path):
        if path not in self._digests:
            self._digests[path] = hashlib.sha256(self._sources[path].text.encode()).hexdigest()
        return self._digests[path]

    def _stamp(self, tool, path, configuration):
        key = hashlib.sha256(f"{tool}\n{configuration}\n{path}\n".encode())
        for name in self._reached(path):
            key.update(f"{name} {self._digest(name)}\n".encode())
        return os.path.join(CACHE, tool, key.hexdigest())

    def clean(self, tool, path, configuration):
        return os.path.exists(self._stamp(tool, path, configuration))

    def reached_by(self, paths):
        """Everything of ours that any of the paths includes, directly or not."""
        return {name for path in paths for name in self._reached(path)}

    def remember(self, tool, path, configuration):
        stamp = self._stamp(tool, path, configuration)
        os.makedirs(os.path.dirname(stamp), exist_ok=True)
        with open(stamp, "w", encoding="ascii"):
            pass


def _places(output, path, rule, otherwise):
    """The compiler-style places in a tool's output, or one finding for the whole file."""
    places = [Finding(match.group(1), int(match.group(2)), rule, match.group(3)) for match in _PLACE.finditer(output)]
    if places:
        return places
    words = output.strip().splitlines()
    return [Finding(path, 1, rule, f"{otherwise}: {words[0] if words else 'no output'}")]


def clang_format(paths):
    """Files that clang-format would change; 20 at a time."""

    def check(batch):
        code, output = _run(["clang-format-14", "--dry-run", "--Werror", *batch])
        if code == 0:
            return
        first = {}
        for finding in _places(output, batch[0], "format", "clang-format failed"):
            first.setdefault(finding.path, finding)
        for finding in first.values():
            yield Finding(finding.path, finding.line, "format", "not as clang-format writes it: run `make format`")

    return _parallel(check, [paths[at:at + 20] for at in range(0, len(paths), 20)])


def self_contained(headers, cache):
    """Headers that do not compile by themselves."""
    configuration = " ".join(CXX_FLAGS)

    def check(path):
        if cache.clean("header", path, configuration):
            return
        code, output = _run(["g++", *CXX_FLAGS, "-fsyntax-only", "-x", "c++", "-"], f'#include "{path}"\n')
        if code == 0:
            cache.remember("header", path, configuration)
        else:
            for finding in _places(output, path, "self-contained", "does not compile by itself")[:3]:
                yield Finding(finding.path, finding.line, "self-contained",
                              f"{path} does not compile by itself: {finding.message}; include what it uses")

    return _parallel(check, headers)


def clang_tidy(paths, cache, configuration, analyzer, seconds_max, left):
    """clang-tidy's warnings, all of them errors; with its path-sensitive analyzer, which doubles the time, if asked.

    A header is checked as a file of its own. No file is begun after seconds_max; those go to the list `left`.
    """
    deadline = time.monotonic() + seconds_max
    configuration += " ".join(CXX_FLAGS)
    tool = "tidy-analyzer" if analyzer else "tidy"
    fewer = [] if analyzer else ["--checks=-clang-analyzer-*"]

    def check(path):
        if cache.clean("tidy-analyzer", path, configuration) or cache.clean(tool, path, configuration):
            return
        if time.monotonic() > deadline:
            left.append(path)
            return
        code, output = _run(["clang-tidy-14", "--quiet", *fewer, path, "--", *CXX_FLAGS, "-xc++",
                             "-Wno-pragma-once-outside-header"])
        if code == 0:
            cache.remember(tool, path, configuration)
        else:
            for finding in _places(output, path, "clang-tidy", "clang-tidy failed"):
                if os.path.isabs(finding.path):
                    finding.path = os.path.relpath(finding.path)
                finding.message = finding.message.replace(",-warnings-as-errors", "")
                yield finding

    # Files that share a header report the same place.
    seen = set()
    for finding in _parallel(check, paths):
        if str(finding) not in seen:
            seen.add(str(finding))
            yield finding


def shellcheck(paths):
    """shellcheck's findings of any severity."""
    if not paths:
        return
    code, output = _run(["shellcheck", "--format=gcc", *paths])
    if code != 0:
        yield from _places(output.replace(" note: ", " warning: "), paths[0], "shellcheck", "shellcheck failed")
