"""A source file as the rules see it: its text, its code without comments and literals, and where lines begin.

Blanking keeps every offset: a comment or literal becomes as many spaces, so that a position in `code` is the same
position in `text`. This is a lexer for the C++ that nexus writes, not for all of C++ (no trigraphs, no comment that
goes on after a backslash).
"""

import bisect
import functools
import re

_TOKEN = re.compile(
    r"""//[^\n]*"""
    r"""|/\*.*?\*/"""
    r"""|\bR"(?P<delimiter>[^(\s"]*)\(.*?\)(?P=delimiter)\""""
    r"""|"(?:\\.|[^"\\\n])*\""""
    # A quote after a letter or digit is a digit separator (1'000), unless the letter is a literal's prefix.
    r"""|(?:(?<![0-9A-Za-z_'])|(?<=\bu)|(?<=\bU)|(?<=\bL))'(?:\\.|[^'\\\n])+'""",
    re.DOTALL,
)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(?:"([^"\n]+)"|<([^>\n]+)>)', re.MULTILINE)
_NOT_NEWLINE = re.compile(r"[^\n]")

_OPENERS = {"(": ")", "[": "]", "{": "}"}
_BRACKET = re.compile(r"[()\[\]{}]")


class Finding:
    """One broken rule at one place. Prints as file:line: rule: what to do instead."""

    def __init__(self, path, line, rule, message):
        self.path = path
        self.line = line
        self.rule = rule
        self.message = message

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


class Source:
    """One file. `path` is relative to the root, with forward slashes."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self._starts = [0]
        for match in re.finditer("\n", text):
            self._starts.append(match.end())
        self.is_cpp = path.endswith((".cc", ".h"))
        self.is_header = path.endswith(".h")
        self.code = self._blank(keep_strings=False) if self.is_cpp else text
        self.lines = text.split("\n")

    def _blank(self, keep_strings):
        def replace(match):
            token = match.group()
            if token[0] == "/":
                return _NOT_NEWLINE.sub(" ", token)
            if keep_strings:
                return token
            # The quotes stay, so that an empty string is still an operand.
            return token[0] + _NOT_NEWLINE.sub(" ", token[1:-1]) + token[-1]

        return _TOKEN.sub(replace, self.text)

    @functools.cached_property
    def includes(self):
        """Each include as (offset, path)."""
        with_literals = self._blank(keep_strings=True) if self.is_cpp else ""
        return [(match.start(), match.group(1) or match.group(2)) for match in _INCLUDE.finditer(with_literals)]

    def line_at(self, offset):
        """The line number, from 1, of an offset."""
        return bisect.bisect_right(self._starts, offset)

    def says(self, line, marker):
        """Whether a `// marker: reason` with a reason stands on the line or ends the comment just above it."""
        pattern = re.compile(r"//.*\b" + re.escape(marker) + r":\s*\S")
        here = self.lines[line - 1]
        above = self.lines[line - 2] if line >= 2 else ""
        return bool(pattern.search(here) or (above.lstrip().startswith("//") and pattern.search(above)))

    def finding(self, offset, rule, message):
        return Finding(self.path, self.line_at(offset), rule, message)


def matching(code, opening):
    """The offset of the bracket that closes the one at `opening`, or -1 if nothing does."""
    stack = []
    for match in _BRACKET.finditer(code, opening):
        char = match.group()
        if char in _OPENERS:
            stack.append(_OPENERS[char])
        elif not stack or stack.pop() != char:
            return -1
        if not stack:
            return match.start()
    return -1


def matching_angle(code, opening):
    """The offset of the `>` that closes the template argument list at `opening`, or -1."""
    depth = 0
    position = opening
    while position < len(code):
        char = code[position]
        if char == "<":
            depth += 1
        elif char == ">":
            depth -= 1
            if depth == 0:
                return position
        elif char == "(":
            position = matching(code, position)
            if position < 0:
                return -1
        elif char in ";{}":
            return -1
        position += 1
    return -1
