// DoubleDouble: a sum of doubles kept as an unevaluated pair, about 106 bits of it.
//
// Invariant: |low| <= ulp(high) / 2, so `high` is the sum rounded to nearest. A sum that overflows
// becomes an infinity and stays it. Operands are finite. Needs -ffp-contract=off, and no fast-math.
// Source: Dekker, "A floating-point technique for extending the available precision", 1971; Knuth,
// TAOCP vol. 2, 4.2.2 (two-sum). Threading: a value.

#ifndef NEXUS_BASE_DOUBLE_DOUBLE_H_
#define NEXUS_BASE_DOUBLE_DOUBLE_H_

#include <cmath>

namespace nexus {

struct DoubleDouble {
  double high = 0;
  double low = 0;

  // a + b without error, if it does not overflow.
  static DoubleDouble Sum(double a, double b) {
    double sum = a + b;
    double part = sum - a;
    return {sum, (a - (sum - part)) + (b - part)};
  }
  // The same for |a| >= |b| or a == 0.
  static DoubleDouble OrderedSum(double a, double b) {
    double sum = a + b;
    return {sum, b - (sum - a)};
  }

  // Each adds with an error of at most about 2^-104 of the operands' magnitude.
  void Add(double value) {
    DoubleDouble sum = Sum(high, value);
    Set(sum.high, sum.low + low);
  }
  void Add(DoubleDouble other) {
    DoubleDouble highs = Sum(high, other.high);
    DoubleDouble lows = Sum(low, other.low);
    DoubleDouble sum = OrderedSum(highs.high, highs.low + lows.high);
    Set(std::isfinite(highs.high) ? sum.high : highs.high, sum.low + lows.low);
  }

 private:
  void Set(double new_high, double new_low) {
    if (!std::isfinite(high)) return;
    DoubleDouble sum = OrderedSum(new_high, new_low);
    bool overflow = !std::isfinite(new_high) || !std::isfinite(sum.high);
    high = !std::isfinite(new_high) ? new_high : sum.high;
    low = overflow ? 0 : sum.low;
  }
};

}  // namespace nexus

#endif  // NEXUS_BASE_DOUBLE_DOUBLE_H_
