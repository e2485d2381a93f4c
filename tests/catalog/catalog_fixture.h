// What the catalog's tests share: a catalog in a folder of its own, and short ways to say things.
//
// Threading: one test, one thread, unless a test starts more.

#ifndef NEXUS_TESTS_CATALOG_CATALOG_FIXTURE_H_
#define NEXUS_TESTS_CATALOG_CATALOG_FIXTURE_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/labels.h"
#include "base/status.h"
#include "catalog/catalog.h"
#include "catalog/records.h"

namespace nexus::catalog {

inline constexpr DatabaseId kDatabase{0x0123456789abcdef, 0xfedcba9876543210};
inline constexpr TenantId kTenant{0};
inline constexpr uint64_t kSeed = 0x5eed;
inline constexpr uint64_t kTestMapBytes = 1ull << 30;

inline std::string Canonical(std::string metric, std::vector<Label> labels) {
  StatusOr<Labels> made = Labels::Make(std::move(metric), std::move(labels));
  EXPECT_TRUE(made.ok()) << made.status();
  return made->Canonical();
}

inline SeriesDefinition Series(uint64_t id, std::string metric, std::vector<Label> labels,
                               TenantId tenant = kTenant) {
  return {tenant, SeriesId{id}, Canonical(std::move(metric), std::move(labels))};
}

inline TenantRecord Tenant(uint32_t id, std::string name, uint64_t seed = kSeed) {
  return {TenantId{id}, std::move(name), seed, {}};
}

inline BranchRecord Branch(TenantId tenant, uint32_t id, std::string name, uint64_t sealed) {
  BranchRecord record;
  record.tenant = tenant;
  record.id.value = id;
  record.name = std::move(name);
  record.sealed.value = sealed;
  return record;
}

inline LayerRecord Layer(uint64_t sequence, BranchId branch = {}) {
  LayerRecord record;
  record.branch = branch;
  record.open_count = 3;
  record.sequence = sequence;
  record.file_name = "layer-" + std::to_string(sequence);
  record.range = {-5, static_cast<int64_t>(sequence)};
  record.level = 1;
  record.low = {0, Lsn{10}};
  record.high = {1, Lsn{20 + sequence}};
  record.deletes_applied = Lsn{30 + sequence};
  record.series = 7;
  record.samples = 700;
  record.file_bytes = 4096;
  record.footer_hash = 0xabcdef;
  return record;
}

inline std::vector<uint64_t> Ids(const SeriesSet& set) {
  std::vector<uint64_t> ids;
  set.ForEach([&](SeriesId id) { ids.push_back(id.value); });
  return ids;
}

inline bool Says(const Status& status, absl::StatusCode code, std::string_view text) {
  EXPECT_EQ(status.code(), code) << status;
  bool said = FromAbsl(status.message()).find(text) != std::string_view::npos;
  EXPECT_TRUE(said) << status << "\ndoes not say: " << text;
  return status.code() == code && said;
}

class CatalogTest : public testing::Test {
 public:
  ~CatalogTest() override {
    catalog_.reset();
    std::filesystem::remove_all(root_);
  }

 protected:
  CatalogTest() {
    root_ = std::filesystem::path(testing::TempDir()) /
            (std::string("catalog_") +
             testing::UnitTest::GetInstance()->current_test_info()->test_suite_name() + "_" +
             testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(root_);
    options_.directory = MakeFolder("catalog");
    options_.database = kDatabase;
    options_.map_bytes = kTestMapBytes;
  }
  std::string MakeFolder(std::string_view name) {
    std::filesystem::create_directories(root_ / name);
    return (root_ / name).string();
  }
  std::filesystem::path DataFile() const {
    return std::filesystem::path(options_.directory) / "data.mdb";
  }

  StatusOr<std::unique_ptr<Catalog>> TryOpen(OpenMode mode) {
    catalog_.reset();
    CatalogOptions options = options_;
    options.mode = mode;
    return Catalog::Open(options);
  }
  void Open(OpenMode mode) {
    auto opened = TryOpen(mode);
    ASSERT_TRUE(opened.ok()) << opened.status();
    catalog_ = std::move(*opened);
  }
  // A new catalog with the tenant `default`.
  void Create() {
    Open(OpenMode::kCreate);
    Update update;
    update.tenants = {Tenant(0, "default")};
    update.branches = {Branch(kTenant, 0, "main", 0)};
    Commit(std::move(update));
  }

  // Commits at the next LSN unless the update names one.
  void Commit(Update update) {
    if (update.applied.value == 0) update.applied.value = catalog_->meta().applied.value + 1;
    Status status = catalog_->Commit(update);
    ASSERT_TRUE(status.ok()) << status;
  }
  void Define(std::vector<SeriesDefinition> series) {
    Update update;
    update.series = std::move(series);
    Commit(std::move(update));
  }

  Reader Read() {
    auto reader = catalog_->BeginRead();
    EXPECT_TRUE(reader.ok()) << reader.status();
    return std::move(*reader);
  }
  std::vector<uint64_t> Postings(std::string_view name, std::string_view value,
                                 TenantId tenant = kTenant) {
    SeriesSet set;
    Status status = Read().AddPostings(tenant, name, value, &set);
    EXPECT_TRUE(status.ok()) << status;
    return Ids(set);
  }
  std::string LabelsOf(uint64_t id, TenantId tenant = kTenant) {
    auto canonical = Read().Canonical(tenant, SeriesId{id});
    return canonical.ok() ? *canonical : std::string(FromAbsl(canonical.status().message()));
  }
  // Everything a reader can see, as text: for comparing states.
  std::string Dump();

  std::filesystem::path root_;
  CatalogOptions options_;
  std::unique_ptr<Catalog> catalog_;
};

inline std::string CatalogTest::Dump() {
  Reader reader = Read();
  std::string out;
  auto image = reader.Image();
  EXPECT_TRUE(image.ok()) << image.status();
  auto bytes = EncodeImage(*image);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  out += *bytes;
  for (const TenantRecord& tenant : image->tenants) {
    auto series = [&](const SeriesDefinition& s) {
      out += fmt::format("\n{} {}", s.id.value, s.canonical);
    };
    EXPECT_TRUE(reader.VisitSeries(tenant.id, SeriesId{0}, UINT64_MAX, series).ok());
    auto row = [&](const SeriesIdentityRow& r) {
      out += fmt::format("\n{} {:x} {:x}", r.id.value, r.identity.high, r.identity.low);
    };
    EXPECT_TRUE(reader.VisitIdentities(tenant.id, SeriesId{0}, UINT64_MAX, row).ok());
    std::vector<std::string> names;
    auto name = [&](std::string_view n) { names.emplace_back(n); };
    EXPECT_TRUE(reader.VisitLabelNames(tenant.id, name).ok());
    for (const std::string& n : names) {
      std::vector<std::string> values;
      auto value = [&](std::string_view v) {
        values.emplace_back(v);
        return true;
      };
      EXPECT_TRUE(reader.VisitLabelValues(tenant.id, n, value).ok());
      for (const std::string& v : values) {
        SeriesSet set;
        EXPECT_TRUE(reader.AddPostings(tenant.id, n, v, &set).ok());
        out += fmt::format("\n{}={}:", n, v);
        for (uint64_t id : Ids(set)) out += fmt::format(" {}", id);
      }
    }
  }
  return out;
}

}  // namespace nexus::catalog

#endif  // NEXUS_TESTS_CATALOG_CATALOG_FIXTURE_H_
