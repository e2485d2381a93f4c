// A program that links both installed libraries: prints the version, opens a database, and fails to
// reach a server that is not there.

#include <cstdio>

#include "client/client.h"
#include "client/nexus_client.h"
#include "engine/nexus.h"
#include "engine/nexus_c.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::printf("%.*s\n", static_cast<int>(nexus::Version().size()), nexus::Version().data());
  nexus::Options options;
  options.directory = argv[1];
  auto db = nexus::Database::Open(options);
  // Headers have code of their own that needs fmt and Abseil.
  if (!db.ok() || nexus::NotFound("{}", 1).message() != "1") return 1;
  nexus::client::ClientOptions nowhere;
  nowhere.address = "127.0.0.1:1";
  auto client = nexus::client::Client::Connect(nowhere);
  return client.ok() ? 1 : 0;
}
