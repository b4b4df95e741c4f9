// A training run on the device: weights, moments and their average stay there, a step is one graph.
//
// Two sets of inputs, each with a stream, a graph and events of its own. While the step of one set computes,
// the host fills the other's pinned buffers and its graph copies them: only then does it wait for the step
// before
// (`done`, an external event of the graph). The numbers that change from step to step lie in a small buffer
// that travels with the batch, so a graph is made once.
#include <algorithm>
#include <array>
#include <string>

#include "kernels/cuda/body.hpp"

namespace emisopt::kernels::cuda {

class CudaTraining final : public Training {
 public:
  CudaTraining(CudaProgram& program, const TrainingOptions& options);
  ~CudaTraining() override;
  void put(const TrainingArrays<const float>& arrays) override;
  void get(const TrainingArrays<float>& arrays) override;
  void step(float rate, float keep, std::int64_t step, bool vote) override;
  int in_flight() const override { return in_flight_; }
  TrainingStep finish() override;

 private:
  using Buffers = CudaProgram::Buffers;
  struct Set {
    Buffers host, device;
    UpdateStep *step = nullptr, *device_step = nullptr;  // step: pinned
    StepVerdict* verdict = nullptr;                      // pinned
    Stream stream;
    Graph graph;
    Event copied, done;
  };

  // f(member of Buffers, scalars) for every input that the program has.
  template <class F>
  void for_each_input(F f) const;
  void lay_out();
  void show(int set);
  void pass(Set& set);
  void expect_idle(const char* where) const;

  CudaProgram& program_;
  TrainingOptions options_;
  std::size_t count_;
  Block device_{Block::Where::device}, pinned_{Block::Where::pinned};
  float *theta_ = nullptr, *m_ = nullptr, *v_ = nullptr, *shadow_ = nullptr;
  float *mask_ = nullptr, *anchor_ = nullptr, *fisher_ = nullptr;
  unsigned char* moves_ = nullptr;
  double *partial_ = nullptr, *norm2_ = nullptr;
  StepVerdict* verdict_ = nullptr;
  double* sums_ = nullptr;  // with processes in a group: the loss's parts over all of them, and their votes
  std::array<Set, 2> sets_;
  int next_ = 0, in_flight_ = 0;
  std::uint64_t loads_ = 0;  // of the program, when its weights were last ours
  bool is_current_ = false;  // the program's weights are ours
};

template <class F>
void CudaTraining::for_each_input(F f) const {
  const CudaProgram& p = program_;
  const OpList& ops = p.plan_.ops;
  const std::size_t out = p.size(kFuture, ops.quantiles),
                    steps = static_cast<std::size_t>(p.grid(kFuture).count());
  const auto put = [&](float* Buffers::* what, std::size_t count) {
    if (p.device_buffers_.*what) f(what, count);
  };
  if (ops.history >= 0) put(&Buffers::history, p.size(kHistory, ops.history));
  put(&Buffers::future, p.size(kFuture, ops.future));
  put(&Buffers::target, steps * at(ops.outputs));
  put(&Buffers::weight, steps * at(ops.outputs));
  put(&Buffers::teacher, out);
  put(&Buffers::teacher_weight, out);
  if (p.plan_.hidden) put(&Buffers::hidden_target, p.size(kFuture, ops.hidden));
  put(&Buffers::hidden_weight, steps);
}

CudaTraining::CudaTraining(CudaProgram& program, const TrainingOptions& options)
    : program_(program), options_(options), count_(program.plan_.ops.parameter_count()) {
  if ((options.l2sp > 0 || options.ewc > 0) && !options.anchor)
    throw InputError("Program.training: expected `anchor` with l2sp or ewc, got none");
  if (options.ewc > 0 && !options.fisher)
    throw InputError("Program.training: expected `fisher` with ewc, got none");
  if (!program.on_device_.empty()) {  // every step copies its batch from the host
    program.on_device_.clear();
    program.graph_.forget();
  }
  sets_[0].host = program.host_;
  sets_[0].device = program.device_buffers_;
  sets_[1].host = program.host_;
  sets_[1].device = program.device_buffers_;
  lay_out();  // measures
  pinned_.allocate();
  device_.allocate();
  lay_out();
  const auto copy = [&](float* to, const float* from) {
    if (from)
      expect(cudaMemcpy(to, from, count_ * sizeof(float), cudaMemcpyHostToDevice), "Program.training");
  };
  copy(mask_, options.decay_mask);
  copy(anchor_, options.anchor);
  copy(fisher_, options.fisher);
  if (moves_) {
    std::vector<unsigned char> moves(count_, 0);
    for (const Range& range : trainable_ranges(program.plan_.ops, options.trainable))
      std::fill_n(moves.begin() + static_cast<std::ptrdiff_t>(range.offset), range.count, 1);
    expect(cudaMemcpy(moves_, moves.data(), count_, cudaMemcpyHostToDevice), "Program.training");
  }
  for (Set& set : sets_) {  // a graph's wait for an event needs one that was recorded
    expect(cudaEventRecord(set.copied, set.stream), "Program.training");
    expect(cudaEventRecord(set.done, set.stream), "Program.training");
  }
  expect(cudaDeviceSynchronize(), "Program.training");
  show(0);
  ++program.trainings_;
}

CudaTraining::~CudaTraining() {
  for (const Set& set : sets_) {
    try {
      if (program_.group_) program_.group_->wait(set.done);  // who waits in vain ends what is under way
    } catch (const std::exception&) {
    }
    cudaEventSynchronize(set.done);
  }
  show(0);
  --program_.trainings_;
}

void CudaTraining::lay_out() {
  const auto floats = [&](float*& x, bool wanted) { x = wanted ? device_.take<float>(count_) : nullptr; };
  floats(theta_, true), floats(m_, true), floats(v_, true), floats(shadow_, true);
  floats(mask_, options_.decay_mask), floats(anchor_, options_.anchor), floats(fisher_, options_.fisher);
  moves_ = options_.trainable.empty() ? nullptr : device_.take<unsigned char>(count_);
  partial_ = device_.take<double>(at(norm_blocks(static_cast<long>(count_))));
  norm2_ = device_.take<double>(1);
  verdict_ = device_.take<StepVerdict>(1);
  sums_ = program_.group_ ? device_.take<double>(LossWeights::kParts + 1) : nullptr;
  for (Set& set : sets_) {
    set.device_step = device_.take<UpdateStep>(1);
    set.step = pinned_.take<UpdateStep>(1);
    set.verdict = pinned_.take<StepVerdict>(1);
  }
  Set& second = sets_[1];  // the first has the program's own
  for_each_input([&](float* Buffers::* what, std::size_t count) {
    second.host.*what = pinned_.take<float>(count);
    second.device.*what = device_.take<float>(count);
  });
}

// The program's buffers are those of `set` from now on.
void CudaTraining::show(int set) {
  CudaProgram& p = program_;
  const OpList& ops = p.plan_.ops;
  p.host_ = sets_[at(set)].host;
  p.device_buffers_ = sets_[at(set)].device;
  if (ops.history >= 0) p.value_[kHistory][at(ops.history)] = p.device_buffers_.history;
  p.value_[kFuture][at(ops.future)] = p.device_buffers_.future;
  p.set_ = set;
}

void CudaTraining::expect_idle(const char* where) const {
  if (in_flight_ == 0) return;
  throw StateError(std::string("Training.") + where + ": expected no step in flight, got " +
                   std::to_string(in_flight_) + "; call finish() for each");
}

void CudaTraining::put(const TrainingArrays<const float>& arrays) {
  expect_idle("put");
  const auto copy = [&](float* to, const float* from) {
    expect(cudaMemcpy(to, from, count_ * sizeof(float), cudaMemcpyHostToDevice), "Training.put");
  };
  copy(theta_, arrays.theta);
  copy(m_, arrays.m);
  copy(v_, arrays.v);
  copy(shadow_, arrays.shadow);
  expect(cudaMemset(verdict_, 0, sizeof(StepVerdict)), "Training.put");
  expect(cudaDeviceSynchronize(), "Training.put");  // these went to the default stream
  is_current_ = false;
}

void CudaTraining::get(const TrainingArrays<float>& arrays) {
  expect_idle("get");
  const auto copy = [&](float* to, const float* from) {
    if (to) expect(cudaMemcpy(to, from, count_ * sizeof(float), cudaMemcpyDeviceToHost), "Training.get");
  };
  copy(arrays.theta, theta_);
  copy(arrays.m, m_);
  copy(arrays.v, v_);
  copy(arrays.shadow, shadow_);
}

// What a step does on the device, in the order of its stream.
void CudaTraining::pass(Set& set) {
  CudaProgram& p = program_;
  p.all_inputs();
  expect(cudaMemcpyAsync(set.device_step, set.step, sizeof(UpdateStep), cudaMemcpyHostToDevice, set.stream),
         "Training.step");
  expect(cudaEventRecordWithFlags(set.copied, set.stream, cudaEventRecordExternal), "Training.step");
  const Set& other = &set == sets_.data() ? sets_[1] : sets_[0];
  expect(cudaStreamWaitEvent(set.stream, other.done, cudaEventWaitExternal), "Training.step");
  p.add_corrections();
  p.pack_weights();
  for (const Node& node : p.plan_.nodes) p.forward(node);
  p.begin_backward();
  p.slopes();
  const auto d = [](float x) { return static_cast<double>(x); };
  const CompileOptions& o = p.options_;
  const LossWeights weights{
      {1, d(o.multiscale), d(o.distill), d(o.distill_multiscale), p.plan_.hidden ? d(o.hidden) : 0}};
  squared_norm(norm2_, partial_, p.device_buffers_.gradient, static_cast<long>(count_), set.stream);
  if (p.group_) {
    constexpr int kParts = LossWeights::kParts;
    window_sums(sums_, p.device_buffers_.losses, kParts, p.plan_.shapes.batch, &set.device_step->vote,
                set.stream);
    p.group_->sum_on_device(sums_, kParts + 1, p.sum_scratch_, set.stream);
    verdict(verdict_, sums_, 1, weights, norm2_, options_.clip, set.stream, sums_ + kParts);
  } else {
    verdict(verdict_, p.device_buffers_.losses, p.plan_.shapes.batch, weights, norm2_, options_.clip,
            set.stream);
  }
  update({theta_, m_, v_, p.device_buffers_.gradient, mask_, anchor_, fisher_, moves_, p.theta_, shadow_},
         count_, set.device_step, verdict_, set.stream);
  expect(cudaMemcpyAsync(set.verdict, verdict_, sizeof(StepVerdict), cudaMemcpyDeviceToHost, set.stream),
         "Training.step");
  expect(cudaEventRecordWithFlags(set.done, set.stream, cudaEventRecordExternal), "Training.step");
}

void CudaTraining::step(float rate, float keep, std::int64_t step, bool vote) {
  if (in_flight_ == 2)
    throw StateError("Training.step: expected at most one step in flight, got two; call finish()");
  CudaProgram& p = program_;
  Set& set = sets_[at(next_)];
  AdamW adam;
  adam.rate = rate, adam.beta1 = options_.beta1, adam.beta2 = options_.beta2, adam.eps = options_.eps;
  adam.decay = options_.decay, adam.l2sp = options_.l2sp, adam.ewc = options_.ewc, adam.step = step;
  *set.step = update_step(adam, options_.average ? keep : -1.0f);
  set.step->vote = vote ? 1.0f : 0.0f;
  if (!is_current_ || loads_ != p.loads_) {  // others loaded weights: no step is in flight
    expect(cudaMemcpyAsync(p.theta_, theta_, count_ * sizeof(float), cudaMemcpyDeviceToDevice, set.stream),
           "Training.step");
    is_current_ = true;
    loads_ = p.loads_;
  }
  struct Stream {  // the program's work goes to the set's stream while it is captured
    CudaProgram& p;
    ~Stream() { p.stream_ = p.own_stream_; }
  } back{p};
  p.stream_ = set.stream;
  p.in_graph(set.graph, [&] { pass(set); });
  ++in_flight_;
  next_ = 1 - next_;
  // The host may write there at once: the copy of the step before last has read it.
  expect(cudaEventSynchronize(sets_[at(next_)].copied), "Training.step");
  show(next_);
}

TrainingStep CudaTraining::finish() {
  if (in_flight_ == 0)
    throw StateError("Training.finish: expected a step in flight, got none; call step() first");
  const Set& set = sets_[at(in_flight_ == 2 ? next_ : 1 - next_)];
  if (program_.group_) program_.group_->wait(set.done);
  expect(cudaEventSynchronize(set.done), "Training.finish");
  expect(cudaGetLastError(), "Training.finish");
  --in_flight_;
  const StepVerdict& v = *set.verdict;
  return {v.loss,
          v.norm,
          {v.parts[0], v.parts[1], v.parts[2], v.parts[3], v.parts[4]},
          v.stopped == 0,
          static_cast<int>(v.votes)};
}

std::unique_ptr<Training> CudaProgram::training(const TrainingOptions& options) {
  if (!train()) throw StateError("Program.training: expected a train program, got another one");
  return std::make_unique<CudaTraining>(*this, options);
}

}  // namespace emisopt::kernels::cuda
