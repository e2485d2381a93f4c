"""Rules about C++ code: order of hash tables, GCC 12's coroutine bugs, length of functions."""

import re

from nexus_lint import policy
from nexus_lint.source import matching, matching_angle

_HASH_TYPE = re.compile(r"\babsl::(?:flat|node)_hash_(?:map|set)\s*<")
_ALIAS = re.compile(r"\busing\s+(\w+)\s*=\s*$")
_DECLARED = re.compile(r"\s*(?:const\b\s*)?[&*]*\s*(?:const\b\s*)?(\w+)\s*(?=[;={(,)\[]|ABSL_)")


def hash_names(code):
    """Names of variables, members and functions that are declared in `code` as Abseil hash tables (or aliases)."""
    names = set()
    aliases = set()
    for match in _HASH_TYPE.finditer(code):
        alias = _ALIAS.search(code, max(0, match.start() - 80), match.start())
        if alias:
            aliases.add(alias.group(1))
            continue
        close = matching_angle(code, match.end() - 1)
        declared = _DECLARED.match(code, close + 1) if close >= 0 else None
        if declared:
            names.add(declared.group(1))
    for alias in aliases:
        for match in re.finditer(rf"\b{alias}\b(?=\s*(?:const\b)?\s*[&*]*\s*\w+\s*[;={{(,)])", code):
            declared = _DECLARED.match(code, match.end())
            if declared:
                names.add(declared.group(1))
    return names


_FOR = re.compile(r"\bfor\s*\(")
_LAST_NAME = re.compile(r"(\w+)\s*(?:\(\s*\))?\s*$")


def _range_of(code, opening, close):
    """The expression after the colon of a range-for, with its offset; None for an ordinary for."""
    depth = 0
    for position in range(opening + 1, close):
        char = code[position]
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "?" and depth == 0:
            return None
        elif char == ":" and depth == 0 and code[position - 1] != ":" and code[position + 1] != ":":
            return code[position + 1:close]
    return None


def make_order_rule(companion_code):
    """companion_code(source) is the code of the header beside a .cc, or the empty string."""

    def unordered(source):
        if not source.is_cpp:
            return
        names = hash_names(source.code) | hash_names(companion_code(source))
        if not names:
            return
        places = []
        for match in _FOR.finditer(source.code):
            close = matching(source.code, match.end() - 1)
            over = _range_of(source.code, match.end() - 1, close) if close >= 0 else None
            last = _LAST_NAME.search(over) if over else None
            if last and last.group(1) in names:
                places.append((match.start(), last.group(1)))
        for match in re.finditer(r"\b(\w+)\s*(?:\.|->)\s*c?begin\s*\(", source.code):
            if match.group(1) in names:
                places.append((match.start(), match.group(1)))
        for offset, name in places:
            if not source.says(source.line_at(offset), "order-free"):
                yield source.finding(offset, "unordered", f"'{name}' is a hash table, its order differs from run to run: "
                                     "sort the keys first, or say `// order-free: reason`")

    return unordered


_CONDITION = re.compile(r"\b(if|while)\s*(?:constexpr\s*)?\(|\b(?:CHECK|DCHECK|ASSERT|EXPECT|RC_ASSERT)\w*\s*\(")
_AND_OR = re.compile(r"&&|\|\||\band\b|\bor\b")
_REFERENCE = re.compile(r"\bauto\s*&&|\bconst\s*&&")


def await_in_condition(source):
    if not source.is_cpp or "co_await" not in source.code:
        return
    for match in _CONDITION.finditer(source.code):
        close = matching(source.code, match.end() - 1)
        if close < 0:
            continue
        # An init-statement is evaluated by itself: only a part that has both is miscompiled.
        for part in source.code[match.end():close].split(";"):
            part = _REFERENCE.sub("", part)
            if "co_await" in part and _AND_OR.search(part):
                yield source.finding(match.start(), "coroutine-condition", "GCC 12 miscompiles co_await beside && or || in "
                                     "a condition: await into a variable first")
                break


_AWAIT = re.compile(r"(?<!operator )\bco_await\b")
# A type's name (or its template arguments, or an opening parenthesis or comma) right before a brace.
_BRACED = re.compile(r"([\w>]|[(,])\s*\{")
_NOT_A_TYPE = re.compile(r"(?:\b(?:mutable|noexcept|else|do|try|const)|->\s*[\w:<>,&*\s]+)\s*$")


def _expression_end(code, start):
    """Where the full expression that begins at `start` ends: its semicolon or the bracket around it."""
    depth = 0
    for position in range(start, len(code)):
        char = code[position]
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth < 0:
                return position
        elif char == ";" and depth == 0:
            return position
    return len(code)


def await_aggregate(source):
    if not source.is_cpp:
        return
    code = source.code
    for match in _AWAIT.finditer(code):
        end = _expression_end(code, match.end())
        # What is in a lambda's body is another function's business.
        inner = [(body, matching(code, body)) for _, body, _ in lambdas(code, match.end(), end)]
        for brace in _BRACED.finditer(code, match.end(), end):
            offset = brace.end() - 1
            if any(opening <= offset <= close for opening, close in inner):
                continue
            if _NOT_A_TYPE.search(code, match.end(), offset):
                continue
            line = source.line_at(offset)
            if not source.says(line, "lint-aggregate") and not source.says(source.line_at(match.start()), "lint-aggregate"):
                yield source.finding(offset, "coroutine-aggregate", "GCC 12 destroys an aggregate temporary in a co_await "
                                     "expression twice: name it in a variable first (if it is no aggregate or trivially "
                                     "destructible, say `// lint-aggregate: reason`)")
            break


_BEFORE_LAMBDA = re.compile(r"(?:[=(,{;:?&|!<>+*/-]|\b(?:return|co_return|co_await|co_yield|case|else|do))\s*$|^\s*$")
_LAMBDA_REST = re.compile(r"\s*(?:(?:mutable|noexcept|constexpr|static)\b\s*)*(?:->\s*[\w:<>,&*\s]+?)?\s*\{")


def lambdas(code, start=0, end=None):
    """Each lambda with a body as (offset of its [, offset of its {, captures)."""
    end = len(code) if end is None else end
    for match in re.finditer(r"\[", code[start:end]):
        opening = start + match.start()
        if code[opening:opening + 2] == "[[" or code[opening - 1:opening] == "[":
            continue
        if not _BEFORE_LAMBDA.search(code, max(0, opening - 40), opening):
            continue
        close = matching(code, opening)
        if close < 0:
            continue
        position = close + 1
        template = re.match(r"\s*<", code[position:position + 20])
        if template:
            position = matching_angle(code, position + template.end() - 1) + 1
        parameters = re.match(r"\s*\(", code[position:position + 20])
        if parameters:
            position = matching(code, position + parameters.end() - 1) + 1
        if position <= 0:
            continue
        rest = _LAMBDA_REST.match(code, position)
        if rest:
            yield opening, rest.end() - 1, code[opening + 1:close].strip()


def capturing_coroutine(source):
    if not source.is_cpp or "co_" not in source.code:
        return
    code = source.code
    found = [(opening, body, matching(code, body), captures) for opening, body, captures in lambdas(code)]
    for opening, body, close, captures in found:
        if not captures or close < 0:
            continue
        own = code[body:close]
        for other, other_body, other_close, _ in found:
            if body < other and other_close < close and other_close > 0:
                inner_from, inner_to = other_body - body, other_close - body
                own = own[:inner_from] + " " * (inner_to - inner_from) + own[inner_to:]
        if re.search(r"\bco_(?:await|return|yield)\b", own):
            yield source.finding(opening, "coroutine-lambda", "a coroutine outlives the captures of its lambda: capture "
                                 "nothing and pass them as parameters, or make it a function")


_SCOPE = re.compile(r"^\s*(?:template\b\s*|requires\b\s*|(?:inline|typedef|static|const|constexpr)\s+)*"
                    r"(?:(?:namespace|class|struct|union|enum)\b|extern\s*\"\s*\"\s*$)")
_ATTRIBUTE_MACRO = re.compile(r"\b(?:alignas|[A-Z][A-Z0-9_]+)\s*\(\)")
_TEST = re.compile(r"\b(?:TEST|TEST_F|TEST_P|TYPED_TEST|TYPED_TEST_P|RC_GTEST_PROP|RC_GTEST_FIXTURE_PROP)\s*\(")
_STRUCTURE = re.compile(r"[{};()]")
_LABEL = re.compile(r"^\s*(?:public|private|protected)\s*:(?!:)")


def _without_directives(code):
    """Preprocessor lines blanked, with their continuations."""
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda match: re.sub(r"[^\n]", " ", match.group()), code,
                  flags=re.MULTILINE)


def _skeleton(head):
    """A declaration without what is in its parentheses and angle brackets."""
    previous = None
    while previous != head:
        previous = head
        head = re.sub(r"\([^()]+\)", "()", head)
    previous = None
    while previous != head:
        previous = head
        head = re.sub(r"<[^<>]*>", "", head)
    return head


def _classify(head):
    """What a brace after `head` opens: "scope" (namespace, class), "function", or "value" (an initialiser)."""
    skeleton = _skeleton(head)
    if _SCOPE.search(skeleton) and "()" not in _ATTRIBUTE_MACRO.sub("", skeleton):
        return "scope"
    return "function" if "()" in skeleton else "value"


def _body_end(code, brace):
    """The closing brace of the function whose first brace is given: `: a_{1}, b_(2) { body }` has several."""
    close = matching(code, brace)
    while close >= 0:
        following = re.compile(r"\s*([,{])").match(code, close + 1)
        if not following:
            return close
        if following.group(1) == "{":
            return matching(code, following.end() - 1)
        member = re.compile(r"[({]").search(code, following.end())
        close = matching(code, member.start()) if member else -1
    return -1


def functions(code):
    """Each function body as (offset of its signature, offset of its closing brace, is a test).

    Namespaces and classes are entered, initialisers skipped; lambdas and local classes belong to their function.
    """
    code = _without_directives(code)
    start = 0
    position = 0
    while True:
        match = _STRUCTURE.search(code, position)
        if not match:
            return
        offset = match.start()
        if match.group() == "(":
            position = matching(code, offset) + 1
            if position == 0:
                return
            continue
        if match.group() != "{":
            start = position = offset + 1
            continue
        head = _LABEL.sub("", code[start:offset])
        kind = _classify(head)
        if kind == "scope":
            start = position = offset + 1
            continue
        close = _body_end(code, offset) if kind == "function" else matching(code, offset)
        if close < 0:
            return
        position = close + 1
        if kind == "function":
            yield offset - len(head.lstrip()), close, bool(_TEST.search(head))
            start = position


def function_length(source):
    if not source.is_cpp:
        return
    for signature, close, is_test in functions(source.code):
        count = source.line_at(close) - source.line_at(signature) + 1
        limit = policy.TEST_LINES_MAX if is_test else policy.FUNCTION_LINES_MAX
        if count > limit:
            yield source.finding(signature, "function-length", f"{count} lines, at most {limit}: keep the control flow "
                                 "here and move the pure parts into functions of their own")


def make_rules(companion_code):
    return [make_order_rule(companion_code), await_in_condition, await_aggregate, capturing_coroutine, function_length]
