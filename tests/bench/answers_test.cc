// Answers of servers as they look, and questions as they are sent.

#include "bench/peers/load/answers.h"

#include <gtest/gtest.h>

#include <string>

#include "bench/peers/load/figures.h"
#include "bench/peers/load/http.h"
#include "bench/peers/load/requests.h"

namespace nexus::bench {
namespace {

void ExpectAnswer(const StatusOr<Answer>& answer, uint64_t count, double sum) {
  ASSERT_TRUE(answer.ok()) << answer.status().ToString();
  EXPECT_EQ(answer->count, count);
  EXPECT_EQ(answer->sum, sum);
}

TEST(Prometheus, VectorsAndMatricesAreCountedAndSummed) {
  ExpectAnswer(ParsePrometheus(R"({"status":"success","data":{"resultType":"vector","result":[
      {"metric":{"hostname":"a"},"value":[1735689600.5,"42"]},
      {"metric":{"hostname":"b"},"value":[1735689600.5,"1.5e+01"]}]}})"),
               2, 57);
  ExpectAnswer(ParsePrometheus(R"({"status":"success","data":{"resultType":"matrix","result":[
      {"metric":{},"values":[[1,"1"],[2,"2"]]},{"metric":{},"values":[[1,"0.25"]]}]}})"),
               3, 3.25);
  ExpectAnswer(
      ParsePrometheus(R"({"status":"success","data":{"resultType":"vector","result":[]}})"), 0, 0);
}

TEST(Prometheus, ErrorsAndOtherThingsAreTold) {
  const auto refused =
      ParsePrometheus(R"({"status":"error","errorType":"bad_data","error":"parse error"})");
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status()));
  EXPECT_EQ(refused.status().message(), "the server says: parse error");
  EXPECT_TRUE(absl::IsDataLoss(ParsePrometheus("<html>").status()));
  EXPECT_TRUE(absl::IsDataLoss(ParsePrometheus("{}").status()));
  EXPECT_TRUE(
      absl::IsDataLoss(ParsePrometheus(R"({"data":{"result":[{"value":[1,"4x"]}]}})").status()));
}

TEST(VictoriaMetrics, ExportedLinesAreCountedAndSummed) {
  ExpectAnswer(ParseExport("{\"metric\":{\"__name__\":\"m\"},\"values\":[1,2.5],"
                           "\"timestamps\":[10,20]}\n{\"values\":[4],\"timestamps\":[10]}\n"),
               3, 7.5);
  ExpectAnswer(ParseExport(""), 0, 0);
  EXPECT_TRUE(absl::IsDataLoss(ParseExport("cannot export\n").status()));
}

TEST(Influx, ValuesAreCountedAndSummedAndNullIsNone) {
  ExpectAnswer(ParseInflux(R"({"results":[{"statement_id":0,"series":[
      {"name":"cpu","tags":{"hostname":"a"},"columns":["time","max"],
       "values":[[0,7],[60000,null],[120000,0.5]]},
      {"name":"cpu","tags":{"hostname":"b"},"columns":["time","max"],"values":[[0,1]]}]}]})"),
               3, 8.5);
  ExpectAnswer(ParseInflux(R"({"results":[{"statement_id":0}]})"), 0, 0);
}

TEST(Influx, ErrorsAreTold) {
  EXPECT_TRUE(absl::IsFailedPrecondition(ParseInflux(R"({"error":"parsing"})").status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      ParseInflux(R"({"results":[{"statement_id":0,"error":"database not found"}]})").status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseInflux("[]").status()));
}

class Requests : public testing::Test {
 protected:
  Requests() {
    subject_.metric = "cpu_user";
    subject_.measurement = "cpu";
    subject_.field = "user";
    subject_.database = "bench";
    subject_.tag = "host";
    subject_.values = {"a", "b.c", "it's"};
    subject_.steady = true;
  }
  // A minute from half past the epoch's first hour.
  static Question Asked(QuestionKind kind, std::vector<size_t> sources) {
    return {kind, std::move(sources), 1'800'000, 1'859'999};
  }
  Subject subject_;
};

TEST_F(Requests, SelectorsNameSourcesByTheirTag) {
  EXPECT_EQ(SelectorOf(subject_, {}), "cpu_user");
  EXPECT_EQ(SelectorOf(subject_, {1}), R"(cpu_user{host="b.c"})");
  EXPECT_EQ(SelectorOf(subject_, {0, 1}), R"(cpu_user{host=~"a|b\\.c"})");
}

TEST_F(Requests, WindowsOfPrometheusAreClosedAndThoseOfVictoriaMetricsHalfOpen) {
  const Question average = Asked(QuestionKind::kAverage, {});
  const std::string call = "/api/v1/query?time=1859.999&query=";
  EXPECT_EQ(TargetOf(System::kPrometheus, subject_, average),
            call + UrlEncoded("avg by (host) (avg_over_time(cpu_user[59999ms]))"));
  EXPECT_EQ(TargetOf(System::kVictoriaMetrics, subject_, average),
            call + UrlEncoded("avg by (host) (avg_over_time(cpu_user[60000ms]))") + "&nocache=1");
  EXPECT_EQ(TargetOf(System::kPrometheus, subject_, Asked(QuestionKind::kMax, {0})),
            "/api/v1/query_range?start=1859.999&end=1859.999&step=60&query=" +
                UrlEncoded(R"(max_over_time(cpu_user{host="a"}[59999ms]))"));
}

TEST_F(Requests, RawAndLatestAreAskedTheDirectWay) {
  EXPECT_EQ(TargetOf(System::kPrometheus, subject_, Asked(QuestionKind::kRaw, {0})),
            "/api/v1/query?time=1859.999&query=" + UrlEncoded(R"(cpu_user{host="a"}[59999ms])"));
  EXPECT_EQ(
      TargetOf(System::kVictoriaMetrics, subject_, Asked(QuestionKind::kRaw, {0})),
      "/api/v1/export?start=1800.000&end=1859.999&match[]=" + UrlEncoded(R"(cpu_user{host="a"})"));
  EXPECT_EQ(TargetOf(System::kPrometheus, subject_, Asked(QuestionKind::kLatest, {0})),
            "/api/v1/query?time=1859.999&query=" + UrlEncoded(R"(cpu_user{host="a"})"));
  subject_.steady = false;
  EXPECT_EQ(TargetOf(System::kPrometheus, subject_, Asked(QuestionKind::kLatest, {0})),
            "/api/v1/query?time=1859.999&query=" +
                UrlEncoded(R"(last_over_time(cpu_user{host="a"}[59999ms]))"));
}

TEST_F(Requests, InfluxMinutesBeginWithTheWindow) {
  Question max = Asked(QuestionKind::kMax, {0, 2});
  max.from_ms += 30'000;
  EXPECT_EQ(TargetOf(System::kInfluxDb, subject_, max),
            "/query?db=bench&epoch=ms&q=" +
                UrlEncoded(R"(SELECT max("user") FROM "cpu" WHERE ("host" = 'a' OR )"
                           R"("host" = 'it\'s') AND time >= 1830000ms AND time <= 1859999ms )"
                           R"(GROUP BY time(60000ms, 30000ms), "host" fill(none))"));
}

TEST(Subjects, AreNamedByATagThatTellsSourcesApart) {
  WorkloadOptions options;
  options.hosts = 30;
  options.ticks = 1;
  auto workload = OpenWorkload(options);
  ASSERT_TRUE(workload.ok());
  const auto subject = SubjectOf(**workload, "cpu", "cpu_", "bench");
  ASSERT_TRUE(subject.ok());
  EXPECT_EQ(subject->tag, "hostname");
  EXPECT_EQ(subject->metric, "cpu_usage_user");
  EXPECT_EQ(subject->values.size(), 30u);
  EXPECT_TRUE(subject->steady);
}

TEST(Figures, AreOneJsonObject) {
  const std::vector<Answer> answers = {{1, 0.5}, {2, 3}, {3, 4}};
  EXPECT_EQ(Figures()
                .Add("name", "a\"b\n")
                .Add("p50", 0.25)
                .Add("count", uint64_t{7})
                .AddNull("none")
                .Add("answers", answers, 2)
                .ToJson(),
            "{\"name\": \"a\\\"b\\u000a\", \"p50\": 0.25, \"count\": 7, \"none\": null, "
            "\"answers\": [[1, 0.5], [2, 3]]}");
}

TEST(Figures, QuantilesAreOfTheList) {
  const std::vector<double> ascending = {1, 2, 3, 4, 5};
  EXPECT_EQ(Quantile(ascending, 0.5), 3);
  EXPECT_EQ(Quantile(ascending, 0.99), 4);
  EXPECT_EQ(Quantile(ascending, 1), 5);
  EXPECT_EQ(Quantile({}, 0.5), 0);
}

}  // namespace
}  // namespace nexus::bench
