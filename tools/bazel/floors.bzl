"""The floors of the design (DESIGN section 2): which folder may include which. The one copy of that table.

nexus.bzl turns it into Bazel visibility; tools/nexus_lint reads this file as Python literals and checks every
#include against it. A package belongs to the floor with the longest matching path, so that the backends under io/
are stricter than io/ itself; folders of the same top folder may always include each other.
"""

# floor -> the floors whose headers it may include, lowest first.
FLOORS = {
    "base": [],
    # One form of a batch for the log and for the wire.
    "batch": ["base"],
    "io": ["base"],
    # The backends of the seam: nobody above names one. io/real.h is the door to the real world.
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
    "engine": ["base", "batch", "io", "wal", "layer", "catalog", "compaction", "sync"],
    # Speaks the wire protocol and knows nothing of the engine.
    "client": ["base", "batch", "io"],
    "server": ["base", "batch", "io", "wal", "layer", "catalog", "compaction", "sync", "engine", "client"],
}

# Stand beside the floors and may include all of them and each other; no floor includes these.
BESIDE = ["tests", "fuzz", "bench", "examples", "tools"]
