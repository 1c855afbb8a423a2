#pragma once
// Every activation of a forward pass, named, with its shape, allocated for a number of rows and grown only
// when a batch is larger than any before. Owned by Model (or by the quantizing pipeline for single layers).
#include <cstdint>

#include "base/threads.h"
#include "model/decoder.h"
#include "tensor/buffer.h"

namespace octavo::model {

class Workspace {
 public:
  Workspace(const ModelConfig& config, base::ThreadPool& pool, RopeTable& rope);
  ~Workspace();
  base::ThreadPool& pool() { return pool_; }

 private:
  friend class DecoderLayer;
  friend class Model;
  void reserve(int64_t m);

  const ModelConfig& config_;
  base::ThreadPool& pool_;
  RopeTable& rope_;
  int64_t capacity_rows_ = 0;
};

}  // namespace octavo::model
