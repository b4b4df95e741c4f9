// A libnccl.so.2 for tests: processes on one machine whose messages are files. As with the real one a group
// of messages is an operation of its stream, or of the graph that the stream is being captured into: it
// begins when all before it is done, ends when the others' messages have come, and every launch of the graph
// is a new one. Strict about ranks, counts, types, streams, order, and two operations of one communicator at
// once.
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
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
  int rank, size;
  int state = kInProgress;  // of the last call: asked for once, it has come to an end
  int error = kSuccess;     // sticky
  bool met = false, aborted = false;
  bool busy = false;  // an operation has begun and not ended
  std::map<int, long> sent, received;
};
using Shared = std::shared_ptr<Comm>;
struct Exchange {  // what a group was
  Shared comm;
  std::vector<Message> messages;
  bool begun = false;  // this time
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
Shared grouped;
void* grouped_stream = nullptr;
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

void meet(Comm& c) {
  for (int r = 0; r < c.size && !c.met; ++r) {
    std::ifstream file(c.stem + ".rank" + std::to_string(r));
    int size = 0;
    if (!(file >> size)) return;
    if (size != c.size) {
      c.error = kInvalidUsage;
      return;
    }
  }
  c.met = true;
}

// A function of the executor, in the plugin that opened this library, or in the program.
template <class Function>
Function of_executor(const char* name) {
  const char* plugin = std::getenv("EMISOPT_CUDA_PLUGIN");
  void* opened = plugin ? dlopen(plugin, RTLD_NOW | RTLD_NOLOAD) : nullptr;
  return reinterpret_cast<Function>(dlsym(opened ? opened : RTLD_DEFAULT, name));
}
using Enqueue = void (*)(void* stream, bool (*)(void*), void (*)(void*), void (*)(void*), void*);
using Wrote = void (*)(const void*, std::size_t);

// ---- what the stream does -----------------------------------------------------------------------------

void begin(Exchange& e) {
  Comm& c = *e.comm;
  if (c.busy) c.error = kInvalidUsage;  // unordered: other processes may see them the other way round
  c.busy = e.begun = true;
  for (const Message& m : e.messages) {
    if (!m.out) continue;
    const Head head{static_cast<long>(m.count), m.type};
    std::string content(reinterpret_cast<const char*>(&head), sizeof head);
    content.append(m.data, m.count * width(m.type));
    write_file(name(c, c.rank, m.peer, c.sent[m.peer]++), content);
  }
}

bool is_ready(void* context) {
  auto& e = *static_cast<Exchange*>(context);
  Comm& c = *e.comm;
  if (c.aborted) return true;  // ends what is under way
  if (!e.begun) begin(e);
  if (c.error) return false;
  for (const Message& m : e.messages)
    if (!m.out && !exists(name(c, m.peer, c.rank, c.received[m.peer]))) return false;
  return true;
}

void receive(void* context) {
  auto& e = *static_cast<Exchange*>(context);
  Comm& c = *e.comm;
  e.begun = c.busy = false;
  if (c.aborted) return;
  for (const Message& m : e.messages) {
    if (m.out) continue;
    const std::string path = name(c, m.peer, c.rank, c.received[m.peer]++);
    std::ifstream file(path, std::ios::binary);
    Head head{};
    file.read(reinterpret_cast<char*>(&head), sizeof head);
    if (head.count != static_cast<long>(m.count) || head.type != m.type) {
      c.error = kInvalidUsage;
      return;
    }
    const std::size_t bytes = m.count * width(m.type);
    file.read(m.data, static_cast<long>(bytes));
    static const auto wrote = of_executor<Wrote>("emisopt_cuda_host_wrote");
    if (wrote) wrote(m.data, bytes);
    std::remove(path.c_str());
  }
}

void drop(void* context) { delete static_cast<Exchange*>(context); }

// ---- what the host calls --------------------------------------------------------------------------------

int add(bool out, const void* data, std::size_t count, int type, int peer, void* comm, void* stream) {
  if (!comm || !data || !stream || width(type) == 0) return kInvalidArgument;
  const Shared& c = *static_cast<Shared*>(comm);
  if (peer < 0 || peer >= c->size) return kInvalidArgument;
  if (depth != 1 || c->state != kSuccess || c->error ||
      (grouped && (grouped != c || grouped_stream != stream)))
    return kInvalidUsage;
  for (const Message& m : group)
    if (m.out == out && m.peer == peer) return kInvalidUsage;  // none of ours has two
  grouped = c;
  grouped_stream = stream;
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
  auto c = std::make_shared<Comm>();
  c->stem = std::string(folder) + "/" + id.bytes, c->rank = rank, c->size = size;
  const std::string seat = c->stem + ".rank" + std::to_string(rank);
  const int file = open(seat.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (file < 0) return kInvalidUsage;  // two processes of one rank
  const std::string text = std::to_string(size) + "\n";
  const bool written = write(file, text.data(), text.size()) == static_cast<long>(text.size());
  close(file);
  *comm = new Shared(std::move(c));
  return written ? kInProgress : kRemote;
}
int ncclCommGetAsyncError(void* comm, int* error) {
  if (!comm) return kInvalidArgument;
  Comm& c = **static_cast<Shared*>(comm);
  if (!c.met) meet(c);
  if (c.met) c.state = kSuccess;
  *error = c.error ? c.error : c.state;
  return kSuccess;
}
int ncclCommAbort(void* comm) {
  auto* c = static_cast<Shared*>(comm);
  (*c)->aborted = true;
  delete c;
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
  static const auto put = of_executor<Enqueue>("emisopt_cuda_host_enqueue");
  if (!put) return kInvalidUsage;
  grouped->state = kInProgress;
  put(grouped_stream, &is_ready, &receive, &drop, new Exchange{grouped, group});
  grouped = nullptr;
  return kInProgress;
}
int ncclSend(const void* data, std::size_t count, int type, int peer, void* comm, void* stream) {
  return add(true, data, count, type, peer, comm, stream);
}
int ncclRecv(void* data, std::size_t count, int type, int peer, void* comm, void* stream) {
  return add(false, data, count, type, peer, comm, stream);
}

}  // extern "C"
