#pragma once
// Checkpoints for rows that are about files, in a temporary folder that goes with the object.
#include <cstdint>
#include <string>
#include <string_view>

#include "octavo/progress.h"
#include "octavo/status.h"

#include "base/file.h"

namespace octavo::bench {

class ScratchFolder {
 public:
  // Under the system's folder for temporary files ($TMPDIR).
  static Result<ScratchFolder> create();

  std::string float_model() const { return base::join_path(folder_.temporary_path(), "bf16"); }
  std::string int8_model() const { return base::join_path(folder_.temporary_path(), "int8"); }

  // Writes a bf16 checkpoint of `shape` (shapes.h) with n_layers layers to float_model(). Errors: a disk
  // without room for it, and for n_int8 of int8 beside it.
  Status write_float(std::string_view shape, int64_t n_layers, int n_int8, const Progress* progress) const;
  // Rounds it into int8_model() (the recipe rtn-w8a8).
  Status round_to_int8(int n_threads, Progress* progress) const;

 private:
  explicit ScratchFolder(base::AtomicFolder folder) : folder_(std::move(folder)) {}
  base::AtomicFolder folder_;  // never committed
};

}  // namespace octavo::bench
