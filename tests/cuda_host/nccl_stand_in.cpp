// A libnccl.so.2 for tests: processes on one machine whose messages are files, moved when a communicator is
// asked for its state, as one that does not block does. Strict about ranks, counts, types, streams and order.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace {

enum { kSuccess = 0, kInvalidArgument = 4, kInvalidUsage = 5, kRemote = 6, kInProgress = 7 };

struct Message {
  bool out;
  char* data;
  std::size_t count;
  int type, peer;
};
struct Comm {
  std::string stem;
  int rank, size, state = kInProgress;
  bool met = false;
  void* stream = nullptr;
  std::vector<Message> waiting;
  std::map<int, long> sent, received;
};
struct Head {
  long count;
  int type;
};
struct Id {
  char bytes[128];
};
struct Config {
  std::size_t size;
  unsigned magic, version;
  int blocking;
};

int depth = 0;
Comm* grouped = nullptr;
std::vector<Message> group;

std::size_t width(int type) { return type == 7 ? 4 : type == 8 ? 8 : 0; }
bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path + ".part", std::ios::binary).write(content.data(), static_cast<long>(content.size()));
  std::rename((path + ".part").c_str(), path.c_str());
}
std::string name(const Comm& c, int from, int to, long number) {
  return c.stem + "." + std::to_string(from) + "-" + std::to_string(to) + "." + std::to_string(number);
}

void advance(Comm& c) {
  if (c.state != kInProgress) return;
  if (!c.met) {
    for (int r = 0; r < c.size; ++r) {
      std::ifstream file(c.stem + ".rank" + std::to_string(r));
      int size = 0;
      if (!(file >> size)) return;
      if (size != c.size) {
        c.state = kInvalidUsage;
        return;
      }
    }
    c.met = true;
  }
  while (!c.waiting.empty()) {
    const Message m = c.waiting.front();
    const std::string path = name(c, m.peer, c.rank, c.received[m.peer]);
    if (!exists(path)) return;
    std::ifstream file(path, std::ios::binary);
    Head head{};
    file.read(reinterpret_cast<char*>(&head), sizeof head);
    if (head.count != static_cast<long>(m.count) || head.type != m.type) {
      c.state = kInvalidUsage;
      return;
    }
    file.read(m.data, static_cast<long>(m.count * width(m.type)));
    std::remove(path.c_str());
    ++c.received[m.peer];
    c.waiting.erase(c.waiting.begin());
  }
  c.state = kSuccess;
}

int add(bool out, const void* data, std::size_t count, int type, int peer, void* comm, void* stream) {
  auto* c = static_cast<Comm*>(comm);
  if (!c || !data || width(type) == 0 || peer < 0 || peer >= c->size) return kInvalidArgument;
  if (depth != 1 || c->state != kSuccess || (grouped && (grouped != c || c->stream != stream)))
    return kInvalidUsage;
  grouped = c;
  c->stream = stream;
  group.push_back({out, static_cast<char*>(const_cast<void*>(data)), count, type, peer});
  return kSuccess;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int ncclGetVersion(int* version) {
  const char* text = std::getenv("EMISOPT_NCCL_STAND_IN_VERSION");
  *version = text ? std::atoi(text) : 22703;
  return kSuccess;
}
const char* ncclGetErrorString(int error) {
  return error == kInvalidUsage      ? "invalid usage"
         : error == kInvalidArgument ? "invalid argument"
                                     : "remote error";
}
int ncclGetUniqueId(Id* id) {
  const char* at = std::getenv("NCCL_COMM_ID");
  if (!at || !std::strchr(at, ':')) return kInvalidArgument;
  std::memset(id, 0, sizeof *id);
  std::strncpy(id->bytes, at, sizeof id->bytes - 1);
  return kSuccess;
}
int ncclCommInitRankConfig(void** comm, int size, Id id, int rank, Config* config) {
  if (!comm || !config || config->magic != 0xcafebeef || config->blocking != 0 || rank < 0 || rank >= size)
    return kInvalidArgument;
  const char* folder = std::getenv("EMISOPT_NCCL_STAND_IN_DIR");
  if (!folder) return kInvalidArgument;
  auto* c =
      new Comm{std::string(folder) + "/" + id.bytes, rank, size, kInProgress, false, nullptr, {}, {}, {}};
  const std::string seat = c->stem + ".rank" + std::to_string(rank);
  const int file = open(seat.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (file < 0) {  // two processes of one rank
    delete c;
    return kInvalidUsage;
  }
  const std::string text = std::to_string(size) + "\n";
  const bool written = write(file, text.data(), text.size()) == static_cast<long>(text.size());
  close(file);
  *comm = c;
  return written ? kInProgress : kRemote;
}
int ncclCommGetAsyncError(void* comm, int* error) {
  auto* c = static_cast<Comm*>(comm);
  if (!c) return kInvalidArgument;
  advance(*c);
  *error = c->state;
  return kSuccess;
}
int ncclCommAbort(void* comm) {
  delete static_cast<Comm*>(comm);
  return kSuccess;
}
int ncclGroupStart() {
  if (depth++ != 0) return kInvalidUsage;
  grouped = nullptr;
  group.clear();
  return kSuccess;
}
int ncclGroupEnd() {
  if (depth-- != 1) return kInvalidUsage;
  if (!grouped) return kSuccess;
  Comm& c = *grouped;
  for (const Message& m : group) {
    if (!m.out) {
      c.waiting.push_back(m);
      continue;
    }
    const Head head{static_cast<long>(m.count), m.type};
    std::string content(reinterpret_cast<const char*>(&head), sizeof head);
    content.append(m.data, m.count * width(m.type));
    write_file(name(c, c.rank, m.peer, c.sent[m.peer]++), content);
  }
  c.state = kInProgress;
  return kInProgress;
}
int ncclSend(const void* data, std::size_t count, int type, int peer, void* comm, void* stream) {
  return add(true, data, count, type, peer, comm, stream);
}
int ncclRecv(void* data, std::size_t count, int type, int peer, void* comm, void* stream) {
  return add(false, data, count, type, peer, comm, stream);
}

}  // extern "C"
