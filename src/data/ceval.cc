// C-Eval prompts for calibrating and scoring: which rows of which subjects, and the question as Golden Stick
// words it (zero-shot, no chat template). Called by dataset.cc.
#include "data/ceval.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "base/file.h"
#include "base/text_format.h"
#include "data/csv.h"
#include "data/random.h"

namespace octavo::data {
namespace {

constexpr CevalSubject kSubjects[] = {
    {"accountant", "注册会计师"},
    {"advanced_mathematics", "高等数学"},
    {"art_studies", "艺术学"},
    {"basic_medicine", "基础医学"},
    {"business_administration", "工商管理"},
    {"chinese_language_and_literature", "中国语言文学"},
    {"civil_servant", "公务员"},
    {"clinical_medicine", "临床医学"},
    {"college_chemistry", "大学化学"},
    {"college_economics", "大学经济学"},
    {"college_physics", "大学物理"},
    {"college_programming", "大学编程"},
    {"computer_architecture", "计算机组成"},
    {"computer_network", "计算机网络"},
    {"discrete_mathematics", "离散数学"},
    {"education_science", "教育学"},
    {"electrical_engineer", "注册电气工程师"},
    {"environmental_impact_assessment_engineer", "环境影响评价工程师"},
    {"fire_engineer", "注册消防工程师"},
    {"high_school_biology", "高中生物"},
    {"high_school_chemistry", "高中化学"},
    {"high_school_chinese", "高中语文"},
    {"high_school_geography", "高中地理"},
    {"high_school_history", "高中历史"},
    {"high_school_mathematics", "高中数学"},
    {"high_school_physics", "高中物理"},
    {"high_school_politics", "高中政治"},
    {"ideological_and_moral_cultivation", "思想道德修养与法律基础"},
    {"law", "法学"},
    {"legal_professional", "法律职业资格"},
    {"logic", "逻辑学"},
    {"mao_zedong_thought", "毛泽东思想和中国特色社会主义理论体系概论"},
    {"marxism", "马克思主义基本原理"},
    {"metrology_engineer", "注册计量师"},
    {"middle_school_biology", "初中生物"},
    {"middle_school_chemistry", "初中化学"},
    {"middle_school_geography", "初中地理"},
    {"middle_school_history", "初中历史"},
    {"middle_school_mathematics", "初中数学"},
    {"middle_school_physics", "初中物理"},
    {"middle_school_politics", "初中政治"},
    {"modern_chinese_history", "近代史纲要"},
    {"operating_system", "操作系统"},
    {"physician", "医师资格"},
    {"plant_protection", "植物保护"},
    {"probability_and_statistics", "概率统计"},
    {"professional_tour_guide", "导游资格"},
    {"sports_science", "体育学"},
    {"tax_accountant", "税务师"},
    {"teacher_qualification", "教师资格"},
    {"urban_and_rural_planner", "注册城乡规划师"},
    {"veterinary_medicine", "兽医学"},
};
constexpr uint64_t kMaxFileBytes = uint64_t{64} << 20;

std::string prompt_text(const char* subject, const std::array<std::string, 5>& question) {
  std::string text = "以下是中国关于" + std::string(subject) +
                     "考试的单项选择题，请不要分析过程，直接在A、B、C、D四个选项中选出正确答案。\n\n" +
                     question[0] + "\n";
  for (size_t i = 1; i < question.size(); ++i) {
    text += std::string(1, static_cast<char>('A' + i - 1)) + ". " + question[i] + "\n";
  }
  return text + "答案：";
}

Result<std::vector<CevalPrompt>> read_subject(const std::string& folder, const std::string& split,
                                              const CevalSubject& subject) {
  const std::string path =
      base::join_path(base::join_path(folder, split), std::string(subject.name) + "_" + split + ".csv");
  OCTAVO_ASSIGN_OR_RETURN(const std::string text, base::read_file(path, kMaxFileBytes));
  OCTAVO_ASSIGN_OR_RETURN(const CsvTable table, parse_csv(text, path));
  constexpr std::array<const char*, 5> kColumns = {"question", "A", "B", "C", "D"};
  std::array<size_t, 5> columns{};
  for (size_t i = 0; i < kColumns.size(); ++i) {
    const auto column = table.column(kColumns[i]);
    if (!column) return corrupt(base::quoted(path) + " has no column '" + kColumns[i] + "'");
    columns[i] = *column;
  }
  const auto answer = table.column("answer");
  std::vector<CevalPrompt> prompts;
  for (const std::vector<std::string>& row : table.rows) {
    std::array<std::string, 5> question;
    for (size_t i = 0; i < question.size(); ++i) question[i] = row[columns[i]];
    prompts.push_back({.text = prompt_text(subject.chinese, question),
                       .subject = subject.name,
                       .answer = answer ? row[*answer] : std::string()});
  }
  return prompts;
}

// How many prompts each subject gives, of how many it has.
std::vector<size_t> share_out(const std::vector<size_t>& available, size_t n_samples, Random& random) {
  std::vector<size_t> shares(available.size(), 0);
  std::vector<size_t> order(available.size());
  std::iota(order.begin(), order.end(), size_t{0});
  random.shuffle(order);
  size_t left = std::min(n_samples, std::accumulate(available.begin(), available.end(), size_t{0}));
  while (left > 0) {  // one round gives each subject at most one
    for (const size_t subject : order) {
      if (left == 0) break;
      if (shares[subject] == available[subject]) continue;
      ++shares[subject];
      --left;
    }
  }
  return shares;
}

}  // namespace

std::span<const CevalSubject> ceval_subjects() { return kSubjects; }

Result<std::string> ceval_split(const std::string& folder, const std::string& asked) {
  if (!base::is_folder(folder)) {
    return not_found("C-Eval folder " + base::quoted(folder) +
                     " is not there: expected a folder with dev/, val/ or test/");
  }
  const std::vector<std::string> splits =
      asked.empty() ? std::vector<std::string>{"test", "dev"} : std::vector<std::string>{asked};
  for (const std::string& split : splits) {
    if (base::is_folder(base::join_path(folder, split))) return split;
  }
  const std::string bare = folder.substr(0, folder.find_last_not_of('/') + 1);
  for (const char* split : {"dev", "val", "test"}) {
    const std::string end = std::string("/") + split;
    if (!bare.ends_with(end)) continue;
    return not_found("C-Eval folder " + base::quoted(folder) +
                     " is a split, not the data set; did you mean " +
                     base::quoted("ceval:" + bare.substr(0, bare.size() - end.size()) + "@" + split) + "?");
  }
  return not_found("C-Eval folder " + base::quoted(folder) + " has no " +
                   (asked.empty()
                        ? "test/ and no dev/ (val/ is taken only when asked for: " + folder + "@val)"
                        : asked + "/"));
}

Result<std::vector<CevalPrompt>> load_ceval(const std::string& folder, const std::string& split,
                                            int64_t n_samples, uint64_t seed) {
  OCTAVO_ASSIGN_OR_RETURN(const std::string chosen, ceval_split(folder, split));
  Random random(seed);
  std::vector<std::vector<CevalPrompt>> by_subject;
  std::vector<size_t> available;
  for (const CevalSubject& subject : kSubjects) {
    OCTAVO_ASSIGN_OR_RETURN(std::vector<CevalPrompt> prompts, read_subject(folder, chosen, subject));
    random.shuffle(prompts);
    available.push_back(prompts.size());
    by_subject.push_back(std::move(prompts));
  }
  const std::vector<size_t> shares =
      share_out(available, static_cast<size_t>(std::max<int64_t>(n_samples, 0)), random);
  std::vector<CevalPrompt> chosen_prompts;
  const size_t n_rounds = *std::max_element(shares.begin(), shares.end());
  for (size_t round = 0; round < n_rounds; ++round) {
    for (size_t subject = 0; subject < shares.size(); ++subject) {
      if (round < shares[subject]) chosen_prompts.push_back(std::move(by_subject[subject][round]));
    }
  }
  return chosen_prompts;
}

}  // namespace octavo::data
