// Private to the CUDA backend: the program's memory and its passes.
#pragma once
#include <cuda_runtime_api.h>

#include <functional>
#include <variant>
#include <vector>

#include "kernels/cuda/blaslt.hpp"
#include "kernels/cuda/collective.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/many.hpp"
#include "kernels/cuda/memory.hpp"
#include "kernels/cuda/pack.hpp"
#include "kernels/cuda/product_choice.hpp"
#include "kernels/cuda/program.hpp"
#include "kernels/cuda/tick.hpp"
#include "kernels/plan.hpp"

namespace emisopt::kernels::cuda {

/// EMISOPT_CUDA_FUSION: "none" lets every op be a kernel of its own, for comparison; unset, what pays is
/// fused.
bool fuses_ops();
class CudaProgram;
/// device_memory.cpp: the buffers of a program, which must outlive it.
std::unique_ptr<DeviceMemory> device_memory_of(CudaProgram& program);

inline std::size_t at(int i) { return static_cast<std::size_t>(i); }
using Bf16 = __nv_bfloat16;
/// A value or its gradient, of the type that it has in this program.
using AnyView = std::variant<View<float>, View<Bf16>>;

/// bf16.cpp: by value id, whether a bf16 program keeps it in bf16.
std::vector<char> values_in_bf16(const Plan& plan);

class CudaProgram final : public Program<float> {
 public:
  CudaProgram(Plan plan, const CompileOptions& options, const BlasLt& library);

  void load(const float* theta) override;
  float* history() override { return source_ ? source_->history() : host_.history; }
  float* future() override { return host_.future; }
  const float* quantiles() override { return host_.quantiles; }
  float* seed() override { return host_.seed; }
  const float* future_gradient() override { return host_.future_gradient; }
  const float* jacobian() override { return host_.jacobian; }
  float* direction() override { return host_.direction; }
  const float* tangent() override { return host_.tangent; }
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
  bool share(Program<float>& other) override;
  void run_ahead() override;
  void run_back() override;
  Slots<float> slots() override {
    return train() ? Slots<float>{1, plan_.ops.parameter_count(), host_.gradient, window_parts_.data()}
                   : Slots<float>{};
  }
  void run_slots(int first, int last) override;
  void join_slots() override;
  Cost cost() const override {
    return {plan_.flop(static_cast<int>(options_.seeds.size())), device_.bytes() + weights_.bytes()};
  }
  std::unique_ptr<Training> training(const TrainingOptions& options) override;
  DeviceMemory* device_memory() override { return memory_.get(); }
  Isa isa() const override { return Isa::cuda; }

 private:
  friend class CudaTraining;      // optimiser.cpp
  friend class CudaDeviceMemory;  // device_memory.cpp
  /// What the caller reads and writes, and its twin on the device. Null: the mode has none.
  struct Buffers {
    float *history = nullptr, *future = nullptr, *quantiles = nullptr, *seed = nullptr,
          *future_gradient = nullptr;
    float *jacobian = nullptr, *direction = nullptr, *tangent = nullptr;
    float *target = nullptr, *weight = nullptr, *gradient = nullptr, *teacher = nullptr,
          *teacher_weight = nullptr;
    float *hidden = nullptr, *hidden_target = nullptr, *hidden_weight = nullptr;
    double* losses = nullptr;  // (kLossParts, batch)
  };
  enum { kLabel, kMultiscale, kDistill, kDistillMultiscale, kHidden, kLossParts };

  bool train() const { return plan_.mode == Mode::train; }
  bool many() const { return plan_.mode == Mode::jacobian || plan_.mode == Mode::tangent; }
  int rows(Part part) const { return plan_.rows(part); }
  int windows(Part part) const { return part == kHistory && !train() ? 1 : plan_.shapes.batch; }
  Grid grid(Part part) const { return {windows(part), rows(part)}; }
  std::size_t size(Part part, int id) const {
    return static_cast<std::size_t>(grid(part).count()) * at(plan_.width(id));
  }
  const Op& op(const Node& node) const { return plan_.op(node); }
  std::size_t index_of(const Node& node) const {
    return static_cast<std::size_t>(&node - plan_.nodes.data());
  }

  void load_from_device(const float* theta);  // finite
  void after_load();
  void lay_out(Block& block, Buffers& b);
  void lay_out_values();
  void lay_out_weights();
  void fill_rope_tables();
  /// T: what in_bf16(id) says.
  template <class T = float>
  View<T> value(Part part, int id) const {
    return {static_cast<T*>(value_[part][at(id)]), static_cast<long>(rows(part)) * plan_.width(id)};
  }
  template <class T = float>
  View<T> slope(Part part, int id) const {
    return {static_cast<T*>(slope_[part][at(id)]), static_cast<long>(rows(part)) * plan_.width(id)};
  }
  /// Where the gradient by an input goes, cleared where this is the first part of it; null: not wanted.
  template <class T>
  View<T> slope_of(const Flow& flow, Part part, int id) {
    if (!flow.wanted) return {};
    if (flow.zero) zero(slope<T>(part, id).data, size(part, id));
    return slope<T>(part, id);
  }
  float* parameter(int id) const { return id < 0 ? nullptr : theta_ + plan_.ops.parameters[at(id)].offset; }
  float* weight_slope(int id) const {
    return train() && plan_.trains(id) ? device_buffers_.gradient + plan_.ops.parameters[at(id)].offset
                                       : nullptr;
  }
  /// A linear op's weight, its correction added.
  const float* matrix(const Op& op) const { return op.lora_a < 0 ? parameter(op.w) : corrected_[at(op.w)]; }

  /// products.cpp: c = or += a b + bias, and c = or += aᵀ b over all rows, by cuBLASLt or our kernels.
  void product(View<float> c, View<const float> a, const float* b, bool turned, const float* bias, Grid g,
               int n, int k, bool accumulate);
  void product_over_rows(float* c, View<const float> a, View<const float> b, Grid g, int k, int n,
                         bool accumulate);
  void by_library_or(const BlasProduct& p, const BlasOperands& o, const std::function<void()>& own);
  // bf16.cpp
  bool in_bf16(int id) const { return !in_bf16_.empty() && in_bf16_[at(id)]; }
  /// Whether a linear op's operands are bf16: where its input or its result is.
  bool in_bf16(const Op& op) const { return in_bf16(op.x) || in_bf16(op.y); }
  /// Whether the hidden value is bf16 inside and shown as a copy.
  bool copies_hidden() const { return plan_.hidden && in_bf16(plan_.ops.hidden); }
  std::size_t bytes(Part part, int id) const {
    return size(part, id) * (in_bf16(id) ? sizeof(Bf16) : sizeof(float));
  }
  const Bf16* bf16_matrix(const Op& op) const;
  void lay_out_bf16_weights();
  void pack_bf16_weights();
  void linear_bf16(const Node& node);
  void linear_backward_bf16(const Node& node);
  void product_bf16(AnyView c, AnyView a, const Bf16* b, bool turned, const float* bias, Grid g, int n, int k,
                    bool accumulate);
  void product_over_rows_bf16(float* c, AnyView a, AnyView b, Grid g, int k, int n, bool accumulate);
  AnyView any_value(Part part, int id) const {
    return in_bf16(id) ? AnyView(value<Bf16>(part, id)) : AnyView(value(part, id));
  }
  AnyView any_slope(Part part, int id) const {
    return in_bf16(id) ? AnyView(slope<Bf16>(part, id)) : AnyView(slope(part, id));
  }
  void show_hidden();
  void add_corrections();
  void pack_weights();
  void linear_int8(const Node& node);
  template <class T>
  Attention<T> attention(const Node& node) const;
  void forward(const Node& node);
  void linear(const Node& node);
  template <class T>
  void forward_as(const Node& node);
  void backward(const Node& node);
  template <class T>
  void backward_as(const Node& node);
  void linear_backward(const Node& node);
  void correction_slopes(const Op& op);
  // passes_feedforward.cpp: three nodes, or four with the sum that follows, that one kernel does
  struct Layer {
    const Node *gate_up = nullptr, *down = nullptr, *sum = nullptr;  // sum null: none
    int other = -1;                                                  // what is added, and its gradient's way
    Flow other_flow;
  };
  void find_feedforwards();
  bool is_feedforward(std::size_t first) const;
  bool takes_sum(std::size_t down) const;
  Layer layer(const Node& last) const;
  FeedForward feedforward(const Layer& layer) const;
  std::size_t feedforward_scratch(const Node& last) const;
  void feedforward_ahead(const Node& last);
  void feedforward_back(const Node& last);
  template <class T>
  void feedforward_back_as(const Node& last, View<const T> dy);
  /// The gradient dy of a sum to one of its inputs; null: not wanted.
  template <class T>
  void pass_on(View<T> to, const Flow& flow, View<const T> dy, Grid g, int width) {
    if (!to.data) return;
    const std::size_t bytes = static_cast<std::size_t>(g.count()) * at(width) * sizeof(T);
    if (flow.assign)
      expect(cudaMemcpyAsync(to.data, dy.data, bytes, cudaMemcpyDeviceToDevice, stream_), "Program.run");
    else
      add<T>(to, dy, {}, g, width, stream_);
  }
  /// Whether another node's kernel does this node, too.
  bool inside(const Node& node) const { return fused_[index_of(node)] == Fused::inside; }
  bool stays_on_chip(Part part, int id) const;
  bool fused(const Node& node) const { return fused_[index_of(node)] == Fused::last; }
  void weight_sums();
  void losses();
  // passes_tick.cpp: the rows' ops between two attentions as one launch
  struct TickBuilder;
  struct TickTapes {
    std::vector<TickTape> history, ahead, back;  // launches of run_context() and of the two halves of run()
    std::vector<TickStep> steps;                 // of all of them
  };
  TickTapes tick_tapes() const;
  void plan_tick();
  void lay_out_tick();
  void fill_tick();
  void run_tapes(const std::vector<TickTape>& tapes, Part part);
  // passes_many.cpp
  std::size_t many_inputs() const;   // scalars of direction()
  std::size_t many_outputs() const;  // of jacobian() or tangent()
  void lay_out_many();
  void fill_many();
  void run_many();
  void backward_many(const Node& node, const ManyChunk& chunk);
  void tangent_many(const Node& node, const ManyChunk& chunk);
  float* many_value(int id) const {
    const int slot = many_.slot[at(id)];
    return slot < 0 ? nullptr : many_slots_[at(slot)];
  }
  const int* indices(std::size_t begin) const { return indices_ + begin; }
  void to_device(float* Buffers::* what, std::size_t count);
  void to_host(float* Buffers::* what, std::size_t count);
  void all_inputs();
  void pass();
  void ahead();
  void back();
  void begin_backward();  // train: up to the loss's gradient
  void slopes();
  void answers();
  void expect_ready() const;
  void expect_halves(const char* where) const;
  void finish(const char* where);
  /// Runs `work` as a graph that is captured when first asked for.
  void in_graph(Graph& graph, const std::function<void()>& work);
  template <class T>
  void zero(T* data, std::size_t count) {
    expect(cudaMemsetAsync(data, 0, count * sizeof(T), stream_), "Program.run");
  }

  Plan plan_;
  CompileOptions options_;
  Stream own_stream_;
  cudaStream_t stream_ = own_stream_;  // that work is put on; a Training captures its steps on others
  const BlasLt& library_;
  Workspace workspace_;
  const bool measures_ = measures_products();  // read once: a program keeps its mind
  NcclGroup* group_ = nullptr;                 // train: processes that share the batch
  void* sum_scratch_ = nullptr;                // of their sums
  Graph graph_, other_graph_, context_graph_, ahead_graph_, back_graph_;
  Block device_{Block::Where::device}, pinned_{Block::Where::pinned};
  Block weights_{Block::Where::device}, staging_{Block::Where::pinned};  // empty where the source's are read
  Buffers host_, device_buffers_;
  float* theta_ = nullptr;
  struct Rounded {
    std::int32_t* packed = nullptr;
    float* scale = nullptr;
  };
  std::vector<Rounded> rounded_;          // by parameter: weights in 8 bits
  std::int32_t* rounded_rows_ = nullptr;  // activations of the product in hand
  float* row_scale_ = nullptr;
  float* staged_theta_ = nullptr;                     // in staging_
  std::vector<float*> corrected_;                     // by parameter: weights with a correction
  std::vector<float*> cosine_, sine_;                 // by op: (history + future, head_dim / 2)
  std::vector<float*> saved_;                         // by node: rstd, log sum exp
  std::vector<void*> value_[kParts], slope_[kParts];  // by value id
  std::vector<char> in_bf16_;                         // by value id; empty: none is
  Bf16* bf16_theta_ = nullptr;                        // all weights, as they lie in theta_
  std::vector<Bf16*> bf16_corrected_;                 // by parameter, as corrected_
  float* hidden_slope_ = nullptr;                     // where the hidden value is bf16
  enum class Fused : std::uint8_t { no, inside, last };
  std::vector<Fused> fused_;  // by node
  float *scratch_ = nullptr, *dots_ = nullptr, *whole_slope_ = nullptr;
  float *taus_ = nullptr, *level_weights_ = nullptr;
  int* scales_ = nullptr;
  double *weight_sum_ = nullptr, *teacher_sum_ = nullptr, *hidden_sum_ = nullptr;
  ManyPlan many_;           // jacobian, tangent
  int* indices_ = nullptr;  // its indices
  TickTapes tick_;          // empty: ops are launched one by one
  TickStep* tick_steps_ = nullptr;
  std::vector<float*> tick_p_, tick_ds_;  // by node: attention's probabilities, their gradient times p
  std::vector<float*> many_slots_, maps_, own_p_;  // by slot; by node: attention linearised
  float* spread_ = nullptr;
  std::vector<LossParts> window_parts_;
  LossParts parts_;
  double loss_ = 0;
  bool loaded_ = false, cached_ = false;
  CudaProgram* source_ = nullptr;  // whose weights and history are read in place of ours
  bool is_source_ = false;
  std::uint64_t loads_ = 0;                    // so far
  int set_ = 0;                                // of inputs that the buffers show: a Training has two
  std::vector<float * Buffers::*> on_device_;  // inputs that come from there, not from the host's buffer
  int trainings_ = 0;                          // that work with this program
  std::unique_ptr<DeviceMemory> memory_;
};

}  // namespace emisopt::kernels::cuda
