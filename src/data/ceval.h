#pragma once
// C-Eval (Huang et al. 2023, arXiv:2305.08322): 52 subjects of Chinese multiple-choice questions, a CSV file
// for each subject and split. A test row has no answer; none is needed for calibrating.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "octavo/status.h"

namespace octavo::data {

struct CevalSubject {
  const char* name;     // "computer_network": the file is NAME_SPLIT.csv
  const char* chinese;  // "计算机网络": the prompt's
};
std::span<const CevalSubject> ceval_subjects();  // all 52, by name

struct CevalPrompt {
  std::string text;     // up to and with "答案："
  std::string subject;  // CevalSubject::name
  std::string answer;   // "A" … "D"; empty in the test split
};

// The split that load_ceval takes when `split` is asked for (may be empty). Errors: a folder without it.
Result<std::string> ceval_split(const std::string& folder, const std::string& split);

// n_samples prompts of `split` ("dev", "val" or "test"; empty: test, or dev where there is no test), spread
// evenly: with q, r = divmod(n_samples, 52), every subject gives q prompts and r of them one more; a subject
// that has fewer leaves its share to the others. The seed alone decides which, and they come subject by turn.
Result<std::vector<CevalPrompt>> load_ceval(const std::string& folder, const std::string& split,
                                            int64_t n_samples, uint64_t seed);

}  // namespace octavo::data
