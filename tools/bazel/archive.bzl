"""nexus_archive: the static library that is installed, of a library and everything of ours below it.

Bazel 4 makes one archive for each cc_library; a program outside of Bazel wants one. The objects are the
position-independent ones, so that the archive also fits into a shared object. The system's libraries are not in it:
they are named by the pkg-config file.
"""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

def _objects_of(deps):
    """The objects of all libraries below `deps`, each once, in link order."""
    found = {}
    for dep in deps:
        for linker_input in dep[CcInfo].linking_context.linker_inputs.to_list():
            for library in linker_input.libraries:
                for file in library.pic_objects or library.objects or []:
                    found[file] = True
    return found.keys()

def _nexus_archive_impl(ctx):
    objects = _objects_of(ctx.attr.deps)
    if not objects:
        fail("%s: no objects below %s" % (ctx.label, ctx.attr.deps))
    toolchain = find_cpp_toolchain(ctx)
    arguments = ctx.actions.args()

    # q, not r: members of different folders may have the same name. D: no dates, so that equal input is equal output.
    arguments.add("qcsD")
    arguments.add(ctx.outputs.out)
    arguments.add_all(objects)
    arguments.use_param_file("@%s")
    arguments.set_param_file_format("multiline")
    ctx.actions.run(
        executable = toolchain.ar_executable,
        arguments = [arguments],
        inputs = depset(objects, transitive = [toolchain.all_files]),
        outputs = [ctx.outputs.out],
        mnemonic = "NexusArchive",
    )
    return [DefaultInfo(files = depset([ctx.outputs.out]))]

nexus_archive = rule(
    implementation = _nexus_archive_impl,
    attrs = {
        "deps": attr.label_list(providers = [CcInfo], mandatory = True),
        "out": attr.output(mandatory = True),
        "_cc_toolchain": attr.label(default = Label("@bazel_tools//tools/cpp:current_cc_toolchain")),
    },
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
)

def _nexus_headers_impl(ctx):
    headers = [dep[CcInfo].compilation_context.headers for dep in ctx.attr.deps]
    files = [file for file in depset(transitive = headers).to_list() if file.is_source]
    return [DefaultInfo(files = depset(files), runfiles = ctx.runfiles(files = files))]

# Our headers that `deps` and what is below them have, as files.
nexus_headers = rule(
    implementation = _nexus_headers_impl,
    attrs = {"deps": attr.label_list(providers = [CcInfo], mandatory = True)},
)
