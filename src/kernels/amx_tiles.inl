// Up to 32 rows of x by a panel of 32 outputs on AMX's tiles, for gemm_s8 and gemm_f: 2 x 2 tiles of sums,
// so that a step of 64 bytes of k loads as many tiles as it has products (with eight tiles none has fewer).
//   tiles 0 1   sums of rows 0..15       4   those rows of x     6 7   16 lanes of the panel, outputs 0..15
//         2 3   sums of rows 16..31      5   those                     and 16..31, as pack_panels laid them
// A lane of the panel is 4 bytes of k for one output, which is what tdpbssd and tdpbf16ps take. The panel is
// padded to whole steps; the last step of x goes through a copy of its own, padded with zeros, because x ends
// where its memory may.
// Included inside the target region of an ISA file and its anonymous namespace, after kPanel and
// OCTAVO_TILE_PRODUCT, the instruction (its tiles are numbers in the text).

constexpr int64_t kRowsOfTile = 16, kRowsOfTiles = 2 * kRowsOfTile;
static_assert(kPanel == 32);
constexpr int64_t kTileRowBytes = 64;                 // of a row of x, a step
constexpr int64_t kLanesBytes = kPanel * kLaneBytes;  // of a panel, all outputs at one lane
constexpr int64_t kStepLanesBytes = kTileRowBytes / kLaneBytes * kLanesBytes;
// How far ahead weights are asked for, past a panel's end into the next: tile loads that have to wait for
// memory hold up everything (measured on one AMX server: 28 GB/s, which feeds 0.9 of a core's 6.7 TOPS).
// Eight steps of 2 x 2 products take about the 150 ns of such a wait.
constexpr int64_t kAheadBytes = 8 * kStepLanesBytes;
// Rows up to which the vector kernel of the same panels is the better one: then weights are used up faster
// than tiles are filled (KTransformers, whose kernels are alike, changes over at 4 on Sapphire Rapids).
constexpr int64_t kFewRows = 4;

// Memory that was written at `at` and after is seen by tile loads, and the other way round: GCC 12 does not
// know what its tile intrinsics read, and drops the stores before them (of a configuration, all but 8 bytes).
inline void settle(const void* at) { asm volatile("" : : "r"(at) : "memory"); }

// The calling thread's tiles, for n_rows of x at a time. They are released at the end of each block: the
// state is the thread's own, eight kilobytes that the system saves at each switch, and what runs next on the
// thread knows nothing of it. Both are some tens of cycles, a block's weights alone (32 KB) over a thousand.
class Tiles {
 public:
  Tiles() = default;
  ~Tiles() {
    if (n_rows_ != 0) _tile_release();
  }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  // n_rows <= kRowsOfTiles; the tiles of the second 16 rows exist where there are such rows.
  void configure(int64_t n_rows) {
    if (n_rows == n_rows_) return;
    n_rows_ = n_rows;
    const int64_t first = std::min(n_rows, kRowsOfTile), second = n_rows - first;
    const int64_t rows[] = {first, first, second, second, first, second, kRowsOfTile, kRowsOfTile};
    TileConfig config;
    for (size_t tile = 0; tile < std::size(rows); ++tile) {
      config.rows[tile] = static_cast<uint8_t>(rows[tile]);
      config.row_bytes[tile] = rows[tile] > 0 ? kTileRowBytes : 0;
    }
    settle(&config);
    _tile_loadconfig(&config);
  }

 private:
  int64_t n_rows_ = 0;
};

// Rows of x as the tiles read them: n_whole steps where they lie, then perhaps one from the padded copy.
struct TileRows {
  const std::byte* x = nullptr;  // stride row_bytes
  int64_t row_bytes = 0;
  const std::byte* last_step = nullptr;  // stride kTileRowBytes; null where row_bytes is whole steps
  int64_t n_whole() const { return row_bytes / kTileRowBytes; }
};

// Fills `copies`, n_rows of kTileRowBytes, with the last step of each row where it is not a whole one.
inline TileRows tile_rows(const void* x, int64_t n_rows, int64_t row_bytes, std::byte* copies) {
  TileRows rows = {static_cast<const std::byte*>(x), row_bytes, nullptr};
  const auto n_rest = static_cast<size_t>(row_bytes % kTileRowBytes);
  if (n_rest == 0) return rows;
  std::memset(copies, 0, static_cast<size_t>(n_rows * kTileRowBytes));
  for (int64_t r = 0; r < n_rows; ++r) {
    std::memcpy(copies + r * kTileRowBytes, rows.x + r * row_bytes + rows.n_whole() * kTileRowBytes, n_rest);
  }
  settle(copies);
  rows.last_step = copies;
  return rows;
}

template <bool has_second_rows>
[[gnu::always_inline]] inline void add_step(const std::byte* x, int64_t x_stride, const std::byte* panel) {
  _tile_loadd(6, panel, kLanesBytes);
  _tile_loadd(7, panel + kLanesBytes / 2, kLanesBytes);
  _tile_loadd(4, x, x_stride);
  OCTAVO_TILE_PRODUCT(0, 4, 6);
  OCTAVO_TILE_PRODUCT(1, 4, 7);
  if constexpr (has_second_rows) {
    const std::byte* second = x + kRowsOfTile * x_stride;
    _tile_loadd(5, second, x_stride);
    OCTAVO_TILE_PRODUCT(2, 5, 6);
    OCTAVO_TILE_PRODUCT(3, 5, 7);
  }
}

// sums[n_rows][kPanel] = the rows from `row` on times the panel, from starts[kPanel] where there are any,
// else from zero. first_rows: nothing read the panel before, so it is asked into L2 ahead.
template <bool has_second_rows>
void multiply_panel(const TileRows& rows, int64_t row, const std::byte* panel, const void* starts,
                    bool first_rows, void* sums) {
  constexpr int64_t kHalf = kLanesBytes / 2;
  if (starts != nullptr) {
    const auto* halves = static_cast<const std::byte*>(starts);
    _tile_loadd(0, halves, 0);  // stride 0: one row, sixteen times
    _tile_loadd(1, halves + kHalf, 0);
    if constexpr (has_second_rows) {
      _tile_loadd(2, halves, 0);
      _tile_loadd(3, halves + kHalf, 0);
    }
  } else {
    _tile_zero(0);
    _tile_zero(1);
    if constexpr (has_second_rows) {
      _tile_zero(2);
      _tile_zero(3);
    }
  }
  const std::byte* x = rows.x + row * rows.row_bytes;
  const int64_t n_whole = rows.n_whole();
  for (int64_t step = 0; step < n_whole; ++step) {
    const int64_t at = step * kStepLanesBytes;
    if (first_rows) {
      const std::byte* ahead = panel + at + kAheadBytes;
      for (int64_t line = 0; line < kStepLanesBytes; line += 64) __builtin_prefetch(ahead + line, 0, 2);
    }
    add_step<has_second_rows>(x + step * kTileRowBytes, rows.row_bytes, panel + at);
  }
  if (rows.last_step != nullptr) {
    add_step<has_second_rows>(rows.last_step + row * kTileRowBytes, kTileRowBytes,
                              panel + n_whole * kStepLanesBytes);
  }
  auto* to = static_cast<std::byte*>(sums);
  _tile_stored(0, to, kLanesBytes);
  _tile_stored(1, to + kHalf, kLanesBytes);
  if constexpr (has_second_rows) {
    to += kRowsOfTile * kLanesBytes;
    _tile_stored(2, to, kLanesBytes);
    _tile_stored(3, to + kHalf, kLanesBytes);
  }
}
