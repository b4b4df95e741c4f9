// Streams, events and graphs of the executor. What is put on a stream becomes an operation with the
// operations that it must wait for: those before it on its stream, those of an event waited for, what the
// host had waited for when it asked. Ascending order does each at once; descending does nothing before
// somebody waits, and then the newest that may run; random is in between. So a missing event gives wrong
// values in one order or another, and, where every access is watched, a race: two operations that touch a
// byte, one of them writing, must be in order (State::is_before).
//
// The default stream (null) does its work at once and waits for no other.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "cuda_host/executor.hpp"
#include "cuda_host/state.hpp"

namespace emisopt::cuda_host {

using Work = std::function<void()>;

// Of an operation that waits for somebody outside of this process.
using Ready = std::function<bool()>;

// Per chain of operations that follow each other, how far along it one has come.
using Clock = std::vector<std::uint32_t>;

struct Operation {
  Work work;
  Ready ready;                                    // beside what it must wait for; null: always
  std::vector<std::shared_ptr<Operation>> after;  // emptied when done
  bool done = false;
  std::uint64_t needed = 0;  // the last search that it was found in
  std::size_t chain = 0;
  Clock clock;
};
using Ptr = std::shared_ptr<Operation>;

struct Node {  // of a graph
  Work work;
  std::vector<std::size_t> after;
  cudaEvent_t record = nullptr, wait = nullptr;  // external
  Ready ready;
};
struct Capture {
  std::vector<Node> nodes;
  std::vector<std::size_t> frontier;  // of all streams that take part, at the end: what nobody waits for yet
};

}  // namespace emisopt::cuda_host

using emisopt::cuda_host::Capture;
using emisopt::cuda_host::Ptr;

struct CUstream_st {
  std::vector<Ptr> last;              // what the next operation waits for
  Capture* capture = nullptr;         // that it takes part in
  bool origin = false;                // of the capture
  std::vector<std::size_t> frontier;  // in the capture
};
struct CUevent_st {
  std::vector<Ptr> last;
  Capture* capture = nullptr;  // recorded inside it
  std::vector<std::size_t> frontier;
};
struct CUgraph_st {
  Capture capture;
};
struct CUgraphExec_st {
  Capture capture;
  std::vector<Ptr> last;  // launches of one graph follow each other
};

namespace emisopt::cuda_host {
namespace {

struct Queue {
  std::vector<Ptr> pending;           // in the order asked for
  std::vector<CUstream_st*> streams;  // open
  Clock host;                         // what the host has waited for
  Clock ends;                         // how far each chain goes
  std::uint64_t random = 7;
};
Queue& queue() {
  static Queue the;
  return the;
}

void merge(Clock& into, const Clock& from) {
  if (into.size() < from.size()) into.resize(from.size());
  for (std::size_t i = 0; i < from.size(); ++i) into[i] = std::max(into[i], from[i]);
}

bool may_run(const Operation& op) {
  return std::all_of(op.after.begin(), op.after.end(), [](const Ptr& p) { return p->done; }) &&
         (!op.ready || op.ready());
}

void run_one(Ptr op) {
  auto& pending = queue().pending;
  pending.erase(std::find(pending.begin(), pending.end(), op));
  op->done = true;  // also when it fails: the next launch is unharmed
  op->after.clear();
  if (!op->work) return;
  State& now = state();
  now.operation_chain = op->chain;
  now.operation_clock = &op->clock;
  struct Ended {
    State& now;
    ~Ended() { now.operation_clock = nullptr; }
  } ended{now};
  const Work work = std::move(op->work);
  work();
}

// The next of those that may run, among `wanted` and what they wait for; empty `wanted`: among all.
Ptr choose(const std::vector<Ptr>& wanted) {
  static std::uint64_t search = 0;
  ++search;
  std::vector<Operation*> todo;
  const auto need = [&](const std::vector<Ptr>& all) {
    for (const Ptr& p : all)
      if (!p->done && p->needed != search) {
        p->needed = search;
        todo.push_back(p.get());
      }
  };
  need(wanted.empty() ? queue().pending : wanted);
  while (!todo.empty()) {
    const Operation* op = todo.back();
    todo.pop_back();
    need(op->after);
  }
  std::vector<Ptr> ready;
  for (const Ptr& p : queue().pending)
    if (p->needed == search && may_run(*p)) ready.push_back(p);
  if (ready.empty()) return nullptr;
  switch (schedule().order) {
    case Order::ascending:
      return ready.front();
    case Order::descending:
      return ready.back();
    case Order::random:
      break;
  }
  return ready[next_random(queue().random) % ready.size()];
}

Ptr ask(Work work, std::vector<Ptr> after, Ready ready = {}) {
  auto op = std::make_shared<Operation>();
  Queue& q = queue();
  op->work = std::move(work);
  op->ready = std::move(ready);
  op->clock = q.host;
  bool found = false;
  for (const Ptr& p : after) {
    if (!found && p->clock[p->chain] == q.ends[p->chain]) {  // goes on where that one stands
      op->chain = p->chain;
      found = true;
    }
    merge(op->clock, p->clock);
  }
  if (!found) {
    // a chain that everybody has seen the end of may be gone on with
    const auto seen = [&](std::size_t c) { return c < q.host.size() && q.host[c] == q.ends[c]; };
    while (op->chain < q.ends.size() && !seen(op->chain)) ++op->chain;
    if (op->chain == q.ends.size()) q.ends.push_back(0);
  }
  if (op->clock.size() <= op->chain) op->clock.resize(op->chain + 1);
  op->clock[op->chain] = ++q.ends[op->chain];
  for (const Ptr& p : after)
    if (!p->done) op->after.push_back(p);
  q.pending.push_back(op);
  return op;
}

// As far as the order wants work to run ahead of anybody waiting.
void run_ahead() {
  Queue& q = queue();
  if (schedule().order == Order::ascending)
    while (Ptr next = choose({})) run_one(std::move(next));
  if (schedule().order == Order::random)
    while (next_random(q.random) % 3 == 0) {
      Ptr next = choose({});
      if (!next) break;
      run_one(std::move(next));
    }
}

bool all_done(const std::vector<Ptr>& all) {
  return std::all_of(all.begin(), all.end(), [](const Ptr& p) { return p->done; });
}

// Where everything that is left waits for another process, so does this one, as long as it takes.
void run_next(const std::vector<Ptr>& wanted) {
  if (Ptr next = choose(wanted))
    run_one(std::move(next));
  else
    std::this_thread::sleep_for(std::chrono::microseconds(100));
}

void wait_for(const std::vector<Ptr>& wanted) {
  ++runtime_counts().waits;
  while (!all_done(wanted)) run_next(wanted);
  for (const Ptr& p : wanted) merge(queue().host, p->clock);
}

cudaError_t invalid() { return remember(cudaErrorInvalidValue); }
bool is_default(cudaStream_t stream) {
  return !stream || stream == cudaStreamLegacy || stream == cudaStreamPerThread;
}

}  // namespace

void wait_for_everything() {
  while (!queue().pending.empty()) run_next({});
  queue().host = queue().ends;
  state().operations.clear();  // whatever comes now comes after them
}

bool is_capturing() {
  const auto& all = queue().streams;
  return std::any_of(all.begin(), all.end(), [](const CUstream_st* s) { return s->capture; });
}

void do_or_capture(cudaStream_t stream, Work work) { do_when_ready(stream, std::move(work), {}); }

void do_when_ready(cudaStream_t stream, Work work, Ready ready) {
  if (!stream) {
    work();
  } else if (stream->capture) {
    stream->capture->nodes.push_back({std::move(work), stream->frontier, nullptr, nullptr, std::move(ready)});
    stream->frontier = {stream->capture->nodes.size() - 1};
  } else {
    stream->last = {ask(std::move(work), stream->last, std::move(ready))};
    run_ahead();
  }
}

}  // namespace emisopt::cuda_host

using namespace emisopt::cuda_host;

extern "C" {

// For libraries that are opened as the real ones are and put work of theirs on a stream. ready(context) is
// asked once all before it is done; the work is done when it says so. drop(context): nobody will ask again.
__attribute__((visibility("default"))) void emisopt_cuda_host_enqueue(cudaStream_t stream,
                                                                      bool (*ready)(void*),
                                                                      void (*work)(void*),
                                                                      void (*drop)(void*), void* context) {
  const std::shared_ptr<void> kept(context, drop);
  do_when_ready(
      stream,
      [=] {
        if (!lost_device()) work(kept.get());
      },
      [=] { return lost_device() != cudaSuccess || ready(kept.get()); });
}

// Such work writes by itself what the checker then takes as written.
__attribute__((visibility("default"))) void emisopt_cuda_host_wrote(const void* to, std::size_t bytes) {
  mark_written(to, bytes);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CUstream_st;
  queue().streams.push_back(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {  // its work goes on
  auto& all = queue().streams;
  all.erase(std::remove(all.begin(), all.end(), stream), all.end());
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (!stream) return lost_device();
  if (stream->capture) return remember(cudaErrorStreamCaptureUnsupported);
  wait_for(stream->last);
  return lost_device();
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {  // asking again and again comes to an end
  if (!stream) return lost_device();
  if (stream->capture) return remember(cudaErrorStreamCaptureUnsupported);
  if (Ptr next = stream->last.empty() ? nullptr : choose(stream->last)) run_one(std::move(next));
  if (lost_device()) return lost_device();
  for (const Ptr& p : stream->last)
    if (!p->done) return cudaErrorNotReady;
  wait_for(stream->last);
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  if (is_capturing()) return remember(cudaErrorStreamCaptureUnsupported);
  ++runtime_counts().waits;
  wait_for_everything();
  return lost_device();
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
  if (event && is_default(stream) && !flags) {  // its work is done
    event->capture = nullptr;
    event->last.clear();
    return cudaSuccess;
  }
  if (!event || !stream) return invalid();
  if (stream->capture && flags == cudaEventRecordExternal) {
    stream->capture->nodes.push_back({{}, stream->frontier, event, nullptr, {}});
    stream->frontier = {stream->capture->nodes.size() - 1};
  } else if (flags) {
    return invalid();
  } else if (stream->capture) {
    event->capture = stream->capture;
    event->frontier = stream->frontier;
  } else {
    event->capture = nullptr;
    event->last = stream->last;
  }
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return cudaEventRecordWithFlags(event, stream, 0);
}
cudaError_t cudaEventQuery(cudaEvent_t event) {  // as of a stream
  if (event->capture) return remember(cudaErrorCapturedEvent);
  if (Ptr next = event->last.empty() ? nullptr : choose(event->last)) run_one(std::move(next));
  if (lost_device()) return lost_device();
  if (!all_done(event->last)) return cudaErrorNotReady;
  wait_for(event->last);
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  if (event && is_default(stream) && !flags) {  // does its work at once, so what it waits for is done first
    if (event->capture) return remember(cudaErrorStreamCaptureIsolation);
    wait_for(event->last);
    return lost_device();
  }
  if (!event || !stream) return invalid();
  if (flags == cudaEventWaitExternal) {
    if (!stream->capture) return invalid();
    stream->capture->nodes.push_back({{}, stream->frontier, nullptr, event, {}});
    stream->frontier = {stream->capture->nodes.size() - 1};
    return cudaSuccess;
  }
  if (flags) return invalid();
  if (event->capture) {
    if (stream->capture && stream->capture != event->capture) return remember(cudaErrorStreamCaptureMerge);
    if (!stream->capture) stream->frontier.clear();
    stream->capture = event->capture;  // a stream that waits for a captured event joins
    for (const std::size_t n : event->frontier)
      if (std::find(stream->frontier.begin(), stream->frontier.end(), n) == stream->frontier.end())
        stream->frontier.push_back(n);
    return cudaSuccess;
  }
  if (stream->capture) return remember(cudaErrorStreamCaptureIsolation);
  stream->last.insert(stream->last.end(), event->last.begin(), event->last.end());
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->capture) return remember(cudaErrorCapturedEvent);
  wait_for(event->last);
  return lost_device();
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (lost_device()) return lost_device();
  if (!stream || stream->capture) return remember(cudaErrorIllegalState);
  stream->capture = &(new CUgraph_st)->capture;
  stream->origin = true;
  stream->frontier.clear();
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  if (!stream || !stream->capture || !stream->origin) return remember(cudaErrorIllegalState);
  Capture* capture = stream->capture;
  std::vector<char> joined(capture->nodes.size());
  std::vector<std::size_t> todo = stream->frontier;
  while (!todo.empty()) {
    const std::size_t n = todo.back();
    todo.pop_back();
    if (joined[n]) continue;
    joined[n] = 1;
    todo.insert(todo.end(), capture->nodes[n].after.begin(), capture->nodes[n].after.end());
  }
  capture->frontier = stream->frontier;
  for (CUstream_st* other : queue().streams)
    if (other->capture == capture) other->capture = nullptr, other->origin = false, other->frontier.clear();
  auto* owner = reinterpret_cast<CUgraph_st*>(capture);  // its first member
  if (std::find(joined.begin(), joined.end(), 0) != joined.end()) {
    delete owner;
    return remember(cudaErrorStreamCaptureUnjoined);
  }
  *graph = owner;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* runnable, cudaGraph_t graph, unsigned long long) {
  *runnable = new CUgraphExec_st{graph->capture, {}};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t runnable, cudaStream_t stream) {
  if (lost_device()) return lost_device();
  if (!stream || stream->capture) return invalid();
  ++runtime_counts().graphs;
  std::vector<Ptr> made;
  std::vector<Ptr> first = stream->last;
  first.insert(first.end(), runnable->last.begin(), runnable->last.end());
  for (const Node& node : runnable->capture.nodes) {
    std::vector<Ptr> after;
    for (const std::size_t n : node.after) after.push_back(made[n]);
    if (after.empty()) after = first;
    if (node.wait) after.insert(after.end(), node.wait->last.begin(), node.wait->last.end());
    made.push_back(ask(node.work, after, node.ready));
    if (node.record) {
      node.record->capture = nullptr;
      node.record->last = {made.back()};
    }
  }
  if (!made.empty()) {
    runnable->last.clear();
    for (const std::size_t n : runnable->capture.frontier) runnable->last.push_back(made[n]);
    stream->last = runnable->last;
  }
  run_ahead();
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t runnable) {
  delete runnable;
  return cudaSuccess;
}

}  // extern "C"
