// Private to the engine: runs a Plan with one level's KernelTable. Rows, memory and threads are decided here,
// arithmetic in the table; so ref in double, ref in float and every SIMD level share this one interpreter.
#pragma once
#include <atomic>
#include <cstddef>
#include <vector>

#include "kernels/arena.hpp"
#include "kernels/plan.hpp"
#include "kernels/ref/loss.hpp"
#include "kernels/table.hpp"

namespace emisopt::kernels {

template <class T>
class Interpreter final : public Program<T> {
 public:
  Interpreter(Plan plan, const CompileOptions& options, const KernelTable<T>& kernels, Isa isa, int threads);

  void load(const T* theta) override;
  T* history() override { return history_; }
  T* future() override { return future_; }
  const T* quantiles() override { return quantiles_; }
  T* seed() override { return seed_; }
  const T* future_gradient() override { return future_gradient_; }
  const T* jacobian() override { return jacobian_; }
  T* target() override { return target_; }
  T* weight() override { return weight_; }
  const T* gradient() override { return gradient_; }
  double loss() override { return loss_; }
  LossParts loss_parts() override { return parts_; }
  const LossParts* window_parts() override { return window_parts_; }
  T* teacher() override { return teacher_; }
  T* teacher_weight() override { return teacher_weight_; }
  const T* hidden() override { return hidden_; }
  T* hidden_target() override { return hidden_target_; }
  T* hidden_weight() override { return hidden_weight_; }
  Isa isa() const override { return isa_; }
  void run_context() override;
  void run() override;
  Slots<T> slots() override {
    return plan_.mode == Mode::train ? Slots<T>{items_, slot_stride(), slots_, window_parts_} : Slots<T>{};
  }
  void run_slots(int first, int last) override;
  void join_slots() override { reduce_slots(); }
  Cost cost() const override { return {plan_.flop(static_cast<int>(seeds_.size())), arena_.bytes()}; }

 private:
  /// Activations of `windows` windows at most, and their gradients. In train mode and for infer and vjp every
  /// worker has one; in jacobian mode one is shared and workers own only gradients.
  struct Frame {
    std::vector<T*> value[kParts];  // by value id: (windows, rows, width); null where not live or not ours
    std::vector<T*> saved;  // by node: rmsnorm rstd (windows, rows); attention p (windows, heads, rows, keys)
    std::vector<T*> past_kt, past_vt;  // by node: (windows, kv_heads head_dim, past_stride)
    T* scratch = nullptr;              // attention_scratch scalars
  };
  struct Gradients {
    std::vector<T*> value[kParts];  // by value id: (windows, rows, width)
    T* weights = nullptr;           // train: (parameter_count) of the slot in hand
    T* scratch = nullptr;
  };
  /// Windows first .. first + count - 1 of the batch, held by a frame.
  struct Span {
    int first, count;
  };
  /// Where the backward pass stands: `count` windows with gradients for rows 0 .. top - 1. When `shared`, all
  /// windows (seeds of a jacobian) belong to the one window of activations.
  struct Reverse {
    int first, count, top;
    bool shared;
  };

  void lay_out();
  std::size_t scratch_scalars() const;
  void lay_out_frame(Frame& frame, int windows, Part part);
  void lay_out_gradients(Gradients& gradients, int windows);
  void fill_rope_tables();

  // forward.inl
  void forward(const Node& node, Frame& frame, Span span);
  void attention_forward(const Node& node, Frame& frame, Span span);
  void transpose_past(const Node& node, Frame& frame, Span span);
  AttentionArgs<T> attention_args(const Node& node, const Frame& frame, Span span, int window) const;
  T* activation(const Frame& frame, Part part, int id, int first) const;

  // backward.inl
  void backward(const Node& node, const Frame& frame, Gradients& gradients, Reverse at);
  void attention_backward(const Node& node, const Frame& frame, Gradients& gradients, Reverse at);
  T* gradient_of(const Gradients& gradients, Part part, int id, int first) const;
  int gradient_rows(Part part, int id, const Reverse& at) const;
  void backward_future(const Frame& frame, Gradients& gradients, Reverse at);

  // modes.inl
  bool has_context() const { return plan_.mode != Mode::train && rows(kHistory) > 0; }
  void in_parallel(void (Interpreter::*work)(int worker));
  void run_plans(int worker);
  void settle_scales();
  void train_slots(int worker);
  void train_windows(Frame& frame, Gradients& gradients, Span span);
  LossParts window_loss(int window, T* dq, T* dhidden) const;
  void reduce_slots();
  // Slots begin on cache lines of their own: two threads never write to one line.
  std::size_t slot_stride() const { return (plan_.ops.parameter_count() + 15) / 16 * 16; }
  void run_seeds(int worker);
  T* weight_of(int id) const { return theta_ + plan_.ops.parameters[static_cast<std::size_t>(id)].offset; }
  T* transposed(int id) const { return transposed_[static_cast<std::size_t>(id)]; }
  int rows(Part part) const { return plan_.rows(part); }
  bool reverse_mode() const { return plan_.mode != Mode::infer; }

  Plan plan_;
  const KernelTable<T>& kernels_;
  Isa isa_;
  int workers_ = 1;            // threads that run() may use
  int windows_per_frame_ = 1;  // fixed by the shapes, never by the number of threads
  int items_ = 1;              // pieces of work of one run(): chunks of plans, slots, or seeds x steps
  int seeds_per_item_ = 1;
  std::vector<Seed> seeds_;
  std::vector<float> taus_, level_weights_;
  ref::LossArgs loss_args_{};
  LossParts coefficients_;     // of the parts; label: 1
  std::vector<int> scales_;    // of the multi-scale parts
  double teacher_scale_ = 0;   // 1 / (sum of positive teacher weights of the whole batch)
  double hidden_scale_ = 0;    // 1 / (sum of positive hidden weights * width)
  std::vector<Range> ranges_;  // trainable weights; the rest of the slots and of the gradient stays zero

  Arena arena_;
  T* theta_ = nullptr;             // (parameter_count)
  std::vector<T*> transposed_;     // by parameter: (out, in) of a linear op's weight, null elsewhere
  std::vector<T*> cosine_, sine_;  // by op: (history + future, head_dim / 2)
  T *history_ = nullptr, *future_ = nullptr, *quantiles_ = nullptr;
  T *seed_ = nullptr, *future_gradient_ = nullptr, *jacobian_ = nullptr;
  T *target_ = nullptr, *weight_ = nullptr, *gradient_ = nullptr;
  T *teacher_ = nullptr, *teacher_weight_ = nullptr;
  T *hidden_ = nullptr, *hidden_target_ = nullptr, *hidden_weight_ = nullptr;
  T* slots_ = nullptr;                 // train: (items, slot_stride)
  LossParts* window_parts_ = nullptr;  // train: (batch)
  LossParts parts_;
  double loss_ = 0;
  Frame context_;                     // infer, vjp, jacobian: history part
  std::vector<Frame> frames_;         // by worker (jacobian: one)
  std::vector<Gradients> gradients_;  // by worker
  std::atomic<int> next_item_{0};
  int last_slot_ = 0;    // train_slots() ends before it
  bool loaded_ = false;  // load() has been called
  bool cached_ = false;  // and run_context() since, where there is a history to run
};

extern template class Interpreter<float>;
extern template class Interpreter<double>;

}  // namespace emisopt::kernels
