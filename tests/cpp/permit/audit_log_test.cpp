#include "emisopt/permit/audit_log.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "emisopt/base/error.hpp"
#include "emisopt/base/os.hpp"

namespace emisopt {
namespace {

namespace fs = std::filesystem;

class AuditLog : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("emisopt_audit_" + std::to_string(os::process_id()) + "_" +
                                              testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
    path_ = (folder_ / "audit.jsonl").string();
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string append(double value) {
    const double values[] = {value, 2 * value};
    return append_audit_record(path_, {"stack 1",
                                       "test",
                                       1e9 + value,
                                       {{"nox", values, 2}},
                                       Json::Object{{"limit", 200}},
                                       Json::Object{{"mean", value}}});
  }
  std::string text() const { return os::read_file(path_); }

  fs::path folder_;
  std::string path_;
};

TEST_F(AuditLog, ChainsEachRecordToTheOneBefore) {
  EXPECT_TRUE(verify_audit_log("").empty());
  std::vector<std::string> written;
  for (int i = 0; i < 5; ++i) written.push_back(append(i));
  const std::string whole = text();
  ASSERT_EQ(audit_lines(whole).size(), 5u);
  std::string previous;
  for (std::size_t i = 0; i < 5; ++i) {
    const AuditRecord record(audit_lines(whole)[i]);
    EXPECT_EQ(audit_lines(whole)[i], written[i]);
    EXPECT_EQ(record.previous(), previous);
    EXPECT_EQ(record.sequence(), static_cast<std::int64_t>(i));
    previous = record.sha256();
  }
  EXPECT_TRUE(verify_audit_log(whole).empty());
  EXPECT_TRUE(verify_audit_log(whole, previous).empty());
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()),
            1);  // nothing beside it
}

TEST_F(AuditLog, EveryFlippedBitIsFound) {
  append(1), append(2);
  const std::string whole = text();
  for (std::size_t i = 0; i < whole.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = whole;
      changed[i] = static_cast<char>(changed[i] ^ 1 << bit);
      ASSERT_FALSE(verify_audit_log(changed).empty()) << "byte " << i << ", bit " << bit;
    }
}

TEST_F(AuditLog, RecordsPutInLeftOutMovedOrRewrittenAreFound) {
  for (int i = 0; i < 4; ++i) append(i);
  const std::string whole = text(), head = AuditRecord(audit_lines(whole).back()).sha256();
  std::vector<std::string> lines;
  for (const auto line : audit_lines(whole)) lines.emplace_back(line);
  const auto joined = [](const std::vector<std::string>& all) {
    std::string out;
    for (const std::string& line : all) out += line + "\n";
    return out;
  };
  auto changed = lines;
  changed.erase(changed.begin() + 1);
  EXPECT_FALSE(verify_audit_log(joined(changed)).empty());
  changed = lines;
  std::swap(changed[1], changed[2]);
  EXPECT_FALSE(verify_audit_log(joined(changed)).empty());
  changed = lines;
  changed.insert(changed.begin(), lines[0]);
  EXPECT_FALSE(verify_audit_log(joined(changed)).empty());
  // A record made anew with honest hashes breaks the chain behind it.
  const double other[] = {7, 7};
  changed = lines;
  changed[1] =
      make_audit_record({"stack 1", "test", 1e9, {{"nox", other, 2}}, Json::Object{}, Json::Object{}},
                        AuditRecord(lines[0]).sha256(), 1);
  EXPECT_EQ(
      verify_audit_log(joined(changed)),
      std::vector<std::string>{"record 2: does not follow the record before it: one of them was changed or "
                               "replaced"});
  // The end can be cut without a trace in the file; the head that was kept elsewhere shows it.
  changed = lines;
  changed.pop_back();
  EXPECT_TRUE(verify_audit_log(joined(changed)).empty());
  EXPECT_EQ(verify_audit_log(joined(changed), head).size(), 1u);
  EXPECT_EQ(verify_audit_log(whole.substr(0, whole.size() - 1)),
            std::vector<std::string>{"the last line has no end: the file was cut"});
}

TEST_F(AuditLog, AFileIsReadBackAsItsRecords) {
  append(1), append(2);
  const auto records = read_audit_log(path_);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[1].previous(), records[0].sha256());
  EXPECT_TRUE(verify_audit_file(path_, records[1].sha256()).empty());
  os::write_file_atomic(path_, text() + "{}\n");
  try {
    read_audit_log(path_);
    FAIL();
  } catch (const InputError& e) {
    EXPECT_EQ(std::string(e.what()).rfind(path_ + ": record 2: audit record: field 'format' is missing", 0),
              0u);
  }
  EXPECT_EQ(verify_audit_file(path_).size(), 1u);
  EXPECT_THROW(read_audit_log(path_ + "x"), FileError);
  EXPECT_THROW(verify_audit_file(path_ + "x"), FileError);
}

TEST_F(AuditLog, NothingIsChainedToARecordThatDoesNotVerify) {
  append(1);
  std::string changed = text();
  changed.replace(changed.find("stack 1"), 7, "stack 2");
  os::write_file_atomic(path_, changed);
  try {
    append(2);
    FAIL();
  } catch (const InputError& e) {
    EXPECT_NE(std::string(e.what()).find("record 0: the record does not have the hash"), std::string::npos);
  }
  EXPECT_EQ(text(), changed);
  os::write_file_atomic(path_, changed.substr(0, changed.size() - 1));
  EXPECT_THROW(append(2), InputError);
  os::write_file_atomic(path_, "not a record\n");
  EXPECT_THROW(append(2), InputError);
  EXPECT_FALSE(verify_audit_log(text()).empty());
}

TEST_F(AuditLog, AFolderThatIsNotThereIsAFileError) {
  path_ = (folder_ / "absent" / "audit.jsonl").string();
  EXPECT_THROW(append(1), FileError);
  path_ = folder_.string();
  EXPECT_THROW(append(1), FileError);
}

}  // namespace
}  // namespace emisopt
