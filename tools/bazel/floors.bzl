"""The floors of the design (DESIGN section 2): which folder may include which. The one copy of that table.

nexus.bzl turns it into Bazel visibility, tools/lint.py (which reads this file as a Python literal) checks every
#include against it. A folder may always include itself and its subfolders' parents are looked up by the longest
prefix, so that the backends under io/ can be stricter than io/ itself.
"""

# floor -> the floors whose headers it may include, lowest first.
FLOORS = {
    "base": [],
    "io": ["base"],
    # The backends of the seam. Only what opens a database or a socket names one; see BACKEND_USERS.
    "io/uring": ["base", "io"],
    "io/posix": ["base", "io"],
    "io/sim": ["base", "io"],
    "wal": ["base", "io"],
    # Knows nothing of the log and the catalog.
    "layer": ["base", "io"],
    # Knows nothing of how layers are encoded.
    "catalog": ["base", "io", "wal"],
    "compaction": ["base", "io", "wal", "layer", "catalog"],
    "sync": ["base", "io", "wal", "layer", "catalog", "compaction"],
    "engine": ["base", "io", "io/uring", "io/posix", "wal", "layer", "catalog", "compaction", "sync"],
    # Speaks the wire protocol and knows nothing of the engine.
    "client": ["base", "io", "io/uring", "io/posix"],
    "server": ["base", "io", "io/uring", "io/posix", "wal", "layer", "catalog", "compaction", "sync", "engine", "client"],
}

# Stand beside the floors and may include all of them; nothing includes these but themselves.
BESIDE = ["tests", "fuzz", "bench", "examples"]
