// Private to the engine: runs a Plan with one level's KernelTable. Rows, memory and threads are decided here,
// arithmetic in the table; so ref in double, ref in float and every SIMD level share this one interpreter.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/arena.hpp"
#include "kernels/plan.hpp"
#include "kernels/ref/loss.hpp"
#include "kernels/table.hpp"
#include "kernels/threads.hpp"

namespace emisopt::kernels {

template <class T>
class Interpreter final : public Program<T> {
 public:
  Interpreter(Plan plan, const CompileOptions& options, const KernelTable<T>& kernels, Isa isa, int threads);

  void load(const T* theta) override;
  T* history() override { return source_ ? source_->history_ : history_; }
  T* future() override { return future_; }
  const T* quantiles() override { return quantiles_; }
  T* seed() override { return seed_; }
  const T* future_gradient() override { return future_gradient_; }
  const T* jacobian() override { return jacobian_; }
  T* direction() override { return direction_; }
  const T* tangent() override { return tangent_; }
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
  bool share(Program<T>& other) override;
  void run_context() override;
  void run() override;
  void run_ahead() override;
  void run_back() override;
  Slots<T> slots() override {
    return plan_.mode == Mode::train ? Slots<T>{items_, slot_stride(), slots_, window_parts_} : Slots<T>{};
  }
  void run_slots(int first, int last) override;
  void join_slots() override { reduce_slots(); }
  Cost cost() const override { return {plan_.flop(static_cast<int>(seeds_.size())), arena_.bytes()}; }

 private:
  /// Activations of `windows` windows at most. Workers that share pieces of work out have one each; a team
  /// and all seeds of a jacobian work on one.
  struct Frame {
    std::vector<T*> value[kParts];  // by value id: (windows, rows, width); null where not live or not ours
    std::vector<T*> saved;  // by node: rmsnorm rstd (windows, rows); attention p (windows, heads, rows, keys)
    std::vector<T*> past_kt, past_vt;  // by node: (windows, kv_heads head_dim, past_stride)
  };
  struct Gradients {
    std::vector<T*> value[kParts];  // by value id: (rows in hand, width)
    T* weights = nullptr;           // train: (parameter_count) of the slot in hand
    bool fresh = false;             // nothing has been written to it yet but zeros where sums begin
  };
  /// Windows first .. first + count - 1 of the batch, held by a frame; of all their rows of one part, begin
  /// .. end - 1 are in hand.
  struct Span {
    int first, count, begin, end;
  };
  /// Where the backward pass stands; tangent: likewise of windows_, whose rows end with the last step.
  struct Reverse {
    int first = 0, count = 0;     // windows of the batch; jacobian: of windows_
    int begin = 0, end = 0;       // vjp: rows in hand
    const int* top = nullptr;     // jacobian, by window: the rows that its seed reaches are 0 .. top - 1
    const int* offset = nullptr;  // jacobian, by window: such rows of all windows before it
  };
  /// jacobian: one gradient, of a seed at a step. tangent: a direction; step + 1 rows of it may move.
  struct SeedWindow {
    int seed, step;
  };

  /// A linear op's weight in 8 bits (KernelTable::pack_int8).
  struct Rounded {
    std::int8_t* packed = nullptr;
    T* scale = nullptr;
    std::int32_t* sum = nullptr;
  };

  /// Panels of what gradients of a low-rank correction need (KernelTable::pack).
  struct Low {
    T *a = nullptr, *b = nullptr;  // of A (x.width, rank); of Bᵀ (y.width, rank)
  };
  /// load(): columns `column` .. of a weight or of its transpose, and its correction.
  struct Panel {
    int weight, lora_a, lora_b, column;
    bool turned;
  };

  void lay_out();
  std::size_t packed_count(int k, int n) const;
  std::size_t scratch_scalars() const;
  void lay_out_weights();
  void lay_out_int8();
  void lay_out_frame(Frame& frame, int windows, Part part);
  void lay_out_values(Frame& frame, int windows, Part part);
  void lay_out_gradients(Gradients& gradients, int windows);
  void lay_out_jacobian();
  void fill_rope_tables();
  void lay_out_maps();
  void list_windows();
  void list_items();
  long item_rows() const;
  int team_size(double flop, int rows) const;
  /// jacobian: whether the gradient has one row per window, in singles_.
  bool single_gradient(int id) const {
    const ValueState& state = plan_.state(kFuture, id);
    return plan_.mode == Mode::jacobian && state.single && state.gradient;
  }

  // load.inl
  void list_pieces();
  template <class Work>
  void share_out(int workers, std::size_t count, Work work);
  void load_panel(const Panel& piece, const T* theta, T* scratch);
  void clear_slot(T* weights);
  void correction_gradients(const Node& node, T* da, T* db, const T* x, const T* dy, int m, T* scratch);
  long correction_scratch() const;
  void add_slots();

  // forward.inl
  void forward(const Node& node, Frame& frame, Span span, Member& member);
  void linear_int8(const Node& node, T* y, const T* x, int m, const Member& member);
  void attention_forward(const Node& node, Frame& frame, Span span, Member& member);
  void transpose_past(const Node& node, Frame& frame, Span span);
  AttentionArgs<T> attention_args(const Node& node, const Frame& frame, Span span, int window,
                                  int worker) const;
  T* activation(const Frame& frame, Part part, int id, int first) const;
  Span whole(Part part, int first, int count) const { return {first, count, 0, count * rows(part)}; }
  Span share(Part part, int first, int count, const Member& member) const;

  // backward.inl
  void backward(const Node& node, const Frame& frame, Gradients& gradients, Reverse at, Member& member);
  void attention_backward(const Node& node, const Frame& frame, Gradients& gradients, Reverse at,
                          Member& member);
  void seeds_attention_backward(const Node& node, const Frame& frame, Gradients& gradients, Reverse at,
                                const Member& member);
  T* gradient_of(const Gradients& gradients, Part part, int id, const Reverse& at) const;
  int gradient_rows(Part part, int id, const Reverse& at) const;

  // tangent.inl
  void list_directions();
  void lay_out_tangents();
  void lay_out_tangents(Gradients& tangents);
  void run_tangents(Member& member);
  void run_directions(int item, Member& member);
  void tangent(const Node& node, const Gradients& tangents, const Reverse& at, const Member& member);

  // modes.inl
  bool has_context() const { return plan_.mode != Mode::train && rows(kHistory) > 0; }
  void context(Member& member);
  void expect_ready() const;
  void expect_halves(const char* where) const;
  void run_plans(Member& member);
  void run_chunk(Frame& frame, Gradients* gradients, Span span, Member& member);
  void run_jacobian(Member& member);
  void run_item(int item, Member& member);
  void run_train();
  void settle_scales();
  void train_slots(Member& member);
  void train_windows(Frame& frame, Gradients& gradients, int first, int count, Member& member);
  LossParts window_loss(int window, T* dq, T* dhidden) const;
  void reduce_slots();
  void call(void (Interpreter::*work)(Member&), bool step);
  // Slots begin on cache lines of their own: two threads never write to one line.
  std::size_t slot_stride() const { return (plan_.ops.parameter_count() + 15) / 16 * 16; }
  T* weight_of(int id) const { return theta_ + plan_.ops.parameters[static_cast<std::size_t>(id)].offset; }
  T* packed(int id) const { return packed_[static_cast<std::size_t>(id)]; }
  T* transposed(int id) const { return transposed_[static_cast<std::size_t>(id)]; }
  T* scratch(const Member& member) const { return scratch_[static_cast<std::size_t>(member.worker)]; }
  std::size_t index_of(const Node& node) const {
    return static_cast<std::size_t>(&node - plan_.nodes.data());
  }
  int rows(Part part) const { return plan_.rows(part); }
  bool reverse_mode() const { return plan_.mode != Mode::infer; }  // or tangents: what is kept is the same
  /// One point's derivatives, asked for many at a time.
  bool many() const { return plan_.mode == Mode::jacobian || plan_.mode == Mode::tangent; }

  Plan plan_;
  const KernelTable<T>& kernels_;
  Isa isa_;
  int threads_ = 1;                          // that may be used
  int workers_ = 1;                          // threads that run() may use
  int context_workers_ = 1;                  // and run_context()
  int patience_ = 0, context_patience_ = 0;  // of a team's caller with helpers that sleep
  bool team_ = false;          // infer, vjp: too few pieces of work, so all work in step on the rows of one
  int windows_per_frame_ = 1;  // fixed by the shapes, never by the number of threads
  int items_ = 1;              // pieces of work of one run(): chunks of plans, slots, groups of seeds
  std::vector<Seed> seeds_;
  std::vector<SeedWindow> windows_;  // jacobian: every seed at every step; tangent: every direction
  std::vector<int> tops_, offsets_;  // by window: step + 1; rows of the item's windows before it
  std::vector<int> item_begin_;      // by item, and the end: its first window
  std::vector<float> taus_, level_weights_;
  ref::LossArgs loss_args_{};
  LossParts coefficients_;     // of the parts; label: 1
  std::vector<int> scales_;    // of the multi-scale parts
  double teacher_scale_ = 0;   // 1 / (sum of positive teacher weights of the whole batch)
  double hidden_scale_ = 0;    // 1 / (sum of positive hidden weights * width)
  std::vector<Range> ranges_;  // trainable weights; the rest of the slots and of the gradient stays zero

  Arena arena_;
  T* theta_ = nullptr;            // (parameter_count), filled where copies_ says
  std::vector<T*> packed_;        // by parameter: a linear op's weight in panels, null elsewhere
  std::vector<Rounded> rounded_;  // instead, where the op works in 8 bits
  std::vector<T*> transposed_;    // likewise its transpose, where an input's gradient needs it
  std::vector<Low> low_;          // train, by op: likewise, where a correction learns
  std::vector<Panel> panels_;     // pieces of load()
  std::vector<Range> copies_;     // what load() copies as it is: all but the linear ops' weights
  std::vector<Range> pieces_;     // pieces of reduce_slots()
  std::vector<Range> cleared_;    // of a slot, before its first window
  int load_workers_ = 1, reduce_workers_ = 1;
  std::vector<T*> cosine_, sine_;  // by op: (history + future, head_dim / 2)
  T *history_ = nullptr, *future_ = nullptr, *quantiles_ = nullptr;
  T *seed_ = nullptr, *future_gradient_ = nullptr, *jacobian_ = nullptr;
  T *direction_ = nullptr, *tangent_ = nullptr;
  T *target_ = nullptr, *weight_ = nullptr, *gradient_ = nullptr;
  T *teacher_ = nullptr, *teacher_weight_ = nullptr;
  T *hidden_ = nullptr, *hidden_target_ = nullptr, *hidden_weight_ = nullptr;
  std::vector<T*> singles_;  // jacobian, by value id: (windows_, width) of single-row gradients
  std::vector<T*> maps_;     // by node: attention's (heads, rows, head_dim, head_dim), SwiGLU's slopes
  std::vector<T*> scratch_;  // by worker: attention_scratch scalars
  struct RoundedRows {
    std::uint8_t* q = nullptr;  // (rows, int8_row)
    T* scale = nullptr;         // (rows)
  };
  std::vector<RoundedRows> rounded_rows_;  // by worker: activations of the product in hand in 8 bits
  T* slots_ = nullptr;                     // train: (items, slot_stride)
  LossParts* window_parts_ = nullptr;      // train: (batch)
  LossParts parts_;
  double loss_ = 0;
  Frame context_;                     // infer, vjp, jacobian: history part
  std::vector<Frame> frames_;         // by worker (team, jacobian: one)
  std::vector<Gradients> gradients_;  // by worker (team: one)
  std::atomic<int> next_item_{0};
  bool ahead_ = true, back_ = true;  // vjp: the halves that run() runs
  int last_slot_ = 0;                // train_slots() ends before it
  Interpreter* source_ = nullptr;    // whose context_ is read in place of ours
  bool loaded_ = false;              // load() has been called
  bool cached_ = false;              // and run_context() since, where there is a history to run
};

extern template class Interpreter<float>;
extern template class Interpreter<double>;

}  // namespace emisopt::kernels
