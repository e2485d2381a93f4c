// One way to ask over HTTP, one over nexus's own protocol. See ask.h.

#include "bench/peers/load/ask.h"

#include <map>
#include <utility>

#include "bench/peers/load/answers.h"
#include "bench/peers/load/http.h"
#include "client/client.h"
#include "io/real.h"

namespace nexus::bench {
namespace {

constexpr int64_t kNanosPerMs = 1'000'000;

// Someone who asks: Prepare and Read are not measured, Exchange is.
class Asker {
 public:
  virtual ~Asker() = default;
  virtual Status Prepare(const Question& question) = 0;
  virtual Status Exchange() = 0;
  virtual StatusOr<Answer> Read() = 0;
};

class HttpAsker : public Asker {
 public:
  HttpAsker(HttpConnection connection, System system, std::string address, const Subject& subject)
      : connection_(std::move(connection)),
        system_(system),
        address_(std::move(address)),
        subject_(subject) {}

  Status Prepare(const Question& question) override {
    exported_ = system_ == System::kVictoriaMetrics && question.kind == QuestionKind::kRaw;
    target_ = TargetOf(system_, subject_, question);
    request_ = GetRequest(address_, target_);
    return OkStatus();
  }

  Status Exchange() override {
    NEXUS_ASSIGN_OR_RETURN(response_, connection_.Exchange(request_, {}));
    return OkStatus();
  }

  StatusOr<Answer> Read() override {
    if (!response_.ok()) return FailedPrecondition("GET {}: {}", target_, response_.ToString());
    if (exported_) return ParseExport(response_.body);
    if (system_ == System::kInfluxDb) return ParseInflux(response_.body);
    return ParsePrometheus(response_.body);
  }

 private:
  HttpConnection connection_;
  const System system_;
  const std::string address_;
  const Subject& subject_;
  bool exported_ = false;
  std::string target_;
  std::string request_;
  HttpResponse response_;
};

// A question to several tenants is one query for each, one after the other.
class NexusAsker : public Asker {
 public:
  NexusAsker(std::unique_ptr<client::Client> client, const Subject& subject,
             const Workload& workload)
      : client_(std::move(client)), subject_(subject), workload_(workload) {
    for (const Source& source : workload.sources()) tenants_[source.tenant];
  }

  Status Prepare(const Question& question) override {
    kind_ = question.kind;
    if (kind_ == QuestionKind::kMax && question.from_ms % kMaxStepMs != 0) {
      return FailedPrecondition(
          "minutes of nexus are those of the clock; this workload's begin {} ms later",
          question.from_ms % kMaxStepMs);
    }
    std::map<std::string, std::vector<size_t>> asked = tenants_;
    for (size_t source : question.sources) {
      asked[workload_.sources()[source].tenant].push_back(source);
    }
    queries_.clear();
    for (const auto& [tenant, sources] : asked) {
      if (sources.empty() && !question.sources.empty()) continue;
      client::SelectQuery& query = queries_.emplace_back();
      query.selector = SelectorOf(subject_, sources);
      query.range = {question.from_ms * kNanosPerMs,
                     question.to_ms * kNanosPerMs + kNanosPerMs - 1};
      query.scope.tenant = tenant;
    }
    return OkStatus();
  }

  Status Exchange() override {
    answer_ = {};
    for (const client::SelectQuery& query : queries_) {
      NEXUS_ASSIGN_OR_RETURN(const std::unique_ptr<client::Cursor> cursor, Start(query));
      client::SeriesChunk chunk;
      while (true) {
        NEXUS_ASSIGN_OR_RETURN(const bool more, cursor->Next(&chunk));
        if (!more) break;
        answer_.count += chunk.values.size();
        for (double value : chunk.values) answer_.sum += value;
      }
    }
    return OkStatus();
  }

  StatusOr<Answer> Read() override { return answer_; }

 private:
  StatusOr<std::unique_ptr<client::Cursor>> Start(const client::SelectQuery& query) {
    client::Aggregate aggregate;
    switch (kind_) {
      case QuestionKind::kLatest:
        return client_->Latest(query);
      case QuestionKind::kRaw:
        return client_->Select(query);
      case QuestionKind::kMax:
        aggregate.function = protocol::Function::kMax;
        aggregate.step_ns = kMaxStepMs * kNanosPerMs;
        break;
      case QuestionKind::kAverage:
        aggregate.function = protocol::Function::kAvg;
        aggregate.grouped = true;
        aggregate.by = {subject_.tag};
        break;
    }
    return client_->SelectAggregate(query, aggregate);
  }

  const std::unique_ptr<client::Client> client_;
  const Subject& subject_;
  const Workload& workload_;
  std::map<std::string, std::vector<size_t>> tenants_;  // all there are, without sources
  QuestionKind kind_ = QuestionKind::kLatest;
  std::vector<client::SelectQuery> queries_;
  Answer answer_;
};

StatusOr<std::unique_ptr<Asker>> OpenAsker(System system, const std::string& address,
                                           const Subject& subject, const Workload& workload) {
  if (system == System::kNexus) {
    client::ClientOptions options;
    options.address = address;
    options.name = "nexus-bench";
    NEXUS_ASSIGN_OR_RETURN(auto client, client::Client::Connect(std::move(options)));
    return std::unique_ptr<Asker>(
        std::make_unique<NexusAsker>(std::move(client), subject, workload));
  }
  NEXUS_ASSIGN_OR_RETURN(HttpConnection connection, HttpConnection::Open(address));
  return std::unique_ptr<Asker>(
      std::make_unique<HttpAsker>(std::move(connection), system, address, subject));
}

}  // namespace

StatusOr<AskResult> Ask(System system, const std::string& address, const Subject& subject,
                        const Workload& workload, std::span<const Question> warm_up,
                        std::span<const Question> questions) {
  NEXUS_ASSIGN_OR_RETURN(const std::unique_ptr<Asker> asker,
                         OpenAsker(system, address, subject, workload));
  AskResult result;
  auto ask = [&](const Question& question) -> Status {
    NEXUS_RETURN_IF_ERROR(asker->Prepare(question));
    const int64_t started = io::RealMonotonicNanos();
    NEXUS_RETURN_IF_ERROR(asker->Exchange());
    result.ms.push_back(static_cast<double>(io::RealMonotonicNanos() - started) * 1e-6);
    NEXUS_ASSIGN_OR_RETURN(Answer answer, asker->Read());
    result.answers.push_back(answer);
    return OkStatus();
  };
  for (const Question& question : warm_up) NEXUS_RETURN_IF_ERROR(ask(question));
  result = {};
  for (const Question& question : questions) NEXUS_RETURN_IF_ERROR(ask(question));
  return result;
}

}  // namespace nexus::bench
