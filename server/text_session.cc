// Lines over TCP. See text_session.h.

#include "server/text_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace nexus::server {
namespace {

LineIngestOptions OptionsOf(Service* service) {
  StatusOr<engine::PublishedState::Found> target =
      service->core()->state()->published.Find("default", "main");
  NEXUS_CHECK(target.ok());  // both are made with the database
  LineIngestOptions options;
  options.target = *std::move(target);
  return options;
}

// A message on one line.
std::string OneLine(std::string_view message) {
  std::string out(message);
  std::replace(out.begin(), out.end(), '\n', ' ');
  return out;
}

}  // namespace

TextSession::TextSession(Service* service, Transport* transport)
    : service_(service),
      transport_(transport),
      cache_(service->environment()->random()->Next()),
      ingest_(service, &cache_, this, OptionsOf(service)) {}

void TextSession::OnBytes(Bytes bytes) {
  if (phase_ != Phase::kReceiving) return;
  std::string_view text = AsString(bytes);
  if (rest_.empty()) text.remove_prefix(ingest_.Add(text));
  rest_.append(text);
  if (ingest_.busy() && !std::exchange(paused_, true)) transport_->Pause();
}

void TextSession::OnEnd() { End(true); }

// Whole lines that have come are stored, a line without its end is not: its rest may be on the way.
void TextSession::OnStopping() {
  if (phase_ != Phase::kReceiving) return;
  if (!std::exchange(paused_, true)) transport_->Pause();
  End(false);
}

void TextSession::End(bool last_line_counts) {
  if (phase_ != Phase::kReceiving) return;
  phase_ = Phase::kEnded;
  last_line_counts_ = last_line_counts;
  Proceed();
}

void TextSession::Proceed() {
  if (phase_ == Phase::kAnswered) return;
  if (!ingest_.status().ok()) {
    if (ingest_.idle()) Answer();
    return;
  }
  if (!rest_.empty()) rest_.erase(0, ingest_.Add(rest_));
  if (ingest_.busy() || !rest_.empty()) return;
  if (phase_ == Phase::kEnded) {
    if (!std::exchange(ingest_ended_, true)) ingest_.End(last_line_counts_);
    if (ingest_.finished()) Answer();
    return;
  }
  if (std::exchange(paused_, false)) transport_->Resume();
}

void TextSession::Answer() {
  phase_ = Phase::kAnswered;
  const Status& status = ingest_.status();
  if (!status.ok()) {
    transport_->Write(fmt::format("error {}; {} lines before it were stored\n",
                                  OneLine(FromAbsl(status.message())), ingest_.accepted_lines()));
    transport_->CloseAfterWrites("the database refused a batch");
    return;
  }
  const Lsn durable = std::max(ingest_.end(), service_->core()->state()->applied);
  transport_->Write(fmt::format("ok {} {} {}\n", ingest_.accepted_lines(), ingest_.rejected_lines(),
                                durable.value));
  transport_->CloseAfterWrites("lines done");
}

}  // namespace nexus::server
