"""The linking example of the README is the one that is built and run: the text is the same."""

import pathlib
import sys


def main():
    readme = pathlib.Path(sys.argv[1]).read_text()
    example = pathlib.Path(sys.argv[2]).read_text()
    start = readme.index("```cpp\n") + len("```cpp\n")
    quoted = readme[start : readme.index("```", start)].strip()
    if quoted not in example:
        sys.exit("README.md quotes an example that is not in examples/embedded.cc: copy it again")


main()
