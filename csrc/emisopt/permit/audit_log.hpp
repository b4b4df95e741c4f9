// A file of audit records, one line each, every record holding the hash of the one before.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "emisopt/permit/audit_record.hpp"

namespace emisopt {

/// Adds a record to the file, which is made if there is none, and returns its line. The file is replaced as a
/// whole: after a crash at any moment there is the old log or the new one. One writer at a time. Throws
/// FileError when the file cannot be read or written; InputError for a bad entry, or when the last record of
/// the file does not verify, because nothing should be chained to it.
std::string append_audit_record(const std::string& path, const AuditEntry& entry,
                                Index block_rows = kAuditBlockRows);

/// The lines of a log's text without their ends; a last line without end counts.
std::vector<std::string_view> audit_lines(std::string_view text);

/// All records of a file, changed or not. Throws FileError when it cannot be read, InputError naming the path
/// and the number of a line that is no record at all.
std::vector<AuditRecord> read_audit_log(const std::string& path);

/// Every record against itself and against the one before, findings as "record 3: ...". head: the hash that
/// the last record must have, where the caller kept it; "" if not.
std::vector<std::string> verify_audit_log(std::string_view text, std::string_view head = "");
/// The same of a file. Throws FileError when it cannot be read.
std::vector<std::string> verify_audit_file(const std::string& path, std::string_view head = "");

}  // namespace emisopt
