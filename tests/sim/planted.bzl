"""A binary built with the planted bugs in (base/planted.h), beside the same binary without them."""

_COPT = "//command_line_option:copt"

def _with_planted_bugs(settings, _attributes):
    return {_COPT: settings[_COPT] + ["-DNEXUS_PLANTED_BUGS"]}

_planted = transition(
    implementation = _with_planted_bugs,
    inputs = [_COPT],
    outputs = [_COPT],
)

def _planted_binary_impl(ctx):
    built = ctx.attr.binary[0][DefaultInfo].files_to_run.executable
    program = ctx.actions.declare_file(ctx.label.name)

    # A copy: a link would bring the file it leads to into the runfiles, where it has the name of the other one.
    ctx.actions.run_shell(
        inputs = [built],
        outputs = [program],
        arguments = [built.path, program.path],
        command = 'cp "$1" "$2"',
    )
    return [DefaultInfo(executable = program, files = depset([program]))]

planted_binary = rule(
    implementation = _planted_binary_impl,
    attrs = {
        "binary": attr.label(cfg = _planted, mandatory = True),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
    executable = True,
)
