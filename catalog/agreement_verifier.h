// AgreementVerifier: checks that the catalog's trees say the same of every series.
//
//   - every record lies under its own key; branches, live layers and producers are of tenants and
//     branches that are there
//   - every series row names symbols that are there, has labels in canonical form, the identity
//     that these labels have, and an id below the next one
//   - every label of a row is in the postings, and every id in the postings has a row with that
//     label
//   - every symbol is found by its string, and every string leads to its symbol
// A value that fails its checksum is passed over here, unless asked for: PageVerifier reports it,
// with its offset.
//
// Pieces are short read transactions, so a living catalog grows no old pages; every check is
// within one piece, so commits in between do not show as disagreement. Series go only with their
// tenant: the rows of a deleted one, which are being purged, are passed over.
// Cost: about 15 us a series of ten labels. Failure: disagreement is told to the visitor; Step's
// errors are LMDB's own. REQUIRES: PageVerifier found the pages sound, for LMDB walks them here.
// Threading: one thread at a time, never a loop. Memory: a piece's labels, about 1 MiB.

#ifndef NEXUS_CATALOG_AGREEMENT_VERIFIER_H_
#define NEXUS_CATALOG_AGREEMENT_VERIFIER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/status.h"
#include "catalog/catalog.h"
#include "catalog/page_verifier.h"

namespace nexus::catalog {

struct AgreementVisitor {
  CatalogDamageVisitor damage;
  // Each series whose row is good; may be empty. `labels` is the canonical form.
  std::function<void(const SeriesIdentityRow& row, std::string_view labels)> series;
  // Where the pages could not be verified: reports values that fail their checksum, too.
  bool report_values = false;
};

class AgreementVerifier {
 public:
  // `catalog` outlives the verifier.
  AgreementVerifier(const Catalog* catalog, AgreementVisitor visitor);
  ~AgreementVerifier();
  AgreementVerifier(const AgreementVerifier&) = delete;
  AgreementVerifier& operator=(const AgreementVerifier&) = delete;

  // Work of some 10 ms. False when all is done.
  StatusOr<bool> Step();

  uint64_t entries() const;  // checked
  uint64_t entries_total() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_AGREEMENT_VERIFIER_H_
