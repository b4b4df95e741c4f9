#include "kernels/cuda/program.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "emisopt/base/error.hpp"
#include "kernels/cuda/body.hpp"

namespace emisopt::kernels::cuda {
namespace {

// Gradients or tangents that go through a product together: enough to fill a large GPU at widths of 64 and
// more, few enough to leave its memory to others.
constexpr int kRowsInHand = 8192;

}  // namespace

CudaProgram::CudaProgram(Plan plan, const CompileOptions& options, const BlasLt& library)
    : plan_(std::move(plan)),
      options_(options),
      library_(library),
      in_bf16_(options.precision == Precision::bfloat16 ? values_in_bf16(plan_) : std::vector<char>{}),
      window_parts_(train() ? at(plan_.shapes.batch) : 0),
      memory_(device_memory_of(*this)) {
  if (many()) many_ = make_many_plan(plan_, options_.seeds, kRowsInHand);
  if (train()) group_ = static_cast<NcclGroup*>(options_.group);  // the only kind, made by this library
  plan_tick();
  find_feedforwards();
  // Twice: the first pass measures.
  for (const bool measure : {true, false}) {
    lay_out(pinned_, host_);
    lay_out(device_, device_buffers_);
    lay_out_weights();
    lay_out_values();
    if (!measure) break;
    for (Block* block : {&pinned_, &device_, &weights_, &staging_}) block->allocate();
  }
  fill_rope_tables();
  fill_tick();
  fill_many();
  const auto copy = [&](auto* to, const auto& from) {
    if (!from.empty())
      expect(cudaMemcpy(to, from.data(), from.size() * sizeof(from[0]), cudaMemcpyHostToDevice),
             "compile for CUDA");
  };
  if (train()) {
    copy(taus_, options_.levels);
    copy(level_weights_, options_.level_weights);
    copy(scales_, options_.scales);
  }
  // These copies and the zeros went to the default stream, which the program's own does not wait for.
  expect(cudaDeviceSynchronize(), "compile for CUDA");
  if (measures_ && library_.refusal().empty()) {  // before any capture, where nothing can be timed
    for (const Node& node : plan_.nodes)
      if (tick_.steps.empty()) forward(node);
    if (many()) run_many();
    for (const int n : plan_.reverse)
      if (!many() && tick_.steps.empty()) backward(plan_.nodes[at(n)]);
    expect(cudaStreamSynchronize(stream_), "compile for CUDA");
  }
}

void CudaProgram::lay_out(Block& block, Buffers& b) {
  const OpList& ops = plan_.ops;
  const std::size_t out = size(kFuture, ops.quantiles),
                    steps = static_cast<std::size_t>(grid(kFuture).count());
  if (ops.history >= 0) b.history = block.take<float>(size(kHistory, ops.history));
  b.future = block.take<float>(size(kFuture, ops.future));
  b.quantiles = block.take<float>(out);
  if (plan_.hidden) b.hidden = block.take<float>(size(kFuture, ops.hidden));
  if (plan_.mode == Mode::vjp) {
    b.seed = block.take<float>(out);
    b.future_gradient = block.take<float>(size(kFuture, ops.future));
  }
  if (plan_.mode == Mode::jacobian) b.jacobian = block.take<float>(many_outputs());
  if (plan_.mode == Mode::tangent) {
    b.direction = block.take<float>(many_inputs());
    b.tangent = block.take<float>(many_outputs());
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

void CudaProgram::lay_out_weights() {
  theta_ = weights_.take<float>(plan_.ops.parameter_count());
  staged_theta_ = staging_.take<float>(plan_.ops.parameter_count());
  corrected_.assign(plan_.ops.parameters.size(), nullptr);
  rounded_.assign(plan_.ops.parameters.size(), {});
  for (const Node& node : plan_.nodes) {
    const Op& o = op(node);
    if (o.kind == OpKind::linear && o.lora_a >= 0 && !corrected_[at(o.w)])
      corrected_[at(o.w)] = weights_.take<float>(plan_.ops.parameters[at(o.w)].size());
    if (!node.int8 || rounded_[at(o.w)].packed) continue;
    const int k = plan_.width(o.x), n = plan_.width(o.y);
    rounded_[at(o.w)] = {weights_.take<std::int32_t>(at(quads_of(k)) * at(n)), weights_.take<float>(at(n))};
  }
  lay_out_bf16_weights();
}

void CudaProgram::lay_out_values() {
  const OpList& ops = plan_.ops;
  cosine_.assign(ops.ops.size(), nullptr);
  sine_.assign(ops.ops.size(), nullptr);
  saved_.assign(plan_.nodes.size(), nullptr);
  for (const Part part : {kHistory, kFuture}) {
    value_[part].assign(ops.values.size(), nullptr);
    slope_[part].assign(ops.values.size(), nullptr);
    for (int id = 0; id < static_cast<int>(ops.values.size()); ++id) {
      ValueState state = plan_.state(part, id);
      if (stays_on_chip(part, id)) state = {};
      const bool own = id == ops.history || id == ops.future || id == ops.quantiles ||
                       (id == ops.hidden && plan_.hidden && !copies_hidden() && part == kFuture);
      if (state.live && !own) value_[part][at(id)] = device_.take<std::byte>(bytes(part, id));
      if (state.gradient && !many()) slope_[part][at(id)] = device_.take<std::byte>(bytes(part, id));
    }
  }
  Buffers& b = device_buffers_;
  if (ops.history >= 0) value_[kHistory][at(ops.history)] = b.history;
  value_[kFuture][at(ops.future)] = b.future;
  value_[kFuture][at(ops.quantiles)] = b.quantiles;
  if (plan_.hidden && !copies_hidden()) value_[kFuture][at(ops.hidden)] = b.hidden;
  if (train() && copies_hidden()) hidden_slope_ = device_.take<float>(size(kFuture, ops.hidden));
  if (plan_.mode == Mode::vjp) {
    slope_[kFuture][at(ops.quantiles)] = b.seed;
    slope_[kFuture][at(ops.future)] = b.future_gradient;
  }
  std::size_t scratch = 0, dots = 0, whole = 0, rounded = 0, rounded_rows = 0;
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
    if (fused(node) && train()) scratch = std::max(scratch, feedforward_scratch(node));
    if (o.kind == OpKind::linear) {
      if (train()) scratch = std::max({scratch, partials, gemm_partials(g, k, n), at(k) * at(n)});
      if (train() && in_bf16(o)) scratch = std::max(scratch, gemm_bf16_partials(g, k, n));
      if (o.lora_a >= 0 && train()) whole = std::max(whole, at(k) * at(n));
    }
    if (node.int8) {
      rounded = std::max(rounded, count * at(quads_of(k)));
      rounded_rows = std::max(rounded_rows, count);
    }
    if (o.kind == OpKind::rope && !cosine_[at(node.op)]) {
      const std::size_t angles = at(rows(kHistory) + rows(kFuture)) * at(o.head_dim / 2);
      cosine_[at(node.op)] = device_.take<float>(angles);
      sine_[at(node.op)] = device_.take<float>(angles);
    }
  }
  scratch_ = device_.take<float>(scratch);
  if (library_.refusal().empty())
    workspace_ = {device_.take<std::byte>(workspace_bytes()), workspace_bytes()};
  dots_ = device_.take<float>(dots);
  whole_slope_ = device_.take<float>(whole);
  rounded_rows_ = device_.take<std::int32_t>(rounded);
  row_scale_ = device_.take<float>(rounded_rows);
  lay_out_tick();
  if (many()) lay_out_many();
  if (!train()) return;
  taus_ = device_.take<float>(options_.levels.size());
  level_weights_ = device_.take<float>(options_.level_weights.size());
  scales_ = device_.take<int>(options_.scales.size());
  weight_sum_ = device_.take<double>(3);  // side by side: summed over processes at once
  teacher_sum_ = weight_sum_ + 1;
  hidden_sum_ = weight_sum_ + 2;
  if (group_)
    sum_scratch_ = device_.take<std::byte>(group_->room(ops.parameter_count() * sizeof(float) + 64));
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

// Graphs keep the addresses that they were captured with, so they are captured anew. What other programs read
// here stays where it is: a program that is a source cannot become a reader.
bool CudaProgram::share(Program<float>& other) {
  auto* source = dynamic_cast<CudaProgram*>(&other);
  if (source && source->source_) source = source->source_;
  if (!source || source == this || is_source_ || !same_history(plan_, source->plan_) ||
      in_bf16_.empty() != source->in_bf16_.empty())
    return false;
  expect(cudaStreamSynchronize(stream_), "Program.share");
  expect(cudaStreamSynchronize(source->stream_), "Program.share");
  source_ = source;
  source->is_source_ = true;
  theta_ = source->theta_;
  corrected_ = source->corrected_;
  rounded_ = source->rounded_;
  bf16_theta_ = source->bf16_theta_;
  bf16_corrected_ = source->bf16_corrected_;
  value_[kHistory] = source->value_[kHistory];
  for (Graph* graph : {&graph_, &context_graph_, &ahead_graph_, &back_graph_}) graph->forget();
  weights_.release();
  staging_.release();
  fill_tick();
  return true;
}

void CudaProgram::load(const float* theta) {
  if (source_) {  // reads what the source loads, so that weights and cached history stay of one kind
    loaded_ = true;
    return;
  }
  const std::size_t bytes = plan_.ops.parameter_count() * sizeof(float);
  expect(cudaStreamSynchronize(stream_), "Program.load");  // the copy before may still read
  std::memcpy(staged_theta_, theta, bytes);
  expect(cudaMemcpyAsync(theta_, staged_theta_, bytes, cudaMemcpyHostToDevice, stream_), "Program.load");
  after_load();
}

void CudaProgram::load_from_device(const float* theta) {
  loaded_ = true;
  if (source_) return;
  expect(cudaMemcpyAsync(theta_, theta, plan_.ops.parameter_count() * sizeof(float), cudaMemcpyDeviceToDevice,
                         stream_),
         "Program.load");
  after_load();
}

void CudaProgram::after_load() {
  add_corrections();
  pack_weights();
  if (is_source_) expect(cudaStreamSynchronize(stream_), "Program.load");  // others read on streams of theirs
  loaded_ = true;
  ++loads_;
  cached_ = train() || rows(kHistory) == 0;
}

void CudaProgram::to_device(float* Buffers::* what, std::size_t count) {
  const bool is_there = std::find(on_device_.begin(), on_device_.end(), what) != on_device_.end();
  if (host_.*what && !is_there)
    expect(cudaMemcpyAsync(device_buffers_.*what, host_.*what, count * sizeof(float), cudaMemcpyHostToDevice,
                           stream_),
           "Program.run");
}
void CudaProgram::to_host(float* Buffers::* what, std::size_t count) {
  if (host_.*what)
    expect(cudaMemcpyAsync(host_.*what, device_buffers_.*what, count * sizeof(float), cudaMemcpyDeviceToHost,
                           stream_),
           "Program.run");
}

void CudaProgram::all_inputs() {
  const OpList& ops = plan_.ops;
  const std::size_t out = size(kFuture, ops.quantiles),
                    steps = static_cast<std::size_t>(grid(kFuture).count());
  if (train() && ops.history >= 0) to_device(&Buffers::history, size(kHistory, ops.history));
  to_device(&Buffers::future, size(kFuture, ops.future));
  to_device(&Buffers::seed, out);
  if (plan_.mode == Mode::tangent) to_device(&Buffers::direction, many_inputs());
  to_device(&Buffers::target, steps * at(ops.outputs));
  to_device(&Buffers::weight, steps * at(ops.outputs));
  to_device(&Buffers::teacher, out);
  to_device(&Buffers::teacher_weight, out);
  to_device(&Buffers::hidden_weight, steps);
  if (plan_.hidden) to_device(&Buffers::hidden_target, size(kFuture, ops.hidden));
}

// Everything that a run does on the device.
void CudaProgram::pass() {
  ahead();
  if (train()) begin_backward();
  if (many())
    run_many();
  else if (plan_.mode != Mode::infer)
    back();
}

void CudaProgram::ahead() {
  all_inputs();
  run_tapes(tick_.ahead, kFuture);
  if (tick_.ahead.empty())
    for (std::size_t n = train() ? 0 : plan_.first_future; n < plan_.nodes.size(); ++n)
      forward(plan_.nodes[n]);
  to_host(&Buffers::quantiles, size(kFuture, plan_.ops.quantiles));
  if (plan_.hidden) to_host(&Buffers::hidden, size(kFuture, plan_.ops.hidden));
}

void CudaProgram::back() {
  slopes();
  answers();
}

// The loss looks at the windows of all processes, so their weights are added up before it.
void CudaProgram::begin_backward() {
  zero(device_buffers_.gradient, plan_.ops.parameter_count());
  weight_sums();
  if (group_) group_->sum_on_device(weight_sum_, 3, sum_scratch_, stream_);
  losses();
}

void CudaProgram::slopes() {
  run_tapes(tick_.back, kFuture);
  if (tick_.back.empty())
    for (const int n : plan_.reverse) backward(plan_.nodes[at(n)]);
  if (group_)
    group_->sum_on_device(device_buffers_.gradient, plan_.ops.parameter_count(), sum_scratch_, stream_);
}

void CudaProgram::answers() {
  to_host(&Buffers::gradient, plan_.ops.parameter_count());
  to_host(&Buffers::future_gradient, size(kFuture, plan_.ops.future));
  if (train())
    expect(cudaMemcpyAsync(host_.losses, device_buffers_.losses,
                           kLossParts * at(plan_.shapes.batch) * sizeof(double), cudaMemcpyDeviceToHost,
                           stream_),
           "Program.run");
}

void CudaProgram::in_graph(Graph& graph, const std::function<void()>& work) {
  if (group_) group_->expect_whole();
  if (!graph.value) {
    if (group_) group_->connect();
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
    const cudaError_t made = cudaGraphInstantiate(&graph.value, captured, 0);
    cudaGraphDestroy(captured);
    expect(made, "Program.run");
  }
  expect(cudaGraphLaunch(graph.value, stream_), "Program.run");
}

void CudaProgram::finish(const char* where) {
  expect(cudaStreamSynchronize(stream_), where);
  expect(cudaGetLastError(), where);
}

void CudaProgram::run_context() {
  if (source_) return source_->run_context();
  if (!loaded_) throw StateError("Program.run_context: expected weights, none came yet; call load() first");
  if (train() || rows(kHistory) == 0) return;
  in_graph(context_graph_, [this] {
    to_device(&Buffers::history, size(kHistory, plan_.ops.history));
    run_tapes(tick_.history, kHistory);
    if (tick_.history.empty())
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
  expect_ready();
  in_graph(graph_, [this] { pass(); });
  finish("Program.run");
}

void CudaProgram::expect_ready() const {
  if (loaded_ && (source_ ? source_->cached_ : cached_)) return;
  throw StateError(
      loaded_ ? "Program.run: expected the history's keys and values under the weights loaded last, got "
                "none; call run_context() after each load()"
              : "Program.run: expected weights, none came yet; call load() first");
}

void CudaProgram::expect_halves(const char* where) const {
  expect_ready();
  if (plan_.mode != Mode::vjp || plan_.shapes.batch != 1)
    throw StateError(std::string(where) + ": expected a vjp program of one plan, got another one");
}

void CudaProgram::run_ahead() {
  expect_halves("Program.run_ahead");
  in_graph(ahead_graph_, [this] { ahead(); });
  finish("Program.run_ahead");
}

void CudaProgram::run_back() {
  expect_halves("Program.run_back");
  in_graph(back_graph_, [this] {
    to_device(&Buffers::seed, size(kFuture, plan_.ops.quantiles));
    back();
  });
  finish("Program.run_back");
}

void CudaProgram::run_slots(int first, int last) {
  if (!loaded_) throw StateError("Program.run: expected weights, none came yet; call load() first");
  if (!train() || first < 0 || last < first || last > 1)
    throw InputError("Program.run_slots(first, last): expected slots of a train program, 0.." +
                     std::to_string(train() ? 1 : 0) + ", got " + std::to_string(first) + ".." +
                     std::to_string(last));
  if (first == last) return;
  in_graph(set_ == 0 ? graph_ : other_graph_, [this] { pass(); });
  if (group_) group_->wait(stream_);
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
  static_assert(sizeof(LossParts) == kLossParts * sizeof(double));
  if (group_) group_->sum(&parts_.label, kLossParts);
  const auto d = [](float x) { return static_cast<double>(x); };
  loss_ = parts_.label + d(options_.multiscale) * parts_.multiscale + d(options_.distill) * parts_.distill +
          d(options_.distill_multiscale) * parts_.distill_multiscale + d(options_.hidden) * parts_.hidden;
}

namespace {

// What only the CPU does, said before anything is allocated.
void refuse_what_is_missing(const Plan& plan) {
  for (const Node& node : plan.nodes) {
    const Op& o = plan.op(node);
    if (o.kind != OpKind::attention) continue;
    Attention<float> a;
    a.rows = plan.rows(node.part);
    a.past = plan.has_past(node) ? plan.rows(kHistory) : 0;
    a.heads = o.heads, a.kv_heads = o.kv_heads, a.head_dim = o.head_dim;
    if (const char* why = attention_refusal(a))
      throw InputError("compile for CUDA: " + describe(plan.ops, at(node.op)) + " has " + why +
                       "; the CPU has no such limit");
  }
}

}  // namespace

std::unique_ptr<Program<float>> compile(const OpList& ops, const Shapes& shapes,
                                        const CompileOptions& options, const BlasLt* library) {
  validate(ops, shapes, options);
  Plan plan = make_plan(ops, shapes, options);
  refuse_what_is_missing(plan);
  return std::make_unique<CudaProgram>(std::move(plan), options, library ? *library : BlasLt::instance());
}

}  // namespace emisopt::kernels::cuda
