// Linked into every program of --config=planted (.bazelrc): the planted bug that the environment
// names, NEXUS_PLANT=NAME, is on before main begins. So any test, and the shipped server under the
// kill loop, can be run with a bug in it, though none of them has an option for one;
// tools/planted_tests.sh does.

#include <cstdio>
#include <cstdlib>

#include "base/planted.h"

namespace nexus {
namespace {

[[maybe_unused]] const bool kPlanted = [] {
  const char* name =
      std::getenv("NEXUS_PLANT");  // NOLINT(concurrency-mt-unsafe): no other thread yet
  if (name == nullptr || *name == '\0') return false;
  if (!Plant(name)) {
    std::fprintf(stderr, "NEXUS_PLANT=%s: there is no planted bug of this name\n", name);
    std::_Exit(2);
  }
  return true;
}();

}  // namespace
}  // namespace nexus
