// Called by bench/session.cc for the rows `quantize` and `load`.
#include "bench/scratch_folder.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "bench/shapes.h"
#include "model/config.h"
#include "model/synthetic.h"
#include "model/synthetic_checkpoint.h"
#include "quant/pipeline.h"
#include "quant/preflight.h"

namespace octavo::bench {

namespace fs = std::filesystem;

Result<ScratchFolder> ScratchFolder::create() {
  std::error_code error;
  const fs::path parent = fs::temp_directory_path(error);
  if (error) return io_error("the folder for temporary files ($TMPDIR) cannot be used: " + error.message());
  // One name for all, so that what a killed run left is found and removed. Nothing is put at that name
  // itself, so that somebody else's folder there does not matter.
  OCTAVO_ASSIGN_OR_RETURN(base::AtomicFolder folder,
                          base::AtomicFolder::create((parent / "octavo-bench").string(), /*replace=*/true));
  return ScratchFolder(std::move(folder));
}

Status ScratchFolder::write_float(std::string_view shape, int64_t n_layers, int n_int8,
                                  const Progress* progress) const {
  OCTAVO_ASSIGN_OR_RETURN(base::Json config, shape_config(shape));
  config.set("num_hidden_layers", n_layers);
  OCTAVO_ASSIGN_OR_RETURN(const model::ModelConfig parsed,
                          model::parse_model_config(config, std::string(shape) + "/config.json"));
  uint64_t n_bytes = model::synthetic_bytes(parsed, {tensor::DType::kBF16, 1});
  n_bytes += static_cast<uint64_t>(n_int8) * model::synthetic_bytes(parsed, {tensor::DType::kI8, 1});
  n_bytes += n_bytes / 100;  // norms, scales, headers
  OCTAVO_RETURN_IF_ERROR(base::check_disk_room(fs::path(folder_.temporary_path()).parent_path().string(),
                                               n_bytes, "the temporary checkpoint of " + std::string(shape)));
  std::error_code error;
  fs::create_directory(float_model(), error);
  if (error) return io_error("cannot make " + float_model() + ": " + error.message());
  return model::write_synthetic_checkpoint(config, /*seed=*/1, float_model(), progress);
}

Status ScratchFolder::round_to_int8(int n_threads, Progress* progress) const {
  quant::Job job;
  job.source = float_model();
  job.target = int8_model();
  job.overwrite = true;
  job.n_threads = n_threads;
  OCTAVO_ASSIGN_OR_RETURN(job.recipe, quant::load_recipe("rtn-w8a8"));
  OCTAVO_ASSIGN_OR_RETURN(quant::Preflight flight, quant::preflight(job));
  return quant::run_pipeline(job, std::move(flight), progress).status();
}

}  // namespace octavo::bench
