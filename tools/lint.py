#!/usr/bin/env python3
"""Lints nexus: the house rules, clang-format, headers alone, shellcheck, clang-tidy. Run by `make lint`.

    tools/lint.py            everything; clang-tidy on the C++ files that this branch changed (at most 24 of them)
    tools/lint.py --all      clang-tidy, with its analyzer, on every C++ file
    tools/lint.py --rules    only the house rules: under a second, for an editor's save hook
    tools/lint.py --format   rewrites the C++ files with clang-format instead

Prints file:line: rule: what to do instead, and ends with 1 if there was anything. The rules are in tools/nexus_lint/,
their tables in nexus_lint/policy.py and bazel/floors.bzl, their tests in lint_test.py.
"""

import argparse
import os
import subprocess
import sys
import time

from nexus_lint import code_rules, external, floor_rules, policy, text_rules
from nexus_lint.source import Finding, Source

# clang-tidy takes up to 6 s a file, so `make lint` on a fresh clone is bounded; what is clean is not checked again.
TIDY_FILES_MAX = 24
TIDY_SECONDS_MAX = 240

_TEXT = (".cc", ".h", ".py", ".sh", ".bzl", ".bazel", ".md", ".yml", ".yaml", ".json", "WORKSPACE", "Makefile",
         ".bazelrc", ".gitignore", ".clang-tidy", ".clang-format", ".ci/run")


def git(*arguments):
    """The lines of a git command, or none if it failed."""
    done = subprocess.run(["git", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def tree():
    """Every source that git knows or would add, by path."""
    sources = {}
    for path in git("ls-files", "--cached", "--others", "--exclude-standard"):
        if path.endswith(_TEXT) and os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace", newline="") as file:
                sources[path] = Source(path, file.read())
    return sources


def house_rules(sources):
    """The findings of every rule of ours."""
    with open("tools/bazel/floors.bzl", encoding="utf-8") as file:
        floors, beside = floor_rules.load_floors(file.read())
    excuses = floor_rules.Excuses(policy.ALLOWED)

    def companion_code(source):
        header = sources.get(source.path[:-len(".cc")] + ".h") if source.path.endswith(".cc") else None
        return header.code if header else ""

    rules = (text_rules.RULES + floor_rules.make_rules(floors, beside, excuses, companion_code)
             + code_rules.make_rules(companion_code))
    for source in sources.values():
        for rule in rules:
            yield from rule(source)
    for path, name in excuses.stale():
        yield Finding("tools/nexus_lint/policy.py", 1, "stale-excuse",
                      f"ALLOWED excuses {name} in {path}, which does not use it: remove the entry")


def changed():
    """Files that differ from where this branch left main, or from the commit before; plus what is not committed."""
    bases = git("merge-base", "HEAD", "origin/main")
    if not bases or bases == git("rev-parse", "HEAD"):
        bases = git("rev-parse", "--verify", "--quiet", "HEAD~1")
    if not bases:
        return None
    return git("diff", "--name-only", "--diff-filter=d", bases[0]) + git("ls-files", "--others", "--exclude-standard")


def tidy_choice(sources, cache, check_all):
    """The C++ files for clang-tidy, and those that should have been but are too many.

    A changed header is checked in the .cc of its name. One that any chosen .cc includes is not checked by itself:
    clang-tidy reports what it sees in our headers, too (HeaderFilterRegex).
    """
    every = {path for path, source in sources.items() if source.is_cpp}
    touched = None if check_all else changed()
    wanted = every if touched is None else every & set(touched)
    wanted |= {path[:-len(".h")] + ".cc" for path in wanted if path.endswith(".h")} & every
    wanted -= {path for path in wanted if lacks_peer(sources[path])}
    code = sorted(path for path in wanted if path.endswith(".cc"))
    chosen = code + sorted(wanted - set(code) - cache.reached_by(code))
    limit = len(chosen) if check_all else TIDY_FILES_MAX
    return chosen[:limit], chosen[limit:]


def lacks_peer(source):
    """Whether it includes a peer's header that is not on this machine."""
    return any(f"#include <{header}>" in source.text and not os.path.exists(f"/usr/include/{header}")
               for header in policy.PEER_HEADERS)


def proved_by_build(header, sources):
    """Whether a .cc includes this header before anything else: then the build shows that it compiles alone."""
    code = sources.get(header[:-len(".h")] + ".cc")
    return code is not None and [path for _, path in code.includes[:1]] == [header]


def is_script(path, source):
    return path.endswith(".sh") or source.text.startswith(("#!/usr/bin/env bash", "#!/bin/sh", "#!/bin/bash"))


def steps(sources, options):
    """Each check as (name, findings, remark), lazily."""
    yield "house rules", house_rules(sources), f"{len(sources)} files"
    if options.rules:
        return
    cpp = sorted(path for path, source in sources.items() if source.is_cpp)
    scripts = sorted(path for path, source in sources.items() if is_script(path, source))
    headers = [path for path in cpp if path.endswith(".h") and not proved_by_build(path, sources)]
    cache = external.Cache({path: sources[path] for path in cpp})
    yield "clang-format", external.clang_format(cpp), f"{len(cpp)} files"
    yield "shellcheck", external.shellcheck(scripts), f"{len(scripts)} files"
    yield "headers alone", external.self_contained(headers, cache), f"{len(headers)} headers"
    chosen, left = tidy_choice(sources, cache, options.all)
    seconds = float("inf") if options.all else TIDY_SECONDS_MAX
    yield ("clang-tidy", external.clang_tidy(chosen, cache, sources[".clang-tidy"].text, options.all, seconds, left),
           f"{len(chosen)} files")
    if left:
        print(f"lint: clang-tidy has not seen {len(left)} changed files (bounds of {TIDY_FILES_MAX} files and "
              f"{TIDY_SECONDS_MAX} s): make lint-all")


def main():
    parser = argparse.ArgumentParser(description="Lints nexus; see the head of tools/lint.py.")
    parser.add_argument("--all", action="store_true", help="clang-tidy, with its analyzer, on every C++ file")
    parser.add_argument("--rules", action="store_true", help="only the house rules")
    parser.add_argument("--format", action="store_true", help="rewrite the C++ files with clang-format")
    options = parser.parse_args()
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

    sources = tree()
    if options.format:
        cpp = [path for path, source in sources.items() if source.is_cpp]
        return subprocess.run(["clang-format-14", "-i", *cpp], check=False).returncode if cpp else 0

    total = 0
    for name, findings, remark in steps(sources, options):
        started = time.monotonic()
        count = 0
        for finding in findings:
            print(finding, flush=True)
            count += 1
        total += count
        verdict = f"{count} findings" if count else "clean"
        print(f"lint: {name}: {verdict} ({remark}, {time.monotonic() - started:.1f} s)", flush=True)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
