// Aggregates by their two names: the engine's and the wire's.
//
// Threading: pure functions.

#ifndef NEXUS_SERVER_WIRE_FUNCTION_H_
#define NEXUS_SERVER_WIRE_FUNCTION_H_

#include "client/protocol/query.h"
#include "engine/query.h"

namespace nexus::server {

struct FunctionNames {
  AggregateFunction engine;
  protocol::Function wire;
};

inline constexpr FunctionNames kFunctions[] = {
    {AggregateFunction::kAvg, protocol::Function::kAvg},
    {AggregateFunction::kMin, protocol::Function::kMin},
    {AggregateFunction::kMax, protocol::Function::kMax},
    {AggregateFunction::kSum, protocol::Function::kSum},
    {AggregateFunction::kCount, protocol::Function::kCount},
    {AggregateFunction::kFirst, protocol::Function::kFirst},
    {AggregateFunction::kLast, protocol::Function::kLast},
    {AggregateFunction::kRate, protocol::Function::kRate},
    {AggregateFunction::kPercentile, protocol::Function::kPercentile},
};

// REQUIRES: not kNone, which names no aggregate; the decoder of QUERY lets it through for queries
// that have none. It gives kAvg.
constexpr AggregateFunction EngineFunction(protocol::Function function) {
  for (const FunctionNames& names : kFunctions) {
    if (names.wire == function) return names.engine;
  }
  return AggregateFunction::kAvg;
}

constexpr protocol::Function WireFunction(AggregateFunction function) {
  for (const FunctionNames& names : kFunctions) {
    if (names.engine == function) return names.wire;
  }
  return protocol::Function::kNone;
}

}  // namespace nexus::server

#endif  // NEXUS_SERVER_WIRE_FUNCTION_H_
