// An answer that streams, as its reader sees it. See client.h.

#include <string>
#include <utility>
#include <vector>

#include "base/labels.h"
#include "client/calls.h"
#include "client/client.h"
#include "client/client_core.h"
#include "client/protocol/format.h"
#include "client/protocol/query.h"

namespace nexus::client {
namespace {

// The server may send this many frames more when as many were read: half of what it may send at
// first, so that it never waits for a reader that keeps up.
constexpr uint32_t kGrantFrames = protocol::kInitialCredit / 2;

}  // namespace

class Cursor::Implementation {
 public:
  explicit Implementation(ClientCore* client) : client_(client) {}

  void Ask(const Scope& scope, const protocol::Query& query) {
    std::string body;
    protocol::Encode(query, &body);
    client_->Stream(scope, std::move(body), call_, number_);
  }
  ~Implementation() {
    if (done_) return;
    client_->Submit([client = client_, number = number_] { client->session()->Cancel(*number); });
  }

  StatusOr<bool> Next(SeriesChunk* chunk) {
    while (true) {
      protocol::ResultPart part;
      NEXUS_ASSIGN_OR_RETURN(bool more, reader_.Next(&part));
      if (more) {
        Show(part, chunk);
        return true;
      }
      if (done_) return false;
      StatusOr<bool> frame = call_->Take(&body_);
      if (!frame.ok() || !*frame) {
        done_ = true;
        end_ = call_->end();
        return frame;
      }
      reader_ = protocol::ResultReader(AsBytes(body_));
      GrantMore();
    }
  }
  const protocol::ResultEnd& end() const { return end_; }

 private:
  void GrantMore() {
    if (++taken_ % kGrantFrames != 0) return;
    client_->Submit(
        [client = client_, number = number_] { client->session()->Grant(*number, kGrantFrames); });
  }

  void Show(const protocol::ResultPart& part, SeriesChunk* chunk) {
    if (!part.labels.empty()) {
      labels_.clear();
      // The reader has checked the form.
      VisitCanonical(part.labels, [&](std::string_view name, std::string_view value) {
        if (name == kMetricNameLabel) {
          metric_ = value;
        } else {
          labels_.push_back({std::string(name), std::string(value)});
        }
      });
    }
    // To where columns may be read in place.
    timestamps_.resize(part.samples());
    values_.resize(part.samples());
    for (size_t i = 0; i < part.samples(); i++) {
      timestamps_[i] = part.timestamp(i);
      values_[i] = part.value(i);
    }
    chunk->labels = &labels_;
    chunk->metric = metric_;
    chunk->series_index = part.series_index;
    chunk->timestamps = timestamps_;
    chunk->values = values_;
  }

  ClientCore* const client_;
  const std::shared_ptr<StreamingCall> call_ = std::make_shared<StreamingCall>();
  // The call's number, the loop's.
  const std::shared_ptr<uint64_t> number_ = std::make_shared<uint64_t>(0);
  std::string body_;
  protocol::ResultReader reader_{Bytes()};
  uint64_t taken_ = 0;
  bool done_ = false;
  protocol::ResultEnd end_;
  std::string metric_;
  std::vector<Label> labels_;
  std::vector<int64_t> timestamps_;
  std::vector<double> values_;
};

std::unique_ptr<Cursor> Cursor::Open(ClientCore* client, const Scope& scope,
                                     const protocol::Query& query) {
  auto implementation = std::make_unique<Implementation>(client);
  implementation->Ask(scope, query);
  return std::unique_ptr<Cursor>(new Cursor(std::move(implementation)));
}

Cursor::Cursor(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
Cursor::~Cursor() = default;

StatusOr<bool> Cursor::Next(SeriesChunk* chunk) { return implementation_->Next(chunk); }

const protocol::ResultEnd& Cursor::statistics() const { return implementation_->end(); }

}  // namespace nexus::client
