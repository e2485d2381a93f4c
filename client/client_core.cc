// The inside of a Client. See client_core.h.

#include "client/client_core.h"

#include <utility>

namespace nexus::client {
namespace {

constexpr int64_t kNanosPerMilli = 1'000'000;

}  // namespace

ClientCore::ClientCore(std::unique_ptr<io::RealEnvironment> environment, ClientOptions options)
    : options_(std::move(options)), environment_(std::move(environment)) {
  environment_->RunOnLoop([this] {
    io::Random* random = environment_->random();
    Session::Options session;
    session.name = options_.name;
    session.expected = options_.expected;
    session.checksums =
        options_.crc32 ? protocol::ChecksumKind::kCrc32 : protocol::ChecksumKind::kXxh3;
    session.producer = {random->Next(), random->Next() | 1};
    session.books = books_;
    session.seed = random->Next();
    session_ = std::make_unique<Session>(std::move(session));
    Link::Options link;
    link.address = options_.address;
    link.connect_timeout_ns = options_.connect_timeout_ms * kNanosPerMilli;
    link.must_connect_first = !options_.wait_for_server;
    link.seed = random->Next();
    link.on_change = options_.on_connection_change;
    link_ = std::make_unique<Link>(environment_.get(), environment_->network(), session_.get(),
                                   std::move(link));
    scope_.emplace(environment_->executor());
    scope_->Spawn(link_->Run());
    scope_->Spawn(link_->Beat());
  });
}

ClientCore::~ClientCore() {
  environment_->RunOnLoop([this] {
    session_->Shutdown(Cancelled("the client is being closed"));
    link_->Stop();
  });
  environment_->BlockOn(Joined());
  environment_->RunOnLoop([this] {
    scope_.reset();
    link_.reset();
    session_.reset();
  });
  environment_->Stop();
}

io::Task<bool> ClientCore::Joined() {
  co_await scope_->Join();
  co_return true;
}

Status ClientCore::Connect() {
  Scope scope;
  scope.timeout_ms = options_.connect_timeout_ms;
  Status status = AskAndWait(scope, protocol::Opcode::kPing);
  environment_->RunOnLoop([&] {
    if (absl::IsDeadlineExceeded(status)) {
      status = Unavailable("{} gave no greeting within {} ms: {}", options_.address,
                           options_.connect_timeout_ms, FromAbsl(link_->status().message()));
    }
    if (!session_->welcome().has_value()) return;
    MutexLock lock(&mutex_);
    server_ = {session_->welcome()->server, session_->welcome()->database};
  });
  return status;
}

ServerInfo ClientCore::server() const {
  MutexLock lock(&mutex_);
  return server_;
}

int64_t ClientCore::Deadline(int64_t timeout_ms) const {
  return environment_->MonotonicNanos() + timeout_ms * kNanosPerMilli;
}

void ClientCore::Submit(std::function<void()> task) {
  bool post = false;
  {
    MutexLock lock(&mutex_);
    post = tasks_.empty();
    tasks_.push_back(std::move(task));
  }
  if (post) environment_->executor()->Post(&inbox_);
}

void ClientCore::RunTasks(io::RunNode* node) {
  ClientCore* client = static_cast<Inbox*>(node)->client;
  std::vector<std::function<void()>> tasks;
  {
    MutexLock lock(&client->mutex_);
    tasks.swap(client->tasks_);
  }
  client->session_->set_now(client->environment_->MonotonicNanos());
  for (std::function<void()>& task : tasks) task();
  client->link_->Wake();
}

void ClientCore::Append(const Scope& scope, std::unique_ptr<Write> write) {
  const uint64_t bytes = write->batch->bytes();
  uint64_t ticket = 0;
  {
    MutexLock lock(&mutex_);
    while (queued_bytes_ > 0 && queued_bytes_ + bytes > kQueuedBytesMax) answered_.Wait(&mutex_);
    queued_bytes_ += bytes;
    ticket = next_append_++;
    appends_.insert(ticket);
  }
  write->done = [this, bytes, ticket, done = std::move(write->done)](auto outcome) {
    done(std::move(outcome));
    MutexLock lock(&mutex_);
    queued_bytes_ -= bytes;
    appends_.erase(ticket);
    answered_.NotifyAll();
  };
  // std::function must be copyable.
  auto shared = std::make_shared<std::unique_ptr<Write>>(std::move(write));
  Submit([this, scope, shared] {
    uint32_t target = session_->Target(scope.tenant, scope.branch);
    session_->Append(target, std::move(*shared));
  });
}

void ClientCore::Sync() {
  MutexLock lock(&mutex_);
  const uint64_t before = next_append_;
  while (!appends_.empty() && *appends_.begin() < before) answered_.Wait(&mutex_);
}

// The loop's.
CallRequest ClientCore::Request(const Scope& scope, protocol::Opcode opcode, std::string body,
                                std::shared_ptr<Call> call) {
  CallRequest request;
  request.opcode = opcode;
  request.target = session_->Target(scope.tenant, scope.branch);
  request.body = std::move(body);
  request.deadline_ns = Deadline(scope.timeout_ms);
  request.call = std::move(call);
  return request;
}

void ClientCore::Ask(const Scope& scope, protocol::Opcode opcode, std::string body,
                     std::shared_ptr<CollectingCall> call) {
  Submit([this, scope, opcode, body = std::move(body), call = std::move(call)] {
    call->Asked(session_.get(), session_->Ask(Request(scope, opcode, body, call)));
  });
}

void ClientCore::Stream(const Scope& scope, std::string body, std::shared_ptr<StreamingCall> call,
                        std::shared_ptr<uint64_t> number) {
  Submit([this, scope, body = std::move(body), call = std::move(call), number = std::move(number)] {
    *number = session_->Ask(Request(scope, protocol::Opcode::kQuery, body, call));
  });
}

Status ClientCore::AskAndWait(const Scope& scope, protocol::Opcode opcode, std::string body,
                              CollectingCall::ProgressFunction progress) {
  auto call = std::make_shared<CollectingCall>(nullptr, std::move(progress));
  Ask(scope, opcode, std::move(body), call);
  return call->Wait();
}

StatusOr<std::vector<std::string>> ClientCore::Strings(const Scope& scope, protocol::Opcode opcode,
                                                       std::string body) {
  auto call = std::make_shared<CollectingCall>();
  Ask(scope, opcode, std::move(body), call);
  NEXUS_RETURN_IF_ERROR(call->Wait());
  return std::move(call->strings());
}

}  // namespace nexus::client
