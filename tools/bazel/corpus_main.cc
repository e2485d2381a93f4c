// corpus_main: runs a fuzz target over files given on the command line, without libFuzzer.
//
// It makes a committed corpus a plain test in every configuration (nexus_fuzz_target in nexus.bzl).
// The empty input is always run too. Fails (exit 1) if no file was given or one cannot be read; a
// target that finds a bug aborts. One thread.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) {
  const std::uint8_t none = 0;
  LLVMFuzzerTestOneInput(&none, 0);
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    const std::string input((std::istreambuf_iterator<char>(file)),
                            std::istreambuf_iterator<char>());
    if (!file.good() && !file.eof()) {
      std::fprintf(stderr, "corpus_main: cannot read %s\n", argv[i]);
      return 1;
    }
    std::fprintf(stderr, "corpus_main: %s (%zu bytes)\n", argv[i], input.size());
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
  }
  if (argc < 2) {
    std::fprintf(stderr, "corpus_main: no corpus file given\n");
    return 1;
  }
  return 0;
}
