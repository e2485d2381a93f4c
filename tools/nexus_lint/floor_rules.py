"""Rules about what may be reached from where: the floors, the seam, the library's silence, the one mutex."""

import ast
import re

from nexus_lint import policy


def load_floors(text):
    """FLOORS and BESIDE out of floors.bzl, which is also valid Python."""
    values = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign):
            values[node.targets[0].id] = ast.literal_eval(node.value)
    return values["FLOORS"], values["BESIDE"]


def floor_of(path, floors):
    """The floor of a path by the longest matching folder, or None."""
    best = None
    for floor in floors:
        if path.startswith(floor + "/") and (best is None or len(floor) > len(best)):
            best = floor
    return best


def make_floor_rule(floors, beside):
    def floor(source):
        if not source.is_cpp:
            return
        here = floor_of(source.path, floors)
        top = source.path.split("/")[0]
        for offset, path in source.includes:
            there = floor_of(path, floors)
            other = path.split("/")[0]
            if other == top:
                continue
            if there is None:
                if other in beside and top not in beside:
                    yield source.finding(offset, "floors", f"no floor includes {other}/: move what is shared down to a "
                                         "floor")
            elif here is not None and there not in floors[here]:
                may = ", ".join(name + "/" for name in floors[here]) or "nothing"
                yield source.finding(offset, "floors", f"{here}/ may not include {there}/ (it may: {may}); pass the "
                                     "value in from above, or move the code to the floor that knows both")

    return floor


def _calls(names):
    # Not a member, not qualified by a class or by another namespace than std.
    return re.compile(r"(?<![\w.>:~])(?P<qualifier>(?:std\s*)?::\s*)?\b(?P<name>" + "|".join(names) + r")\s*\(")


# The word before a name: a type makes it a declaration, one of these does not.
_TYPE_BEFORE = re.compile(r"(?!(?:return|co_return|co_await|co_yield|else|do|case|throw|not|and|or)\b)\b(\w+)(?:\s*>)*[\s&*]+$")


def _is_declaration(code, offset):
    line_start = code.rfind("\n", 0, offset) + 1
    return bool(_TYPE_BEFORE.search(re.sub(r"^.*[;{}(,=]", "", code[line_start:offset])))


def outside_calls(pattern, code, companion):
    """The calls of a free function that `pattern` (of _calls) names, as (offset, name).

    A class may have an accessor of such a name, `bool open() const`: where the file or its header declares one,
    only a qualified call is the system's.
    """
    own = {match.group("name") for text in (code, companion) for match in pattern.finditer(text)
           if not match.group("qualifier") and _is_declaration(text, match.start())}
    for match in pattern.finditer(code):
        if match.group("qualifier") or match.group("name") not in own:
            yield match.start("name"), match.group("name")


_SEAM_CALL = _calls(policy.SEAM_CALLS)
_SEAM_GLOBAL_CALL = re.compile(r"(?<![\w>:])::\s*(" + "|".join(policy.SEAM_GLOBAL_CALLS) + r")\s*\(")
_SEAM_STD = re.compile(r"\bstd::(" + "|".join(policy.SEAM_STD_NAMES) + r")\b")
_SEAM_CLOCK = re.compile(r"\b(" + "|".join(policy.SEAM_CLOCKS) + r")\b")
_IO_URING = re.compile(r"\b(io_uring\w*)\s*\(")
_LIBRARY_CALL = _calls(policy.LIBRARY_CALLS)
_SERVER_CALL = _calls(policy.SERVER_CALLS)
_LIBRARY_STD = re.compile(r"\bstd::(" + "|".join(policy.LIBRARY_STD_NAMES) + r")\b")
_LIBRARY_LOG = re.compile(r"\b(spdlog)::|\bfmt::(print|println)\b|\babsl::(PrintF|FPrintF)\b")
_LOCK = re.compile(r"\bstd::(" + "|".join(policy.LOCKS) + r")\b|\babsl::(Mutex|MutexLock|CondVar|Notification)\b")


def _header(path, table):
    for name, instead in table.items():
        if path == name or (name.endswith("/") and path.startswith(name)):
            return instead
    return None


class Excuses:
    """The table of excused names; remembers which were used, so that stale ones are seen."""

    def __init__(self, allowed):
        self._allowed = allowed
        self._used = {path: set() for path in allowed}

    def excuses(self, path, name):
        for prefix, (names, _) in self._allowed.items():
            if path == prefix or (prefix.endswith("/") and path.startswith(prefix)):
                if name in names:
                    self._used[prefix].add(name)
                    return True
        return False

    def stale(self):
        """Each excuse that nothing needed, as (path, name). Only meaningful after all files were checked."""
        for path, (names, _) in sorted(self._allowed.items()):
            for name in sorted(names - self._used[path]):
                yield path, name


def make_seam_rule(excuses, companion_code):
    def seam(source):
        if not source.is_cpp or source.path.startswith(policy.OUTSIDE_THE_SEAM):
            return
        for offset, path in source.includes:
            instead = _header(path, policy.SEAM_HEADERS)
            if instead and not excuses.excuses(source.path, path):
                yield source.finding(offset, "seam", f"<{path}> is outside the seam: {instead}")
        places = list(outside_calls(_SEAM_CALL, source.code, companion_code(source)))
        for pattern in (_SEAM_GLOBAL_CALL, _SEAM_STD, _SEAM_CLOCK, _IO_URING):
            places += [(match.start(1), match.group(1)) for match in pattern.finditer(source.code)]
        for offset, name in places:
            if not excuses.excuses(source.path, name):
                yield source.finding(offset, "seam", f"{name} reaches the machine past the seam: use io/ (File, "
                                     "Directory, Clock, Random, Task, offload, post)")

    return seam


def make_library_rule(excuses, companion_code):
    def library(source):
        if not source.is_cpp:
            return
        is_server = source.path.startswith("server/")
        if not is_server and source.path.startswith(policy.NOT_A_LIBRARY):
            return
        advice = ("name this file with its reason in ALLOWED of tools/nexus_lint/policy.py, or go through one that is"
                  if is_server else "a library never prints, exits, reads the environment or handles signals: return a "
                  "Status, call the progress callback")
        if not is_server:
            for offset, path in source.includes:
                instead = _header(path, policy.LIBRARY_HEADERS)
                if instead and not excuses.excuses(source.path, path):
                    yield source.finding(offset, "library", f"<{path}>: {instead}")
        places = list(outside_calls(_SERVER_CALL if is_server else _LIBRARY_CALL, source.code, companion_code(source)))
        for pattern in (_LIBRARY_STD,) if is_server else (_LIBRARY_STD, _LIBRARY_LOG):
            for match in pattern.finditer(source.code):
                places.append((match.start(), next(group for group in match.groups() if group)))
        for offset, name in places:
            if not excuses.excuses(source.path, name):
                yield source.finding(offset, "library", f"{name}: {advice}")

    return library


def one_mutex(source):
    # Tests of real threads may use what they like of std; Abseil's prebuilt ones fool TSan everywhere.
    if not source.is_cpp or source.path == policy.LOCKS_HOME:
        return
    beside = source.path.startswith(("tests/", "fuzz/", "bench/", "examples/", "tools/"))
    for match in _LOCK.finditer(source.code):
        if not (beside and match.group(1)):
            yield source.finding(match.start(), "mutex", f"{match.group()}: use base/mutex.h, which Clang checks and TSan "
                                 "understands")


def make_rules(floors, beside, excuses, companion_code):
    """companion_code(source) is the code of the header beside a .cc, or the empty string."""
    return [make_floor_rule(floors, beside), make_seam_rule(excuses, companion_code),
            make_library_rule(excuses, companion_code), one_mutex]
