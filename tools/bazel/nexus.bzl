"""Macros for nexus's own BUILD files. Compiler flags are uniform and live in .bazelrc, not here.

    load("//tools/bazel:nexus.bzl", "nexus_cc_library", "nexus_cc_test", "nexus_fuzz_target")

    # wal/BUILD.bazel. Visible to exactly the floors that may include wal/ (floors.bzl); no visibility to write.
    # For a part that only its own floor and the tests may see: internal = True.
    nexus_cc_library(
        name = "frame",
        srcs = ["frame.cc"],
        hdrs = ["frame.h"],
        deps = ["//base:varint", "//third_party:absl_status"],
    )

    # tests/wal/BUILD.bazel. GoogleTest's main is added; rapidcheck is //third_party:rapidcheck.
    nexus_cc_test(
        name = "frame_test",
        srcs = ["frame_test.cc"],
        deps = ["//wal:frame"],
    )

    # fuzz/BUILD.bazel. The source defines LLVMFuzzerTestOneInput and has no main. Two targets come of it:
    #   frame_fuzz              the libFuzzer binary, --config=fuzz only, run by `make fuzz SECONDS=N`
    #   frame_fuzz_corpus_test  a plain test that feeds it each file of corpus/frame_fuzz/, in every configuration
    nexus_fuzz_target(
        name = "frame_fuzz",
        srcs = ["frame_fuzz.cc"],
        deps = ["//wal:frame"],
    )

Tests tagged "manual" or "soak" are not run by `make test`. A test that cannot run in Bazel's sandbox carries
tags = ["no-sandbox"] with the reason beside it.
"""

load(":floors.bzl", "BESIDE", "FLOORS")

def _floor_of(package):
    """The entry of FLOORS that a package belongs to, by the longest prefix, or None beside the floors."""
    best = None
    for floor in FLOORS:
        if package == floor or package.startswith(floor + "/"):
            if best == None or len(floor) > len(best):
                best = floor
    return best

def _visibility(package, internal):
    floor = _floor_of(package)
    if floor == None:
        return ["//%s:__subpackages__" % user for user in BESIDE]
    users = [package.split("/")[0]] + BESIDE
    if not internal:
        users += [user for user in FLOORS if floor in FLOORS[user]]
    return ["//%s:__subpackages__" % user for user in users]

def nexus_cc_library(name, internal = False, **kwargs):
    """A cc_library that only the floors allowed to include its folder can depend on.

    Args:
      name: the target's name.
      internal: if true, only its own floor and tests/, fuzz/, bench/, examples/ can.
      **kwargs: as for cc_library, except visibility.
    """
    native.cc_library(
        name = name,
        visibility = _visibility(native.package_name(), internal),
        **kwargs
    )

def nexus_cc_binary(name, **kwargs):
    """A cc_binary, visible to all: binaries are run, not linked."""
    native.cc_binary(
        name = name,
        visibility = ["//visibility:public"],
        **kwargs
    )

def nexus_cc_test(name, deps = [], size = "small", **kwargs):
    """A cc_test with GoogleTest's main. size is Bazel's: small 1 min, medium 5 min, large 15 min."""
    native.cc_test(
        name = name,
        size = size,
        deps = deps + ["//third_party:gtest_main"],
        **kwargs
    )

def nexus_fuzz_target(name, srcs, deps = [], data = [], size = "small", **kwargs):
    """A libFuzzer binary and the plain test that replays its committed corpus.

    Args:
      name: the target's name; its inputs are the files of corpus/<name>/ beside the BUILD file (at least one), and
        <name>.dict there, if it is, has words that the fuzzer puts in.
      srcs: define LLVMFuzzerTestOneInput.
      deps: as for cc_library.
      data: further run-time files.
      size: of the corpus test.
      **kwargs: as for cc_library.
    """
    native.cc_library(
        name = name + "_body",
        srcs = srcs,
        deps = deps,
        alwayslink = True,
        testonly = True,
        visibility = ["//visibility:private"],
        **kwargs
    )
    native.cc_binary(
        name = name,
        deps = [":" + name + "_body"],
        data = data,
        testonly = True,
        linkopts = ["-fsanitize=fuzzer"],
        # Links with clang only, so that `bazel test //...` must not build it.
        tags = ["fuzz", "manual"],
    )
    corpus = native.glob(["corpus/" + name + "/**"])
    if not corpus:
        fail("nexus_fuzz_target %s: no file in corpus/%s/; commit at least one input" % (name, name))
    native.cc_test(
        name = name + "_corpus_test",
        size = size,
        args = ["$(locations %s)" % label for label in corpus],
        data = data + corpus,
        deps = [":" + name + "_body", "//tools/bazel:corpus_main"],
    )
