// Private to the CUDA backend: the program's memory and its passes.
#pragma once
#include <cuda_runtime_api.h>

#include <functional>
#include <vector>

#include "kernels/cuda/blaslt.hpp"
#include "kernels/cuda/collective.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/many.hpp"
#include "kernels/cuda/memory.hpp"
#include "kernels/cuda/pack.hpp"
#include "kernels/cuda/product_choice.hpp"
#include "kernels/cuda/program.hpp"
#include "kernels/plan.hpp"

namespace emisopt::kernels::cuda {

class CudaProgram;
/// device_memory.cpp: the buffers of a program, which must outlive it.
std::unique_ptr<DeviceMemory> device_memory_of(CudaProgram& program);

inline std::size_t at(int i) { return static_cast<std::size_t>(i); }

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
  View<float> value(Part part, int id) const {
    return {value_[part][at(id)], static_cast<long>(rows(part)) * plan_.width(id)};
  }
  View<float> slope(Part part, int id) const {
    return {slope_[part][at(id)], static_cast<long>(rows(part)) * plan_.width(id)};
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
  void add_corrections();
  void pack_weights();
  void linear_int8(const Node& node);
  Attention<float> attention(const Node& node) const;
  void forward(const Node& node);
  void backward(const Node& node);
  void linear_backward(const Node& node, View<float> dx, View<const float> dy);
  void correction_slopes(const Op& op, Grid g, View<const float> x, View<const float> dy);
  void weight_sums();
  void losses();
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
  void zero(float* data, std::size_t count) {
    expect(cudaMemsetAsync(data, 0, count * sizeof(float), stream_), "Program.run");
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
  float* staged_theta_ = nullptr;                      // in staging_
  std::vector<float*> corrected_;                      // by parameter: weights with a correction
  std::vector<float*> cosine_, sine_;                  // by op: (history + future, head_dim / 2)
  std::vector<float*> saved_;                          // by node: rstd, log sum exp
  std::vector<float*> value_[kParts], slope_[kParts];  // by value id
  float *scratch_ = nullptr, *dots_ = nullptr, *whole_slope_ = nullptr;
  float *taus_ = nullptr, *level_weights_ = nullptr;
  int* scales_ = nullptr;
  double *weight_sum_ = nullptr, *teacher_sum_ = nullptr, *hidden_sum_ = nullptr;
  ManyPlan many_;                                  // jacobian, tangent
  int* indices_ = nullptr;                         // its indices
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
