"""Rules about files as text: ASCII, opening comment, length, guards, unfinished words, machine paths, skipped tests."""

import re

from nexus_lint import policy

# Assembled, so that this file does not contain the words it forbids.
_UNFINISHED = re.compile(r"\b(" + "|".join(["TO" "DO", "FIX" "ME", "X" "XX", "HA" "CK"]) + r")\b"
                         r"|\b(not " r"implemented|for " r"now|place" r"holder)\b")
_MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|work|Users)/\w|://[a-z.]*(?:debian|np" r"m)[a-z.]*\.")
_HASH_COMMENT = (".bzl", ".bazel", ".sh", ".py", "WORKSPACE", "Makefile", ".bazelrc", ".clang-tidy", ".clang-format",
                 ".gitignore", ".ci/run")


def opening_comment(source):
    lines = source.lines
    first = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
    if source.is_cpp:
        good = re.match(r"// \S", first)
        want = "`// Name: what it is.`"
    elif source.path.endswith(_HASH_COMMENT):
        good = re.match(r'# \S|(?:"""|\'\'\')\S', first)
        want = "`# What it is.`"
    else:
        return
    if not good:
        yield source.finding(0, "opening-comment", f"open the file with a comment that says what it is: {want}")


def ascii_only(source):
    if source.path.endswith(".md"):
        return
    match = re.search(r"[^\x00-\x7f]", source.text)
    if match:
        yield source.finding(match.start(), "ascii",
                             f"sources are ASCII; write U+{ord(match.group()):04X} as an escape or in words")


def file_length(source):
    count = source.text.count("\n")
    if source.is_cpp or source.path.endswith((".py", ".sh")):
        if count > policy.LINES_MAX:
            yield source.finding(0, "file-length", f"{count} lines, at most {policy.LINES_MAX}; one idea a file, split it")


def unfinished(source):
    if source.path.endswith(".md"):
        return
    for match in _UNFINISHED.finditer(source.text):
        yield source.finding(match.start(), "unfinished",
                             f"'{match.group()}': finish it, or say what is so and why; plans belong into an issue")


def machine_path(source):
    for match in _MACHINE_PATH.finditer(source.text):
        yield source.finding(match.start(), "machine-path",
                             f"'{match.group()}...': no path or host of one machine; make it relative or a setting")


def include_guard(source):
    if not source.is_header:
        return
    guard = "NEXUS_" + re.sub(r"[^A-Z0-9]", "_", source.path.upper()) + "_"
    directives = re.findall(r"^[ \t]*#[ \t]*(.*?)[ \t]*$", source.code, re.MULTILINE)
    if directives[:2] != [f"ifndef {guard}", f"define {guard}"] or directives[-1:] != ["endif"]:
        yield source.finding(0, "include-guard",
                             f"guard the header with #ifndef {guard} / #define {guard} ... #endif  // {guard}")


def using_namespace(source):
    if not source.is_header:
        return
    for match in re.finditer(r"\busing\s+namespace\b", source.code):
        yield source.finding(match.start(), "using-namespace", "never in a header: name what is used, with using X::y")


def tests_that_run(source):
    if not source.is_cpp:
        return
    for match in re.finditer(r"\bDISABLED" r"_\w+", source.code):
        yield source.finding(match.start(), "disabled-test", "mend the test or delete it")
    for match in re.finditer(r"\bGTEST" r"_SKIP\s*\(\s*\)\s*", source.code):
        if not re.match(r'<<\s*\S', source.text[match.end():]) or re.match(r'<<\s*""', source.text[match.end():]):
            yield source.finding(match.start(), "silent-skip", 'say what is missing: GTEST' '_SKIP() << "reason"')


RULES = [opening_comment, ascii_only, file_length, unfinished, machine_path, include_guard, using_namespace,
         tests_that_run]
