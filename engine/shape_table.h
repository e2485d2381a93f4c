// ShapeTable: recognises sets of series that come again and again, and stores their rows.
//
// A shape is an ordered list of series ids; each batch row with exactly that list becomes a row of
// its matrix: one timestamp, one ordinal, a copy of the values. Shapes are compared by content, the
// hash only finds them. A list becomes a shape when it is seen for the second time: one that never
// returns would cost more as a shape of one row than as staged samples, and would take one of the
// few places. Rows usually come in the same order again, so the shape that followed last time is
// tried before the hash is even computed.
//
// Limits: `shapes_max` shapes; of lists seen once at most 4 * shapes_max are remembered, and then
// forgotten all together.
// Threading: the memtable's writer; readers follow shapes from the series' chains. At most one
// thread at a time.

#ifndef NEXUS_ENGINE_SHAPE_TABLE_H_
#define NEXUS_ENGINE_SHAPE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "engine/arena.h"
#include "engine/batch.h"
#include "engine/memtable_parts.h"

namespace nexus::engine {

class ShapeTable {
 public:
  ShapeTable(Arena* arena, uint32_t shapes_max) : arena_(arena), shapes_max_(shapes_max) {}
  ShapeTable(const ShapeTable&) = delete;
  ShapeTable& operator=(const ShapeTable&) = delete;

  // The shape of ids [first, first + count), or null: not one, or not yet. A shape that is made by
  // this call has no rows; the caller adds one and then makes it reachable.
  // REQUIRES: kShapeWidthMin <= count <= kShapeWidthMax.
  Shape* FindOrMake(const IdColumn& ids, size_t first, size_t count);

  // Adds a row of shape->width values. Later rows have greater ordinals. Wide rows are written past
  // the caches: FlushRows must be called before their ordinals become visible.
  void AddRow(Shape* shape, int64_t timestamp, uint32_t ordinal, const double* values);

  void FlushRows();

  // Takes the lists of ids of another table's shapes as seen once: what repeated in the last
  // memtable will repeat in this one.
  void Expect(const ShapeTable& other);

  const std::vector<Shape*>& shapes() const { return shapes_; }
  // Memory held beside the arena.
  uint64_t bytes() const;

 private:
  Shape* Make(uint64_t hash, const IdColumn& ids, size_t first, size_t count);
  void AddBlock(Shape* shape);
  void WriteValues(RowBlock* block, size_t row, const double* values);
  void Remember(uint64_t hash);

  Arena* const arena_;
  const uint32_t shapes_max_;
  std::vector<Shape*> shapes_;                     // by number
  absl::flat_hash_map<uint64_t, Shape*> by_hash_;  // of two with one hash, the first
  absl::flat_hash_set<uint64_t> seen_once_;        // hashes
  Shape* last_ = nullptr;                          // found last
  bool unflushed_ = false;                         // rows were written past the caches
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_SHAPE_TABLE_H_
