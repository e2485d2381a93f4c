// Finding frames in a stream. See frame_reader.h.

#include "client/protocol/frame_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace nexus::protocol {
namespace {

// First memory for a body that arrives in pieces; doubled as more of it comes.
constexpr size_t kFirstCapacityBytes = 4096;

Bytes TakeFront(Bytes* input, size_t bytes) {
  Bytes taken = input->first(bytes);
  *input = input->subspan(bytes);
  return taken;
}

}  // namespace

StatusOr<FrameReader::Step> FrameReader::Next(Bytes* input, Frame* frame) {
  // A caller that went on after kBigBody leaves the body to the reader.
  if (state_ == State::kAnnounced) state_ = State::kBody;
  while (true) {
    switch (state_) {
      case State::kFailed:
        return failure_;
      case State::kSkip:
        if (!PassOver(input)) return Step::kMore;
        break;
      case State::kHeader: {
        size_t wanted = kHeaderBytes - held_;
        if (input->size() < wanted) {
          if (!input->empty()) {
            std::memcpy(partial_.data() + held_, input->data(), input->size());
            held_ += TakeFront(input, input->size()).size();
          }
          return Step::kMore;
        }
        Bytes header = TakeFront(input, wanted);
        if (held_ > 0) {
          std::memcpy(partial_.data() + held_, header.data(), wanted);
          header = partial_;
          held_ = 0;
        }
        StatusOr<Step> step = TakeHeader(header, frame);
        if (!step.ok()) {
          state_ = State::kFailed;
          failure_ = step.status();
          return step;
        }
        if (*step != Step::kMore) return step;
        break;
      }
      case State::kAnnounced:
      case State::kBody:
        return TakeBody(input, frame);
    }
  }
}

// kMore: the body is to follow.
StatusOr<FrameReader::Step> FrameReader::TakeHeader(Bytes header, Frame* frame) {
  NEXUS_ASSIGN_OR_RETURN(header_, DecodeHeader(header));
  if (!checksum_kind_.has_value()) checksum_kind_ = header_.checksum_kind();
  if (header_.checksum_kind() != *checksum_kind_) {
    return InvalidArgument("{}: its checksums are of another kind than the first frame's",
                           Describe(header_));
  }
  Status status = CheckHeader(header_, sender_);
  if (status.ok() && header_.body_bytes > body_bytes_max_) {
    status = ResourceExhausted("{}: a body of {} bytes; at most {} are accepted", Describe(header_),
                               header_.body_bytes, body_bytes_max_);
  }
  if (!greeted_ && header_.body_bytes > body_bytes_max_) return status;
  frame->header = header_;
  if (!status.ok()) {
    skip_bytes_ = header_.body_bytes;
    state_ = State::kSkip;
    frame->body = {};
    frame->status = std::move(status);
    return Step::kRefused;
  }
  if (header_.opcode == Opcode::kWriteBatch && header_.body_bytes >= big_body_bytes_) {
    state_ = State::kAnnounced;
    frame->body = {};
    return Step::kBigBody;
  }
  state_ = State::kBody;
  return Step::kMore;
}

FrameReader::Step FrameReader::TakeBody(Bytes* input, Frame* frame) {
  const size_t size = header_.body_bytes;
  if (given_.empty() && held_ == 0 && input->size() >= size) {
    return Deliver(TakeFront(input, size), frame);
  }
  size_t more = std::min(size - held_, input->size());
  if (given_.empty()) Grow(held_ + more);
  std::byte* place = given_.empty() ? held() : given_.data();
  if (more > 0) std::memcpy(place + held_, TakeFront(input, more).data(), more);
  held_ += more;
  if (held_ < size) return Step::kMore;
  return Deliver({place, size}, frame);
}

FrameReader::Step FrameReader::Deliver(Bytes body, Frame* frame) {
  state_ = State::kHeader;
  held_ = 0;
  given_ = {};
  frame->header = header_;
  if (Checksum(header_.checksum_kind(), body) != header_.body_checksum) {
    frame->body = {};
    frame->status = DataLoss("{}: the checksum of its body of {} bytes does not agree",
                             Describe(header_), body.size());
    return Step::kRefused;
  }
  frame->body = body;
  frame->status = OkStatus();
  return Step::kFrame;
}

// True when nothing is left to be passed over.
bool FrameReader::PassOver(Bytes* input) {
  skip_bytes_ -= TakeFront(input, std::min<uint64_t>(skip_bytes_, input->size())).size();
  if (skip_bytes_ > 0) return false;
  state_ = State::kHeader;
  return true;
}

void FrameReader::ReceiveInto(MutableBytes buffer) {
  NEXUS_CHECK(state_ == State::kAnnounced);
  NEXUS_CHECK(buffer.size() >= header_.body_bytes);
  given_ = buffer.first(header_.body_bytes);
  state_ = State::kBody;
}

void FrameReader::Skip() {
  NEXUS_CHECK(state_ == State::kAnnounced);
  skip_bytes_ = header_.body_bytes;
  state_ = State::kSkip;
}

MutableBytes FrameReader::wanted() const {
  return given_.empty() ? MutableBytes() : given_.subspan(held_);
}

void FrameReader::Received(size_t bytes) {
  NEXUS_CHECK(bytes <= wanted().size());
  held_ += bytes;
}

// Room for `bytes`. Memory follows what has arrived, so that a header alone costs none; what a
// large body took is given back when a small one comes in pieces.
void FrameReader::Grow(size_t bytes) {
  if (held_ == 0 && capacity_ > kBigBodyBytes && header_.body_bytes <= kBigBodyBytes) {
    words_.reset();
    capacity_ = 0;
  }
  if (bytes <= capacity_) return;
  size_t capacity = std::max({bytes, 2 * capacity_, kFirstCapacityBytes});
  capacity = AlignUp(std::min<size_t>(capacity, std::max<size_t>(header_.body_bytes, bytes)),
                     sizeof(uint64_t));
  auto words = std::make_unique_for_overwrite<uint64_t[]>(capacity / sizeof(uint64_t));
  if (held_ > 0) std::memcpy(words.get(), words_.get(), held_);
  words_ = std::move(words);
  capacity_ = capacity;
}

}  // namespace nexus::protocol
