#include "data/dataset.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "base/test_environment.h"
#include "data/ceval.h"

namespace octavo::data {
namespace {

namespace fs = std::filesystem;

class DatasetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("octavo-data-" + std::to_string(::getpid()) + "-" +
                                           ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
    auto loaded = text::Tokenizer::load(OCTAVO_SOURCE_DIR "/models/demo");
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    tokenizer_.emplace(std::move(loaded).value());
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) const {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }

  // A C-Eval folder of our own: `n_rows` questions for every subject.
  std::string write_ceval(const std::string& split, int n_rows) const {
    for (const CevalSubject& subject : ceval_subjects()) {
      const bool has_answers = split != "test";
      std::string csv = has_answers ? "id,question,A,B,C,D,answer\n" : "id,question,A,B,C,D\n";
      for (int i = 0; i < n_rows; ++i) {
        const std::string n = std::to_string(i);
        csv += n + ",问题" + n + "?,一,二,三,四" + (has_answers ? ",C\n" : "\n");
      }
      write("ceval/" + split + "/" + subject.name + "_" + split + ".csv", csv);
    }
    return (folder_ / "ceval").string();
  }

  Result<std::vector<TokenSample>> load(const std::string& spec, const SampleOptions& options = {}) const {
    auto parsed = parse_dataset_spec(spec);
    if (!parsed.ok()) return parsed.status();
    return load_samples(*parsed, options, *tokenizer_, nullptr);
  }

  std::string error_of(const std::string& spec, const SampleOptions& options = {}) const {
    const auto samples = load(spec, options);
    return samples.ok() ? "" : samples.status().message();
  }

  std::string text_of(const TokenSample& sample) const {
    auto text = tokenizer_->decode(sample.ids, false);
    return text.ok() ? *text : text.status().message();
  }

  fs::path folder_;
  std::optional<text::Tokenizer> tokenizer_;
};

std::map<std::string, int> per_subject(const std::vector<CevalPrompt>& prompts) {
  std::map<std::string, int> counts;
  for (const CevalPrompt& prompt : prompts) ++counts[prompt.subject];
  return counts;
}

TEST_F(DatasetTest, CevalSpreadsEvenlyOverSubjects) {
  const std::string folder = write_ceval("test", 5);
  for (const auto& [n, fewest, most] :
       {std::tuple{52, 1, 1}, {200, 3, 4}, {60, 1, 2}, {10, 1, 1}, {1000, 5, 5}}) {
    const auto prompts = load_ceval(folder, "", n, 1);
    ASSERT_TRUE(prompts.ok()) << prompts.status().message();
    EXPECT_EQ(prompts->size(), static_cast<size_t>(std::min(n, 260)));
    const auto counts = per_subject(*prompts);
    EXPECT_EQ(counts.size(), static_cast<size_t>(std::min(n, 52)));
    for (const auto& [subject, count] : counts) {
      EXPECT_GE(count, fewest) << subject;
      EXPECT_LE(count, most) << subject;
    }
  }
}

TEST_F(DatasetTest, CevalPromptIsTheDocumentedOne) {
  const auto prompts = load_ceval(write_ceval("dev", 1), "", 52, 0);
  ASSERT_TRUE(prompts.ok()) << prompts.status().message();
  EXPECT_EQ(prompts->front().subject, "accountant");
  EXPECT_EQ(prompts->front().answer, "C");
  EXPECT_EQ(
      prompts->front().text,
      "以下是中国关于注册会计师考试的单项选择题，请不要分析过程，直接在A、B、C、D四个选项中选出正确答案。\n\n"
      "问题0?\nA. 一\nB. 二\nC. 三\nD. 四\n答案：");
}

TEST_F(DatasetTest, CevalPrefersTestThenDevAndTakesValOnlyWhenAsked) {
  const std::string folder = write_ceval("val", 1);
  EXPECT_NE(error_of("ceval:" + folder).find("val/ is taken only when asked for"), std::string::npos);
  EXPECT_NE(error_of("ceval:" + folder + "/val").find("did you mean 'ceval:" + folder + "@val'?"),
            std::string::npos);
  EXPECT_NE(error_of("ceval:" + folder + "/val/").find("did you mean 'ceval:" + folder + "@val'?"),
            std::string::npos);
  EXPECT_TRUE(load("ceval:" + folder + "@val").ok());
  write_ceval("dev", 2);
  EXPECT_EQ(*ceval_split(folder, ""), "dev");
  EXPECT_EQ(load("ceval:" + folder, {.n_samples = 1000})->size(), 104U);
  write_ceval("test", 3);
  EXPECT_EQ(load("ceval:" + folder, {.n_samples = 1000})->size(), 156U);
}

TEST_F(DatasetTest, CevalErrorsNameTheFile) {
  const std::string folder = write_ceval("test", 1);
  const std::string path = folder + "/test/law_test.csv";
  fs::remove(path);
  EXPECT_NE(error_of("ceval:" + folder).find("law_test.csv"), std::string::npos);
  write("ceval/test/law_test.csv", "id,question,A,B,C\n0,q,a,b,c\n");
  EXPECT_NE(error_of("ceval:" + folder).find("law_test.csv' has no column 'D'"), std::string::npos)
      << error_of("ceval:" + folder);
  EXPECT_NE(error_of("ceval:" + folder + "/nowhere").find("nowhere"), std::string::npos);
}

TEST_F(DatasetTest, TextWindowsAreWholeAndTheSeedDecides) {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "The clock struck " + std::to_string(i) + " and nobody came. ";
  const std::string spec = "text:" + write("a.txt", text);
  const SampleOptions options{.n_samples = 6, .length_tokens = 50, .seed = 3};
  const auto samples = load(spec, options);
  ASSERT_TRUE(samples.ok()) << samples.status().message();
  ASSERT_EQ(samples->size(), 6U);
  std::set<std::vector<int32_t>> different;
  for (const TokenSample& sample : *samples) {
    EXPECT_EQ(sample.ids.size(), 50U);
    different.insert(sample.ids);
  }
  EXPECT_EQ(different.size(), 6U);
  EXPECT_EQ(load(spec, options)->front().ids, samples->front().ids);
  EXPECT_NE(load(spec, {.n_samples = 6, .length_tokens = 50, .seed = 4})->front().ids, samples->front().ids);
  EXPECT_EQ(load("text:" + write("short.txt", "Only this."))->size(), 1U);
  EXPECT_NE(error_of("text:" + write("empty.txt", "")).find("holds no calibration text"), std::string::npos);
  EXPECT_NE(error_of("text:" + write("bad.txt", "ok \xff")).find("bad.txt"), std::string::npos);
}

TEST_F(DatasetTest, JsonlTakesTextsAndMessages) {
  const std::string path = write(
      "a.jsonl", "{\"text\": \"One.\"}\n\n{\"messages\": [{\"role\": \"user\", \"content\": \"Two?\"}]}\n");
  const auto spec = parse_dataset_spec("jsonl:" + path);
  ASSERT_TRUE(spec.ok());
  auto chat_template = text::load_chat_template(OCTAVO_SOURCE_DIR "/models/demo");
  ASSERT_TRUE(chat_template.ok()) << chat_template.status().message();
  const auto samples = load_samples(*spec, {}, *tokenizer_, &*chat_template);
  ASSERT_TRUE(samples.ok()) << samples.status().message();
  ASSERT_EQ(samples->size(), 2U);
  const std::string both = text_of((*samples)[0]) + text_of((*samples)[1]);
  EXPECT_NE(both.find("One."), std::string::npos);
  EXPECT_NE(both.find("<|im_start|>user\nTwo?<|im_end|>"), std::string::npos) << both;
  EXPECT_NE(error_of("jsonl:" + path).find("line 3: messages, but the model has no chat template"),
            std::string::npos);
}

TEST_F(DatasetTest, JsonlErrorsNameFileAndLine) {
  for (const auto& [line, wanted] : std::vector<std::pair<std::string, std::string>>{
           {"{\"text\": 5}", "\"text\": expected a string, found integer"},
           {"{\"text\": ", "line 2"},
           {"[1]", "found array"},
           {"{}", "neither"},
           {"{\"text\": \"a\", \"messages\": []}", "both"}}) {
    const std::string error = error_of("jsonl:" + write("b.jsonl", "{\"text\": \"fine\"}\n" + line + "\n"));
    EXPECT_NE(error.find("b.jsonl' line 2"), std::string::npos) << error;
    EXPECT_NE(error.find(wanted), std::string::npos) << error;
  }
}

TEST_F(DatasetTest, SpecsAndNumbersAreChecked) {
  EXPECT_NE(error_of("cevel:x").find("did you mean ceval:?"), std::string::npos);
  EXPECT_NE(error_of("wiki.txt").find("expected ceval:FOLDER"), std::string::npos);
  EXPECT_NE(error_of("text:").find("expected ceval:FOLDER"), std::string::npos);
  EXPECT_NE(error_of("ceval:x@tset").find("'tset' is none of dev, val, test"), std::string::npos);
  EXPECT_NE(error_of("text:x", {.n_samples = 0}).find("at least 1"), std::string::npos);
  EXPECT_NE(error_of("text:x", {.length_tokens = 1}).find("at least 2"), std::string::npos);
}

TEST_F(DatasetTest, TheRealCevalHasEverySubject) {
  const std::string folder = base::test_data_folder() + "/ceval";
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is missing";
  for (const std::string split : {"", "@dev"}) {
    const auto samples = load("ceval:" + folder + split, {.n_samples = 200, .length_tokens = 400});
    ASSERT_TRUE(samples.ok()) << samples.status().message();
    EXPECT_EQ(samples->size(), 200U);
    std::map<std::string, int> counts;
    for (const TokenSample& sample : *samples) ++counts[sample.subject];
    EXPECT_EQ(counts.size(), 52U);
    for (const auto& [subject, count] : counts)
      EXPECT_TRUE(count == 3 || count == 4) << subject << " " << count;
  }
}

}  // namespace
}  // namespace octavo::data
