#!/usr/bin/env python3
"""Tests of the lint: each house rule fires on a bad snippet and stays quiet on a good one beside it."""

import unittest

from nexus_lint import code_rules, floor_rules, text_rules
from nexus_lint.source import Source

FLOORS = {"base": [], "io": ["base"], "io/sim": ["base", "io"], "wal": ["base", "io"],
          "engine": ["base", "io", "wal"], "server": ["base", "io", "wal", "engine"]}
BESIDE = ["tests", "fuzz", "bench", "examples", "tools"]


def findings(path, text, companion="", allowed=None):
    """The names of the rules that the text breaks, in order of the rules."""
    rules = (text_rules.RULES
             + floor_rules.make_rules(FLOORS, BESIDE, floor_rules.Excuses(allowed or {}), lambda source: companion)
             + code_rules.make_rules(lambda source: companion))
    source = Source(path, text)
    return [finding.rule for rule in rules for finding in rule(source)]


def cc(body):
    return "// A snippet.\n\n" + body


class LintTest(unittest.TestCase):
    def fires(self, rule, path, text, **options):
        self.assertIn(rule, findings(path, text, **options), text)

    def quiet(self, path, text, **options):
        self.assertEqual([], findings(path, text, **options), text)

    # ---- Text.

    def test_opening_comment(self):
        self.fires("opening-comment", "base/a.cc", "int x;\n")
        self.fires("opening-comment", "tools/a.sh", "#!/bin/sh\nset -e\n")
        self.quiet("base/a.cc", "// A: an example.\nint x;\n")
        self.quiet("tools/a.sh", "#!/bin/sh\n# Says hello.\n")
        self.quiet("wal/BUILD.bazel", "# The log.\n")
        self.quiet("tools/a.py", '#!/usr/bin/env python3\n"""Says hello."""\n')
        self.quiet("README.md", "nexus\n")

    def test_ascii(self):
        self.fires("ascii", "base/a.cc", cc("// 5 \u00b5s\n"))
        self.fires("ascii", "tools/a.py", '"""Arrow \u2192."""\n')
        self.quiet("docs/a.md", "5 \u00b5s\n")

    def test_file_length(self):
        self.fires("file-length", "base/a.cc", cc("int x;\n" * 1000))
        self.quiet("base/a.cc", cc("int x;\n" * 998))

    def test_unfinished_words(self):
        for word in ["TO" "DO", "FIX" "ME", "X" "XX", "HA" "CK", "not " "implemented", "for " "now"]:
            self.fires("unfinished", "base/a.cc", cc(f"// {word}: later\n"))
        self.quiet("base/a.cc", cc("// HACKNEY, kXXXL and mastodons are words.\n"))

    def test_machine_path(self):
        self.fires("machine-path", "docs/a.md", "see /ho" "me/joe/nexus\n")
        self.fires("machine-path", "tools/a.sh", "# Gets http" "://ftp.deb" "ian.org/x.\n")
        self.quiet("docs/a.md", "see /proc/stat, /usr/include and docs/work/flow.md\n")

    def test_include_guard(self):
        good = "// A.\n#ifndef NEXUS_BASE_A_B_H_\n#define NEXUS_BASE_A_B_H_\nint x;\n#endif  // NEXUS_BASE_A_B_H_\n"
        self.quiet("base/a_b.h", good)
        self.fires("include-guard", "base/other.h", good)
        self.fires("include-guard", "base/a_b.h", "// A.\n#pragma once\nint x;\n")
        self.fires("include-guard", "base/a_b.h", good + "int y;\n#if 1\n")

    def test_using_namespace(self):
        text = "// A.\n#ifndef NEXUS_BASE_A_H_\n#define NEXUS_BASE_A_H_\n{}\n#endif\n"
        self.fires("using-namespace", "base/a.h", text.format("using namespace std;"))
        self.quiet("base/a.h", text.format("// using namespace std;\nusing std::string;"))
        self.quiet("base/a.cc", cc("using namespace std::literals;\n"))

    def test_tests_run(self):
        self.fires("disabled-test", "tests/a_test.cc", cc("TEST(A, DISABLED" "_Works) {}\n"))
        self.fires("silent-skip", "tests/a_test.cc", cc("TEST(A, B) { GTEST" "_SKIP(); }\n"))
        self.fires("silent-skip", "tests/a_test.cc", cc('TEST(A, B) { GTEST' '_SKIP() << ""; }\n'))
        self.quiet("tests/a_test.cc", cc('TEST(A, B) { GTEST' '_SKIP() << "no shared data"; }\n'))

    # ---- Floors and the seam.

    def test_floors(self):
        self.fires("floors", "wal/a.cc", cc('#include "engine/nexus.h"\n'))
        self.fires("floors", "engine/a.cc", cc('#include "io/sim/disk.h"\n'))
        self.fires("floors", "engine/a.cc", cc('#include "tests/fixture.h"\n'))
        self.quiet("engine/a.cc", cc('#include "wal/log.h"\n#include "engine/b.h"\n#include "absl/status/status.h"\n'))
        self.quiet("io/real.cc", cc('#include "io/sim/disk.h"\n'))
        self.quiet("tests/sim/a.cc", cc('#include "io/sim/disk.h"\n#include "engine/nexus.h"\n#include "bench/gen.h"\n'))
        self.quiet("wal/a.cc", cc('// #include "engine/nexus.h"\n'))

    def test_seam_headers(self):
        for header in ["unistd.h", "fcntl.h", "sys/mman.h", "thread", "filesystem", "fstream", "liburing.h"]:
            self.fires("seam", "wal/a.cc", cc(f"#include <{header}>\n"))
            self.quiet("io/a.cc", cc(f"#include <{header}>\n"))
        self.quiet("wal/a.cc", cc("#include <vector>\n#include <chrono>\n"))

    def test_seam_calls(self):
        for call in ["open(path, 0)", "::open(path, 0)", "::read(fd, p, 1)", "pwrite(fd, p, 1, 0)", "fsync(fd)",
                     "std::rename(a, b)", "unlink(p)", "mkdir(p, 0)", "stat(p, &s)", "mmap(p)", "rand()", "::close(fd)",
                     "std::rand()", "io_uring_submit(&r)", "fopen(p, m)"]:
            self.fires("seam", "wal/a.cc", cc(f"void F() {{ auto x = {call}; }}\n"))
            self.quiet("io/a.cc", cc(f"void F() {{ auto x = {call}; }}\n"))
        for call in ["file->open(1)", "file.read(2)", "Disk::open(path)", "read(view)", "Reopen(1)", "mdb_stat(t, d, &s)",
                     "std::remove(v.begin(), v.end(), 1)", '"open(x)"', "state.fsync(1)", "writer.close()", "time(3)"]:
            self.quiet("wal/a.cc", cc(f"void F() {{ auto x = {call}; }}\n"))

    def test_an_accessor_may_have_the_name_of_a_system_call(self):
        accessor = "bool open() const { return open_; }\n"
        self.quiet("wal/a.cc", cc(accessor + "void F() { if (!open()) G(); }\n"))
        self.quiet("wal/a.cc", cc("void F() { return open(); }\n"), companion=accessor)
        self.fires("seam", "wal/a.cc", cc(accessor + "void F() { ::open(p, 0); }\n"))
        self.fires("seam", "wal/a.cc", cc("int F() { return open(p, 0); }\n"))

    def test_seam_types(self):
        for name in ["std::chrono::steady_clock::now()", "std::random_device()()", "std::filesystem::path()",
                     "std::thread(f)", "std::jthread(f)", "std::async(f)", "std::ifstream(p)", "system_clock::now()"]:
            self.fires("seam", "engine/a.cc", cc(f"auto x = {name};\n"))
            self.quiet("tests/a.cc", cc(f"auto x = {name};\n"))
        self.quiet("engine/a.cc", cc("auto x = std::chrono::seconds(1);\n// std::thread is not for us\n"))

    def test_library_is_silent(self):
        for line in ['printf("x");', 'std::cout << 1;', 'std::cerr << 1;', 'spdlog::info("x");', "exit(1);",
                     "std::exit(1);", "signal(2, h);", 'fmt::print("x");', 'std::getenv("X");']:
            self.fires("library", "engine/a.cc", cc(f"void F() {{ {line} }}\n"))
            self.quiet("tests/a.cc", cc(f"void F() {{ {line} }}\n"))
        self.fires("library", "engine/a.cc", cc("#include <spdlog/spdlog.h>\n"))
        for line in ['snprintf(b, 9, "x");', 'absl::StrFormat("x");', "task.exit(1);", 'spdlog_like("x");']:
            self.quiet("engine/a.cc", cc(f"void F() {{ {line} }}\n"))

    def test_server_touches_the_terminal_in_named_files_only(self):
        text = cc("void F() { std::cout << isatty(1); spdlog::info(1); }\n")
        self.assertEqual(["seam", "library"], findings("server/a.cc", text))
        self.quiet("server/a.cc", text, allowed={"server/a.cc": ({"cout", "isatty"}, "the terminal")})

    def test_an_excuse_that_nothing_needs_is_stale(self):
        excuses = floor_rules.Excuses({"server/a.cc": ({"cout", "isatty"}, "the terminal")})
        self.assertTrue(excuses.excuses("server/a.cc", "cout"))
        self.assertFalse(excuses.excuses("server/b.cc", "cout"))
        self.assertEqual([("server/a.cc", "isatty")], list(excuses.stale()))

    def test_one_mutex(self):
        self.fires("mutex", "engine/a.cc", cc("std::mutex m;\n"))
        self.fires("mutex", "tests/a.cc", cc("absl::Mutex m;\n"))
        self.quiet("tests/a.cc", cc("std::mutex m;\n"))
        self.quiet("engine/a.cc", cc("Mutex m;\n"))

    # ---- Order of hash tables.

    def test_unordered(self):
        table = "absl::flat_hash_map<std::string, std::vector<int>> table_;\n"
        loop = "void F() { for (const auto& [k, v] : table_) G(k); }\n"
        self.fires("unordered", "wal/a.cc", cc(table + loop))
        self.fires("unordered", "wal/a.cc", cc(loop), companion=table)
        self.fires("unordered", "wal/a.cc", cc("using Map = absl::flat_hash_map<int, int>;\nMap table_;\n" + loop))
        self.fires("unordered", "wal/a.cc", cc(table + "auto x = std::vector<int>(table_.begin(), table_.end());\n"))
        self.fires("unordered", "wal/a.cc", cc("const absl::flat_hash_set<int>& all() const;\nvoid F() {\n"
                                               "  for (int x : other->all()) G(x);\n}\n"))
        self.quiet("wal/a.cc", cc(table + "// order-free: a sum.\n" + loop))
        self.quiet("wal/a.cc", cc(table + "void F() {\n  for (auto& x : table_) s += x;  // order-free: a sum\n}\n"))
        self.quiet("wal/a.cc", cc("std::map<int, int> table_;\n" + loop))
        self.quiet("wal/a.cc", cc(table + "void F() { for (int i = 0; i < (a ? 1 : 2); ++i) G(table_.at(i)); }\n"))
        self.fires("unordered", "wal/a.cc", cc(table + "// order-free:\n" + loop))

    # ---- Coroutines under GCC 12.

    def test_await_in_condition(self):
        for line in ["if (a && co_await F()) G();", "while (co_await F() || b) G();",
                     "if (auto s = 1; s && co_await F()) G();", "CHECK(co_await F() && b);", "if (co_await F() or b) G();"]:
            self.fires("coroutine-condition", "wal/a.cc", cc(f"Task<> T() {{ {line} }}\n"))
        for line in ["if (co_await F()) G();", "const bool b = co_await F(); if (a && b) G();",
                     "if (auto s = co_await F(); s && b) G();", "if (auto&& s = co_await F()) G();"]:
            self.quiet("wal/a.cc", cc(f"Task<> T() {{ {line} }}\n"))

    def test_await_aggregate(self):
        for line in ["co_await F(Request{a, b});", "co_await Awaiter{a};", "auto x = co_await F(G({a, b}));",
                     "co_await F({.a = 1});", "co_await F(1, {});", "co_await F(std::vector<int>{1});"]:
            self.fires("coroutine-aggregate", "wal/a.cc", cc(f"Task<> T() {{ {line} }}\n"))
        for line in ["Request r{a, b}; co_await F(std::move(r));", "co_await F(a); Request r{a};",
                     "co_await Offload([] { return Request{1}; });", "co_await F([](int x) -> Request { return {x}; });",
                     "if (co_await F()) { G(Request{a}); }", "co_return Request{a};",
                     "co_await F({p, 1});  // lint-aggregate: a span"]:
            self.quiet("wal/a.cc", cc(f"Task<> T() {{ {line}\n }}\n"))
        self.quiet("io/task.cc", cc("auto operator co_await() && { return Awaiter(handle_); }\n"))

    def test_capturing_coroutine(self):
        for line in ["[&]() -> Task<> { co_await F(); }", "[this] { co_return; }", "[x = a[1]](int y) { co_await G(y); }",
                     "[=]() mutable { if (x) { co_return; } }"]:
            self.fires("coroutine-lambda", "wal/a.cc", cc(f"void T() {{ Spawn({line}); }}\n"))
        for line in ["[](int x) -> Task<> { co_await F(x); }", "[&] { return 1; }",
                     "[&] { Spawn([](int x) -> Task<> { co_return; }); }"]:
            self.quiet("wal/a.cc", cc(f"void T() {{ Spawn({line}); }}\n"))
        self.quiet("wal/a.cc", cc("Task<> T() { for (auto [a, b] : list) { co_await F(a[b]); } }\n"))

    # ---- Function length.

    def test_function_length(self):
        body = "  G();\n" * 69
        self.fires("function-length", "wal/a.cc", cc("namespace n {\nvoid F() {\n" + body + "}\n}\n"))
        self.fires("function-length", "wal/a.cc", cc("class A {\n public:\n  void F() const {\n" + body + "}\n};\n"))
        self.fires("function-length", "wal/a.cc", cc("A::A(int a) : a_{a}, b_(a) {\n" + body + "}\n"))
        self.fires("function-length", "wal/a.cc", cc("bool operator<(A a, A b) {\n" + body + "}\n"))
        self.fires("function-length", "wal/a.cc", cc('extern "C" int F(int x) {\n' + body + "}\n"))
        self.quiet("wal/a.cc", cc("namespace n {\nvoid F() {\n" + "  G();\n" * 68 + "}\n}\n"))
        self.quiet("tests/a.cc", cc("TEST(A, B) {\n" + "  G();\n" * 118 + "}\n"))
        self.fires("function-length", "tests/a.cc", cc("TEST(A, B) {\n" + "  G();\n" * 119 + "}\n"))

    def test_function_length_knows_what_is_no_function(self):
        lines = "  int x;\n" * 100
        for head in ["namespace a::b", "namespace", "class A final : public B<int (int)>", "struct ABSL_LOCKABLE A",
                     'class ABSL_CAPABILITY("mutex") A', "struct alignas(64) A", "template <typename T, int N = (1)>\nclass A",
                     "enum class E : int", "union U", 'extern "C"']:
            self.quiet("wal/a.cc", cc(f"{head} {{\n{lines}}};\n"))
        self.quiet("wal/a.cc", cc("constexpr int kTable[] = {\n" + "  1,\n" * 100 + "};\n"))
        self.quiet("wal/a.cc", cc("void F() { G(); }\n" * 100))
        self.quiet("wal/a.cc", cc("struct A {\n" + "  A(int a) : a_{a} {}\n  int a_{1};\n" * 50 + "};\n"))
        self.quiet("wal/a.cc", cc("#define M(x) \\\n  if (x) { \\\n  }\nvoid F() { M(1); }\n" * 40))

    # ---- The lexer below all of it.

    def test_comments_and_literals_are_not_code(self):
        for line in ['auto s = R"(open(1) { )";', "int n = 1'000'000; int m = 2'0;", r"char c = '\''; char d = '{';",
                     '/* open(1) */ int x;', r'auto s = "\"open(1)";', "auto c = u8'{';", "auto c = L'\"';"]:
            self.quiet("wal/a.cc", cc(f"void F() {{ {line} }}\n"))
            self.fires("seam", "wal/a.cc", cc(f"void F() {{ {line} unlink(p); }}\n"))


if __name__ == "__main__":
    unittest.main()
