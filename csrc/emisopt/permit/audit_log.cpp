#include "emisopt/permit/audit_log.hpp"

#include "emisopt/base/error.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {

std::vector<std::string_view> audit_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string append_audit_record(const std::string& path, const AuditEntry& entry, Index block_rows) {
  std::string text = os::file_exists(path) ? os::read_file(path) : "";
  const std::vector<std::string_view> lines = audit_lines(text);
  std::string previous;
  if (!lines.empty()) {
    const std::string where = path + ": record " + std::to_string(lines.size() - 1);
    if (!text.ends_with('\n'))
      throw InputError(where + ": expected a line end after it, got the end of the file: it was edited");
    const AuditRecord last(lines.back());
    const std::vector<std::string> found = last.verify();
    if (!found.empty())
      throw InputError(where + ": " + found.front() + "; verify the log before adding to it");
    previous = last.sha256();
  }
  std::string line = make_audit_record(entry, previous, static_cast<std::int64_t>(lines.size()), block_rows);
  text += line;
  text += '\n';
  os::write_file_atomic(path, text);
  return line;
}

std::vector<AuditRecord> read_audit_log(const std::string& path) {
  const std::string text = os::read_file(path);
  std::vector<AuditRecord> records;
  for (const std::string_view line : audit_lines(text)) {
    try {
      records.emplace_back(line);
    } catch (const InputError& e) {
      throw InputError(path + ": record " + std::to_string(records.size()) + ": " + e.what());
    }
  }
  return records;
}

std::vector<std::string> verify_audit_file(const std::string& path, std::string_view head) {
  return verify_audit_log(os::read_file(path), head);
}

std::vector<std::string> verify_audit_log(std::string_view text, std::string_view head) {
  std::vector<std::string> found;
  const std::vector<std::string_view> lines = audit_lines(text);
  std::string previous;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string where = "record " + std::to_string(i) + ": ";
    try {
      const AuditRecord record(lines[i]);
      for (const std::string& finding : record.verify()) found.push_back(where + finding);
      if (record.sequence() != static_cast<std::int64_t>(i))
        found.push_back(where + "its number is " + std::to_string(record.sequence()) +
                        ": records were put in, left out or moved");
      if (record.previous() != previous)
        found.push_back(where + "does not follow the record before it: one of them was changed or replaced");
      previous = record.sha256();
    } catch (const InputError& e) {
      found.push_back(where + e.what());
      previous.clear();
    }
  }
  if (!text.empty() && !text.ends_with('\n')) found.push_back("the last line has no end: the file was cut");
  if (!head.empty() && previous != head)
    found.push_back("the last record is not the one with the hash " + quote(head) +
                    ": records were left out at the end or the log was written anew");
  return found;
}

}  // namespace emisopt
