// What was in flight when a simulated process died is nobody's any more. LeakSanitizer is told here
// where it was made, for every program that crashes the engine in the simulated world.

// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming): the sanitizer's name
extern "C" const char* __lsan_default_suppressions() {
  return "leak:nexus::engine::Committer::AppendDefinitions\n"
         "leak:nexus::server::BinarySession::HandleBatch\n";
}
