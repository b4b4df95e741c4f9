#include "kernels/cuda/program.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "emisopt/base/error.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/memory.hpp"
#include "kernels/plan.hpp"

namespace emisopt::kernels::cuda {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

class CudaProgram final : public Program<float> {
 public:
  CudaProgram(Plan plan, const CompileOptions& options);
  ~CudaProgram() override;

  void load(const float* theta) override;
  float* history() override { return host_.history; }
  float* future() override { return host_.future; }
  const float* quantiles() override { return host_.quantiles; }
  float* seed() override { return host_.seed; }
  const float* future_gradient() override { return host_.future_gradient; }
  const float* jacobian() override { return nullptr; }
  float* direction() override { return nullptr; }
  const float* tangent() override { return nullptr; }
  float* target() override { return host_.target; }
  float* weight() override { return host_.weight; }
  const float* gradient() override { return host_.gradient; }
  double loss() override { return loss_; }
  LossParts loss_parts() override { return parts_; }
  const LossParts* window_parts() override { return window_parts_.data(); }
  float* teacher() override { return host_.teacher; }
  float* teacher_weight() override { return host_.teacher_weight; }
  const float* hidden() override { return host_.hidden; }
  float* hidden_target() override { return host_.hidden_target; }
  float* hidden_weight() override { return host_.hidden_weight; }
  void run_context() override;
  void run() override;
  Slots<float> slots() override {
    return train() ? Slots<float>{1, plan_.ops.parameter_count(), host_.gradient, window_parts_.data()}
                   : Slots<float>{};
  }
  void run_slots(int first, int last) override;
  void join_slots() override;
  Cost cost() const override { return {plan_.flop(0), device_.bytes()}; }
  Isa isa() const override { return Isa::cuda; }

 private:
  /// What the caller reads and writes, and its twin on the device. Null: the mode has none.
  struct Buffers {
    float *history = nullptr, *future = nullptr, *quantiles = nullptr, *seed = nullptr, *future_gradient = nullptr;
    float *target = nullptr, *weight = nullptr, *gradient = nullptr, *teacher = nullptr, *teacher_weight = nullptr;
    float *hidden = nullptr, *hidden_target = nullptr, *hidden_weight = nullptr;
    double* losses = nullptr;  // (kLossParts, batch)
  };
  enum { kLabel, kMultiscale, kDistill, kDistillMultiscale, kHidden, kLossParts };

  bool train() const { return plan_.mode == Mode::train; }
  int rows(Part part) const { return plan_.rows(part); }
  int windows(Part part) const { return part == kHistory && !train() ? 1 : plan_.shapes.batch; }
  Grid grid(Part part) const { return {windows(part), rows(part)}; }
  std::size_t size(Part part, int id) const {
    return static_cast<std::size_t>(grid(part).count()) * at(plan_.width(id));
  }
  const Op& op(const Node& node) const { return plan_.op(node); }
  std::size_t index_of(const Node& node) const { return static_cast<std::size_t>(&node - plan_.nodes.data()); }

  void lay_out(Block& block, Buffers& b);
  void lay_out_values();
  void fill_rope_tables();
  View<float> value(Part part, int id) const {
    return {value_[part][at(id)], static_cast<long>(rows(part)) * plan_.width(id)};
  }
  View<float> slope(Part part, int id) const {
    return {slope_[part][at(id)], static_cast<long>(rows(part)) * plan_.width(id)};
  }
  float* parameter(int id) const { return id < 0 ? nullptr : theta_ + plan_.ops.parameters[at(id)].offset; }
  float* weight_slope(int id) const {
    return train() && plan_.trains(id) ? device_buffers_.gradient + plan_.ops.parameters[at(id)].offset : nullptr;
  }
  /// A linear op's weight, its correction added.
  const float* matrix(const Op& op) const { return op.lora_a < 0 ? parameter(op.w) : corrected_[at(op.w)]; }

  void add_corrections();
  Attention<float> attention(const Node& node) const;
  void forward(const Node& node);
  void backward(const Node& node);
  void linear_backward(const Node& node, View<float> dx, View<const float> dy);
  void correction_slopes(const Op& op, Grid g, View<const float> x, View<const float> dy);
  void losses();
  void to_device(float* Buffers::*what, std::size_t count);
  void to_host(float* Buffers::*what, std::size_t count);
  void all_inputs();
  void pass();
  void finish(const char* where);
  /// Runs `work` as a graph that is captured when first asked for.
  void in_graph(cudaGraphExec_t& graph, const std::function<void()>& work);
  void zero(float* data, std::size_t count) {
    expect(cudaMemsetAsync(data, 0, count * sizeof(float), stream_), "Program.run");
  }

  Plan plan_;
  CompileOptions options_;
  cudaStream_t stream_ = nullptr;
  cudaGraphExec_t graph_ = nullptr, context_graph_ = nullptr;
  Block device_{Block::Where::device}, pinned_{Block::Where::pinned};
  Buffers host_, device_buffers_;
  float* theta_ = nullptr;
  float* staged_theta_ = nullptr;         // pinned
  std::vector<float*> corrected_;         // by parameter: weights with a correction
  std::vector<float*> cosine_, sine_;     // by op: (history + future, head_dim / 2)
  std::vector<float*> saved_;             // by node: rstd, log sum exp
  std::vector<float*> value_[kParts], slope_[kParts];  // by value id
  float *scratch_ = nullptr, *dots_ = nullptr, *whole_slope_ = nullptr;
  float *taus_ = nullptr, *level_weights_ = nullptr;
  int* scales_ = nullptr;
  double *weight_sum_ = nullptr, *teacher_sum_ = nullptr, *hidden_sum_ = nullptr;
  std::vector<LossParts> window_parts_;
  LossParts parts_;
  double loss_ = 0;
  bool loaded_ = false, cached_ = false;
};

CudaProgram::CudaProgram(Plan plan, const CompileOptions& options)
    : plan_(std::move(plan)), options_(options), window_parts_(train() ? at(plan_.shapes.batch) : 0) {
  // Twice: the first pass measures.
  for (const bool measure : {true, false}) {
    lay_out(pinned_, host_);
    lay_out(device_, device_buffers_);
    staged_theta_ = pinned_.take<float>(plan_.ops.parameter_count());
    lay_out_values();
    if (!measure) break;
    pinned_.allocate();
    device_.allocate();
  }
  expect(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "compile for CUDA");
  fill_rope_tables();
  const auto copy = [&](auto* to, const auto& from) {
    if (!from.empty())
      expect(cudaMemcpy(to, from.data(), from.size() * sizeof(from[0]), cudaMemcpyHostToDevice), "compile for CUDA");
  };
  if (!train()) return;
  copy(taus_, options_.levels);
  copy(level_weights_, options_.level_weights);
  copy(scales_, options_.scales);
}

CudaProgram::~CudaProgram() {
  if (graph_) cudaGraphExecDestroy(graph_);
  if (context_graph_) cudaGraphExecDestroy(context_graph_);
  if (stream_) cudaStreamDestroy(stream_);
}

void CudaProgram::lay_out(Block& block, Buffers& b) {
  const OpList& ops = plan_.ops;
  const std::size_t out = size(kFuture, ops.quantiles), steps = static_cast<std::size_t>(grid(kFuture).count());
  if (ops.history >= 0) b.history = block.take<float>(size(kHistory, ops.history));
  b.future = block.take<float>(size(kFuture, ops.future));
  b.quantiles = block.take<float>(out);
  if (plan_.hidden) b.hidden = block.take<float>(size(kFuture, ops.hidden));
  if (plan_.mode == Mode::vjp) {
    b.seed = block.take<float>(out);
    b.future_gradient = block.take<float>(size(kFuture, ops.future));
  }
  if (!train()) return;
  b.target = block.take<float>(steps * at(ops.outputs));
  b.weight = block.take<float>(steps * at(ops.outputs));
  b.gradient = block.take<float>(ops.parameter_count());
  b.losses = block.take<double>(kLossParts * at(plan_.shapes.batch));
  if (options_.distill > 0 || options_.distill_multiscale > 0) {
    b.teacher = block.take<float>(out);
    b.teacher_weight = block.take<float>(out);
  }
  if (plan_.hidden) {
    b.hidden_target = block.take<float>(size(kFuture, ops.hidden));
    b.hidden_weight = block.take<float>(steps);
  }
}

void CudaProgram::lay_out_values() {
  const OpList& ops = plan_.ops;
  theta_ = device_.take<float>(ops.parameter_count());
  corrected_.assign(ops.parameters.size(), nullptr);
  cosine_.assign(ops.ops.size(), nullptr);
  sine_.assign(ops.ops.size(), nullptr);
  saved_.assign(plan_.nodes.size(), nullptr);
  for (const Part part : {kHistory, kFuture}) {
    value_[part].assign(ops.values.size(), nullptr);
    slope_[part].assign(ops.values.size(), nullptr);
    for (int id = 0; id < static_cast<int>(ops.values.size()); ++id) {
      const ValueState& state = plan_.state(part, id);
      const bool own = id == ops.history || id == ops.future || id == ops.quantiles ||
                       (id == ops.hidden && plan_.hidden && part == kFuture);
      if (state.live && !own) value_[part][at(id)] = device_.take<float>(size(part, id));
      if (state.gradient) slope_[part][at(id)] = device_.take<float>(size(part, id));
    }
  }
  Buffers& b = device_buffers_;
  if (ops.history >= 0) value_[kHistory][at(ops.history)] = b.history;
  value_[kFuture][at(ops.future)] = b.future;
  value_[kFuture][at(ops.quantiles)] = b.quantiles;
  if (plan_.hidden) value_[kFuture][at(ops.hidden)] = b.hidden;
  if (plan_.mode == Mode::vjp) {
    slope_[kFuture][at(ops.quantiles)] = b.seed;
    slope_[kFuture][at(ops.future)] = b.future_gradient;
  }
  std::size_t scratch = 0, dots = 0, whole = 0;
  for (const Node& node : plan_.nodes) {
    const Op& o = op(node);
    const Grid g = grid(node.part);
    const auto count = static_cast<std::size_t>(g.count());
    const int k = plan_.width(o.x), n = plan_.width(o.y);
    const auto partials = static_cast<std::size_t>(norm_partials(g)) * at(std::max(k, n));
    if (o.kind == OpKind::rmsnorm) saved_[index_of(node)] = device_.take<float>(count);
    if (o.kind == OpKind::rmsnorm && train()) scratch = std::max(scratch, partials);
    if (o.kind == OpKind::attention) {
      saved_[index_of(node)] = device_.take<float>(count * at(o.heads));
      dots = std::max(dots, count * at(o.heads));
    }
    if (o.kind == OpKind::linear) {
      if (o.lora_a >= 0 && !corrected_[at(o.w)])
        corrected_[at(o.w)] = device_.take<float>(plan_.ops.parameters[at(o.w)].size());
      if (train()) scratch = std::max({scratch, partials, gemm_partials(g, k, n), at(k) * at(n)});
      if (o.lora_a >= 0 && train()) whole = std::max(whole, at(k) * at(n));
    }
    if (o.kind == OpKind::rope && !cosine_[at(node.op)]) {
      const std::size_t angles = at(rows(kHistory) + rows(kFuture)) * at(o.head_dim / 2);
      cosine_[at(node.op)] = device_.take<float>(angles);
      sine_[at(node.op)] = device_.take<float>(angles);
    }
  }
  scratch_ = device_.take<float>(scratch);
  dots_ = device_.take<float>(dots);
  whole_slope_ = device_.take<float>(whole);
  if (!train()) return;
  taus_ = device_.take<float>(options_.levels.size());
  level_weights_ = device_.take<float>(options_.level_weights.size());
  scales_ = device_.take<int>(options_.scales.size());
  weight_sum_ = device_.take<double>(1);
  teacher_sum_ = device_.take<double>(1);
  hidden_sum_ = device_.take<double>(1);
}

void CudaProgram::fill_rope_tables() {
  for (std::size_t i = 0; i < plan_.ops.ops.size(); ++i) {
    if (!cosine_[i]) continue;
    const Op& o = plan_.ops.ops[i];
    const int half = o.head_dim / 2, all = rows(kHistory) + rows(kFuture);
    std::vector<float> cosine(at(all) * at(half)), sine(cosine.size());
    for (int r = 0; r < all; ++r)
      for (int c = 0; c < half; ++c) {
        const double angle = r * std::pow(static_cast<double>(o.rope_base), -2.0 * c / o.head_dim);
        cosine[at(r) * at(half) + at(c)] = static_cast<float>(std::cos(angle));
        sine[at(r) * at(half) + at(c)] = static_cast<float>(std::sin(angle));
      }
    const std::size_t bytes = cosine.size() * sizeof(float);
    expect(cudaMemcpy(cosine_[i], cosine.data(), bytes, cudaMemcpyHostToDevice), "compile for CUDA");
    expect(cudaMemcpy(sine_[i], sine.data(), bytes, cudaMemcpyHostToDevice), "compile for CUDA");
  }
}

void CudaProgram::load(const float* theta) {
  const std::size_t bytes = plan_.ops.parameter_count() * sizeof(float);
  expect(cudaStreamSynchronize(stream_), "Program.load");  // the copy before may still read
  std::memcpy(staged_theta_, theta, bytes);
  expect(cudaMemcpyAsync(theta_, staged_theta_, bytes, cudaMemcpyHostToDevice, stream_), "Program.load");
  add_corrections();
  loaded_ = true;
  cached_ = train() || rows(kHistory) == 0;
}

// w + A B, once per load.
void CudaProgram::add_corrections() {
  std::vector<bool> done(plan_.ops.parameters.size());
  for (const Node& node : plan_.nodes) {
    const Op& o = op(node);
    if (o.kind != OpKind::linear || o.lora_a < 0 || done[at(o.w)]) continue;
    done[at(o.w)] = true;
    const int k = plan_.width(o.x), n = plan_.width(o.y), rank = plan_.rank(o);
    float* sum = corrected_[at(o.w)];
    expect(cudaMemcpyAsync(sum, parameter(o.w), at(k) * at(n) * sizeof(float), cudaMemcpyDeviceToDevice, stream_),
           "Program.load");
    gemm({sum, 0}, {parameter(o.lora_a), 0}, parameter(o.lora_b), false, nullptr, {1, k}, n, rank, true, stream_);
  }
}

Attention<float> CudaProgram::attention(const Node& node) const {
  const Op& o = op(node);
  Attention<float> a;
  a.windows = windows(node.part);
  a.rows = rows(node.part);
  a.heads = o.heads, a.kv_heads = o.kv_heads, a.head_dim = o.head_dim;
  a.x = value(node.part, o.x);
  if (plan_.has_past(node)) {
    a.past = rows(kHistory);
    a.past_x = value(kHistory, o.x);
    if (!train()) a.past_x.window = 0;  // one history, all plans
  }
  return a;
}

void CudaProgram::forward(const Node& node) {
  const Op& o = op(node);
  const Part part = node.part;
  const Grid g = grid(part);
  const int x_width = plan_.width(o.x), y_width = plan_.width(o.y);
  const View<float> x = value(part, o.x), y = value(part, o.y);
  switch (o.kind) {
    case OpKind::linear:
      gemm(y, x, matrix(o), false, parameter(o.b), g, y_width, x_width, false, stream_);
      break;
    case OpKind::rmsnorm:
      rmsnorm_forward<float>(y, saved_[index_of(node)], x, parameter(o.w), g, x_width, o.eps, stream_);
      break;
    case OpKind::rope: {
      const long first = static_cast<long>(part == kFuture ? rows(kHistory) : 0) * (o.head_dim / 2);
      rope<float>(y, x, cosine_[at(node.op)] + first, sine_[at(node.op)] + first, g, x_width, o.heads, o.head_dim,
                  false, false, stream_);
      break;
    }
    case OpKind::attention:
      attention_forward<float>(y, saved_[index_of(node)], attention(node), stream_);
      break;
    case OpKind::swiglu:
      swiglu_forward<float>(y, x, g, y_width, stream_);
      break;
    case OpKind::add:
      add<float>(y, x, value(part, o.x2), g, x_width, stream_);
      break;
    case OpKind::quantiles:
      quantiles_forward(y, x, g, o.outputs, o.levels, o.middle, stream_);
      break;
  }
}

void CudaProgram::backward(const Node& node) {
  const Op& o = op(node);
  const Part part = node.part;
  const Grid g = grid(part);
  const int x_width = plan_.width(o.x), y_width = plan_.width(o.y);
  const View<const float> x = value(part, o.x), dy = slope(part, o.y);
  const auto input = [&](const Flow& flow, int id) -> View<float> {
    if (!flow.wanted) return {};
    if (flow.zero) zero(slope(part, id).data, size(part, id));
    return slope(part, id);
  };
  const View<float> dx = input(node.x, o.x);
  const bool accumulate = !node.x.assign;
  switch (o.kind) {
    case OpKind::linear:
      linear_backward(node, dx, dy);
      break;
    case OpKind::rmsnorm: {
      float* dw = weight_slope(o.w);
      rmsnorm_backward<float>(dx, dw ? scratch_ : nullptr, dy, x, saved_[index_of(node)], parameter(o.w), g, x_width,
                              accumulate, stream_);
      if (dw) add_partials(dw, scratch_, norm_partials(g), x_width, true, stream_);
      break;
    }
    case OpKind::rope: {
      const long first = static_cast<long>(part == kFuture ? rows(kHistory) : 0) * (o.head_dim / 2);
      if (dx.data)
        rope<float>(dx, dy, cosine_[at(node.op)] + first, sine_[at(node.op)] + first, g, x_width, o.heads, o.head_dim,
                    true, accumulate, stream_);
      break;
    }
    case OpKind::attention: {
      if (!dx.data) break;
      View<float> dpast;
      if (node.past.wanted) {
        dpast = slope(kHistory, o.x);
        if (node.past.zero) zero(dpast.data, size(kHistory, o.x));
      }
      attention_backward<float>(dx, dpast, dy, value(part, o.y), saved_[index_of(node)], dots_, attention(node),
                                stream_);
      break;
    }
    case OpKind::swiglu:
      if (dx.data) swiglu_backward<float>(dx, dy, x, g, y_width, accumulate, stream_);
      break;
    case OpKind::add: {
      const auto pass_on = [&](View<float> to, const Flow& flow) {
        if (!to.data) return;
        if (flow.assign)
          expect(cudaMemcpyAsync(to.data, dy.data, size(part, o.y) * sizeof(float), cudaMemcpyDeviceToDevice, stream_),
                 "Program.run");
        else
          add<float>(to, dy, {}, g, x_width, stream_);
      };
      pass_on(dx, node.x);
      pass_on(input(node.x2, o.x2), node.x2);
      break;
    }
    case OpKind::quantiles:
      if (dx.data)
        quantiles_backward(dx, dy, x, g, o.outputs, o.levels, o.middle, accumulate, stream_);
      break;
  }
}

void CudaProgram::linear_backward(const Node& node, View<float> dx, View<const float> dy) {
  const Op& o = op(node);
  const Grid g = grid(node.part);
  const int x_width = plan_.width(o.x), y_width = plan_.width(o.y);
  const View<const float> x = value(node.part, o.x);
  if (dx.data) gemm(dx, dy, matrix(o), true, nullptr, g, x_width, y_width, !node.x.assign, stream_);
  if (float* dw = weight_slope(o.w)) gemm_over_rows(dw, scratch_, x, dy, g, x_width, y_width, true, stream_);
  if (train() && plan_.adapts(o)) correction_slopes(o, g, x, dy);
  if (float* db = weight_slope(o.b)) column_sum(db, scratch_, dy, g, y_width, true, stream_);
}

// dA = dW Bᵀ, dB = Aᵀ dW, by way of the whole weight's gradient.
void CudaProgram::correction_slopes(const Op& o, Grid g, View<const float> x, View<const float> dy) {
  const int k = plan_.width(o.x), n = plan_.width(o.y), rank = plan_.rank(o);
  gemm_over_rows(whole_slope_, scratch_, x, dy, g, k, n, false, stream_);
  if (float* da = weight_slope(o.lora_a))
    gemm({da, 0}, {whole_slope_, 0}, parameter(o.lora_b), true, nullptr, {1, k}, rank, n, true, stream_);
  if (float* db = weight_slope(o.lora_b))
    gemm_over_rows(db, scratch_, {parameter(o.lora_a), 0}, {whole_slope_, 0}, {1, k}, rank, n, true, stream_);
}

// Values of the loss by window, and where its gradient enters the network.
void CudaProgram::losses() {
  const OpList& ops = plan_.ops;
  const Buffers& b = device_buffers_;
  const Grid g = grid(kFuture);
  const int out = plan_.width(ops.quantiles), batch = plan_.shapes.batch;
  float* dq = slope_[kFuture][at(ops.quantiles)];
  const auto part = [&](int which) { return b.losses + which * batch; };
  double levels = 0;
  for (const float w : options_.level_weights) levels += static_cast<double>(w);
  const LossKernel label{options_.loss, ops.outputs, ops.levels, ops.middle, taus_,
                         static_cast<double>(options_.huber_delta), options_.level_weights.empty() ? nullptr : level_weights_,
                         levels};
  const int scale_count = static_cast<int>(options_.scales.size());
  positive_sum(weight_sum_, b.weight, g.count() * ops.outputs, stream_);
  label_loss(dq, part(kLabel), b.quantiles, b.target, b.weight, weight_sum_, g, label, stream_);
  if (options_.multiscale > 0)
    pooled_distance(dq, part(kMultiscale), b.quantiles, b.target, b.weight, weight_sum_, g,
                    {scales_, scale_count, ops.outputs, out, ops.middle, ops.levels},
                    static_cast<double>(options_.multiscale), stream_);
  if (b.teacher) positive_sum(teacher_sum_, b.teacher_weight, g.count() * out, stream_);
  if (options_.distill > 0)
    squared_distance(dq, part(kDistill), b.quantiles, b.teacher, b.teacher_weight, teacher_sum_,
                     {g.windows, g.rows * out}, 1, static_cast<double>(options_.distill), stream_);
  if (options_.distill_multiscale > 0)
    pooled_distance(dq, part(kDistillMultiscale), b.quantiles, b.teacher, b.teacher_weight, teacher_sum_, g,
                    {scales_, scale_count, out, out, 0, 1}, static_cast<double>(options_.distill_multiscale), stream_);
  if (!plan_.hidden) return;
  float* dh = slope_[kFuture][at(ops.hidden)];
  zero(dh, size(kFuture, ops.hidden));
  positive_sum(hidden_sum_, b.hidden_weight, g.count(), stream_);
  squared_distance(dh, part(kHidden), b.hidden, b.hidden_target, b.hidden_weight, hidden_sum_, g,
                   plan_.width(ops.hidden), static_cast<double>(options_.hidden), stream_);
}

void CudaProgram::to_device(float* Buffers::*what, std::size_t count) {
  if (host_.*what)
    expect(cudaMemcpyAsync(device_buffers_.*what, host_.*what, count * sizeof(float), cudaMemcpyHostToDevice, stream_),
           "Program.run");
}
void CudaProgram::to_host(float* Buffers::*what, std::size_t count) {
  if (host_.*what)
    expect(cudaMemcpyAsync(host_.*what, device_buffers_.*what, count * sizeof(float), cudaMemcpyDeviceToHost, stream_),
           "Program.run");
}

void CudaProgram::all_inputs() {
  const OpList& ops = plan_.ops;
  const std::size_t out = size(kFuture, ops.quantiles), steps = static_cast<std::size_t>(grid(kFuture).count());
  if (train() && ops.history >= 0) to_device(&Buffers::history, size(kHistory, ops.history));
  to_device(&Buffers::future, size(kFuture, ops.future));
  to_device(&Buffers::seed, out);
  to_device(&Buffers::target, steps * at(ops.outputs));
  to_device(&Buffers::weight, steps * at(ops.outputs));
  to_device(&Buffers::teacher, out);
  to_device(&Buffers::teacher_weight, out);
  to_device(&Buffers::hidden_weight, steps);
  if (plan_.hidden) to_device(&Buffers::hidden_target, size(kFuture, ops.hidden));
}

// Everything that a run does on the device.
void CudaProgram::pass() {
  const OpList& ops = plan_.ops;
  all_inputs();
  for (std::size_t n = train() ? 0 : plan_.first_future; n < plan_.nodes.size(); ++n) forward(plan_.nodes[n]);
  to_host(&Buffers::quantiles, size(kFuture, ops.quantiles));
  if (plan_.hidden) to_host(&Buffers::hidden, size(kFuture, ops.hidden));
  if (train()) {
    zero(device_buffers_.gradient, ops.parameter_count());
    losses();
  }
  if (plan_.mode != Mode::infer)
    for (const int n : plan_.reverse) backward(plan_.nodes[at(n)]);
  to_host(&Buffers::gradient, ops.parameter_count());
  if (plan_.mode == Mode::vjp) to_host(&Buffers::future_gradient, size(kFuture, ops.future));
  if (train())
    expect(cudaMemcpyAsync(host_.losses, device_buffers_.losses, kLossParts * at(plan_.shapes.batch) * sizeof(double),
                           cudaMemcpyDeviceToHost, stream_),
           "Program.run");
}

void CudaProgram::in_graph(cudaGraphExec_t& graph, const std::function<void()>& work) {
  if (!graph) {
    expect(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "Program.run");
    cudaGraph_t captured = nullptr;
    try {
      work();
    } catch (...) {
      cudaStreamEndCapture(stream_, &captured);
      if (captured) cudaGraphDestroy(captured);
      throw;
    }
    expect(cudaStreamEndCapture(stream_, &captured), "Program.run");
    const cudaError_t made = cudaGraphInstantiate(&graph, captured, 0);
    cudaGraphDestroy(captured);
    expect(made, "Program.run");
  }
  expect(cudaGraphLaunch(graph, stream_), "Program.run");
}

void CudaProgram::finish(const char* where) {
  expect(cudaStreamSynchronize(stream_), where);
  expect(cudaGetLastError(), where);
}

void CudaProgram::run_context() {
  if (!loaded_) throw StateError("Program.run_context: expected weights, none came yet; call load() first");
  if (train() || rows(kHistory) == 0) return;
  in_graph(context_graph_, [this] {
    to_device(&Buffers::history, size(kHistory, plan_.ops.history));
    for (std::size_t n = 0; n < plan_.first_future; ++n) forward(plan_.nodes[n]);
  });
  finish("Program.run_context");
  cached_ = true;
}

void CudaProgram::run() {
  if (train()) {
    run_slots(0, 1);
    join_slots();
    return;
  }
  if (!cached_)
    throw StateError(loaded_ ? "Program.run: expected the history's keys and values under the weights loaded last, got "
                               "none; call run_context() after each load()"
                             : "Program.run: expected weights, none came yet; call load() first");
  in_graph(graph_, [this] { pass(); });
  finish("Program.run");
}

void CudaProgram::run_slots(int first, int last) {
  if (!loaded_) throw StateError("Program.run: expected weights, none came yet; call load() first");
  if (!train() || first < 0 || last < first || last > 1)
    throw InputError("Program.run_slots(first, last): expected slots of a train program, 0.." +
                     std::to_string(train() ? 1 : 0) + ", got " + std::to_string(first) + ".." + std::to_string(last));
  if (first == last) return;
  in_graph(graph_, [this] { pass(); });
  finish("Program.run");
  const int batch = plan_.shapes.batch;
  const double* l = host_.losses;
  for (int w = 0; w < batch; ++w)
    window_parts_[at(w)] = {l[kLabel * batch + w], l[kMultiscale * batch + w], l[kDistill * batch + w],
                            l[kDistillMultiscale * batch + w], l[kHidden * batch + w]};
}

void CudaProgram::join_slots() {
  parts_ = {};
  for (const LossParts& w : window_parts_) {
    parts_.label += w.label;
    parts_.multiscale += w.multiscale;
    parts_.distill += w.distill;
    parts_.distill_multiscale += w.distill_multiscale;
    parts_.hidden += w.hidden;
  }
  const auto d = [](float x) { return static_cast<double>(x); };
  loss_ = parts_.label + d(options_.multiscale) * parts_.multiscale + d(options_.distill) * parts_.distill +
          d(options_.distill_multiscale) * parts_.distill_multiscale + d(options_.hidden) * parts_.hidden;
}

// What only the CPU does, said before anything is allocated.
void refuse_what_is_missing(const Plan& plan, const CompileOptions& options) {
  if (plan.mode == Mode::jacobian || plan.mode == Mode::tangent)
    throw InputError("compile for CUDA: expected mode infer, vjp or train, got jacobian or tangent; the CPU has them");
  if (options.precision != Precision::float32)
    throw InputError("compile for CUDA: expected precision float32, got int8; the CPU has it");
  for (const Node& node : plan.nodes) {
    const Op& o = plan.op(node);
    if (o.kind != OpKind::attention) continue;
    Attention<float> a;
    a.rows = plan.rows(node.part);
    a.past = plan.has_past(node) ? plan.rows(kHistory) : 0;
    a.heads = o.heads, a.kv_heads = o.kv_heads, a.head_dim = o.head_dim;
    if (const char* why = attention_refusal(a))
      throw InputError("compile for CUDA: " + describe(plan.ops, at(node.op)) + " has " + why + "; the CPU has no such limit");
  }
}

}  // namespace

std::unique_ptr<Program<float>> compile(const OpList& ops, const Shapes& shapes, const CompileOptions& options) {
  validate(ops, shapes, options);
  Plan plan = make_plan(ops, shapes, options);
  refuse_what_is_missing(plan, options);
  return std::make_unique<CudaProgram>(std::move(plan), options);
}

}  // namespace emisopt::kernels::cuda
