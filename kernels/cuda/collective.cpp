#include "kernels/cuda/collective.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <thread>

namespace emisopt::kernels::cuda {

// What is used of nccl.h, which not every toolkit brings: the C interface of NCCL 2, stable since 2.18.
struct UniqueId {
  char bytes[128];
};
struct NcclConfig {  // NCCL_CONFIG_INITIALIZER of 2.18; newer libraries fill in what they have beside
  std::size_t size = sizeof(NcclConfig);
  unsigned magic = 0xcafebeef, version = 21801;
  int blocking = 0, cga = INT_MIN, least = INT_MIN, most = INT_MIN;
  const char* net = nullptr;
  int share = INT_MIN;
};
enum { kSuccess = 0, kInProgress = 7, kFloat32 = 7, kFloat64 = 8, kOldest = 21801 };

struct NcclLibrary {
  std::string path, why;  // why it cannot be used; empty: it can
  int (*version)(int*) = nullptr;
  int (*unique_id)(UniqueId*) = nullptr;
  int (*init)(void** comm, int size, UniqueId id, int rank, NcclConfig* config) = nullptr;
  int (*async_error)(void* comm, int* error) = nullptr;
  int (*abort)(void* comm) = nullptr;
  int (*group_start)() = nullptr;
  int (*group_end)() = nullptr;
  int (*send)(const void*, std::size_t, int type, int peer, void* comm, cudaStream_t) = nullptr;
  int (*receive)(void*, std::size_t, int type, int peer, void* comm, cudaStream_t) = nullptr;
  const char* (*text)(int) = nullptr;
};

namespace {

NcclLibrary open_nccl(const std::string& given) {
  NcclLibrary l;
  l.path = given.empty() ? "libnccl.so.2" : given;
  const char* help = "; pip install 'emisopt[cuda13]' brings NCCL";
  void* library = dlopen(l.path.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed: it has threads of its own
  if (!library) {
    const char* text = dlerror();
    l.why = l.path + " does not load: " + (text ? text : "no reason given") + help;
    return l;
  }
  const auto take = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(library, name));
    if (!function && l.why.empty()) l.why = l.path + " lacks " + name + help;
  };
  take(l.version, "ncclGetVersion");
  take(l.unique_id, "ncclGetUniqueId");
  take(l.init, "ncclCommInitRankConfig");
  take(l.async_error, "ncclCommGetAsyncError");
  take(l.abort, "ncclCommAbort");
  take(l.group_start, "ncclGroupStart");
  take(l.group_end, "ncclGroupEnd");
  take(l.send, "ncclSend");
  take(l.receive, "ncclRecv");
  take(l.text, "ncclGetErrorString");
  int version = 0;
  if (l.why.empty() && (l.version(&version) != kSuccess || version < kOldest))
    l.why = l.path + " is NCCL " + std::to_string(version) + ", expected 2.18.1 or newer" + help;
  return l;
}

using Clock = std::chrono::steady_clock;

class Deadline {
 public:
  explicit Deadline(double seconds)
      : end_(Clock::now() +
             std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))) {}
  bool passed() const { return Clock::now() > end_; }
  // A step takes milliseconds: at first only the processor is given away.
  void pause() {
    if (++looks_ < 2000)
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(std::chrono::microseconds(200));
  }

 private:
  Clock::time_point end_;
  int looks_ = 0;
};

}  // namespace

NcclGroup::NcclGroup(const GroupOptions& options) : options_(options) {
  if (options.size < 1 || options.rank < 0 || options.rank >= options.size)
    throw InputError("join_group: expected a rank below the number of processes, got " +
                     std::to_string(options.rank) + " of " + std::to_string(options.size));
  if (!(options.seconds > 0))
    throw InputError("join_group: expected a time limit above 0 s, got " + std::to_string(options.seconds));
  int devices = 0;
  expect(cudaGetDeviceCount(&devices), "join_group");
  const int device = devices == 1 ? 0 : options.local_rank;  // one: the launcher shows each process its own
  if (device < 0 || device >= devices)
    throw InputError("join_group: expected a GPU for each process of this machine, got process " +
                     std::to_string(options.local_rank) + " and " + std::to_string(devices) +
                     " GPUs; start fewer processes or see CUDA_VISIBLE_DEVICES");
  expect(cudaSetDevice(device), "join_group");
  static const NcclLibrary library = open_nccl(options.library);
  if (!library.why.empty()) throw StateError("join_group: expected NCCL, got none: " + library.why);
  nccl_ = &library;
  // Then the id is the address, and rank 0 listens there (NCCL's environment variables, NCCL_COMM_ID).
  setenv("NCCL_COMM_ID", options.address.c_str(), 1);
  UniqueId id{};
  check(nccl_->unique_id(&id), "meeting at MASTER_ADDR:MASTER_PORT");
  NcclConfig config;
  check(nccl_->init(&comm_, options.size, id, options.rank, &config), "meeting");
  settle("meeting");
  stream_ = std::make_unique<Stream>();
}

NcclGroup::~NcclGroup() {
  if (comm_) nccl_->abort(comm_);  // nothing is under way: sums wait for their end
  cudaFree(staged_);
}

void NcclGroup::give_up(const std::string& why) {
  if (broken_.empty())
    broken_ = "process " + std::to_string(rank()) + " of " + std::to_string(size()) + ": " + why +
              "; all processes must be started anew, a training goes on with resume=";
  if (comm_) nccl_->abort(comm_);
  comm_ = nullptr;
  throw DeviceError("NCCL: " + broken_);
}

void NcclGroup::check(int result, const char* what) {
  if (result != kSuccess && result != kInProgress) give_up(std::string(what) + ": " + nccl_->text(result));
}

// The calls return at once; until they have come to an end nothing may follow them.
void NcclGroup::settle(const char* what) {
  Deadline deadline(options_.seconds);
  for (;;) {
    int state = kSuccess;
    check(nccl_->async_error(comm_, &state), what);
    check(state, what);
    if (state == kSuccess) return;
    if (deadline.passed())
      give_up(std::string(what) + ": waited " + std::to_string(static_cast<int>(options_.seconds)) +
              " s for the other processes, one of them has died or hangs");
    deadline.pause();
  }
}

template <class Query>
void NcclGroup::wait_until(Query query) {
  Deadline deadline(options_.seconds);
  for (;;) {
    const cudaError_t state = query();
    if (state == cudaSuccess) return;
    if (state != cudaErrorNotReady) expect(state, "NCCL");
    expect_whole();
    int error = kSuccess;
    check(nccl_->async_error(comm_, &error), "sum");
    check(error, "sum");
    if (deadline.passed())
      give_up("sum: waited " + std::to_string(static_cast<int>(options_.seconds)) +
              " s for the other processes, one of them has died or hangs");
    deadline.pause();
  }
}

void NcclGroup::wait(cudaStream_t stream) {
  wait_until([stream] { return cudaStreamQuery(stream); });
}

void NcclGroup::wait(cudaEvent_t event) {
  wait_until([event] { return cudaEventQuery(event); });
}

void NcclGroup::expect_whole() const {
  if (!broken_.empty()) throw DeviceError("NCCL: " + broken_);
}

void NcclGroup::connect() {
  if (connected_) return;
  double one = 1;  // goes from each to each, as every later sum does
  sum(&one, 1);
  connected_ = true;
}

template <class T>
void NcclGroup::sum_on_device(T* x, std::size_t count, void* scratch, cudaStream_t stream) {
  expect_whole();
  const auto n = static_cast<std::size_t>(size());
  const std::size_t share = (count + n - 1) / n;
  const int type = sizeof(T) == sizeof(float) ? kFloat32 : kFloat64;
  T* rows = static_cast<T*>(scratch);
  const auto begin = [&](int r) { return std::min(count, static_cast<std::size_t>(r) * share); };
  const auto length = [&](int r) { return begin(r + 1) - begin(r); };
  const std::size_t own = length(rank());
  const auto exchange = [&](bool gather) {
    check(nccl_->group_start(), "sum");
    for (int r = 0; r < size(); ++r) {
      if (gather && r == rank()) continue;
      const std::size_t out = gather ? own : length(r), in = gather ? length(r) : own;
      const T* from = x + begin(gather ? rank() : r);
      T* to = gather ? x + begin(r) : rows + static_cast<std::size_t>(r) * own;
      if (out) check(nccl_->send(from, out, type, r, comm_, stream), "sum");
      if (in) check(nccl_->receive(to, in, type, r, comm_, stream), "sum");
    }
    check(nccl_->group_end(), "sum");
    settle("sum");
  };
  exchange(false);
  add_rows(x + begin(rank()), rows, size(), static_cast<long>(own), stream);
  if (size() > 1) exchange(true);
}
template void NcclGroup::sum_on_device<float>(float*, std::size_t, void*, cudaStream_t);
template void NcclGroup::sum_on_device<double>(double*, std::size_t, void*, cudaStream_t);

template <class T>
void NcclGroup::sum_host(T* x, std::size_t count) {
  if (count == 0) return;
  const std::size_t bytes = count * sizeof(T), padded = (bytes + 255) / 256 * 256;
  if (padded + room(bytes) > staged_bytes_) {
    cudaFree(staged_);
    staged_ = nullptr, staged_bytes_ = 0;
    expect_memory(cudaMalloc(&staged_, padded + room(bytes)), padded + room(bytes), true);
    staged_bytes_ = padded + room(bytes);
  }
  expect(cudaMemcpyAsync(staged_, x, bytes, cudaMemcpyHostToDevice, *stream_), "NCCL");
  sum_on_device(static_cast<T*>(staged_), count, static_cast<std::byte*>(staged_) + padded, *stream_);
  expect(cudaMemcpyAsync(x, staged_, bytes, cudaMemcpyDeviceToHost, *stream_), "NCCL");
  wait(*stream_);
}

}  // namespace emisopt::kernels::cuda
