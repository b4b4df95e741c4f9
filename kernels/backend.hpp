// The one seam between the library and its engines. `model` describes a network as an OpList; a backend
// compiles it for fixed shapes into a Program that owns one arena and neither allocates, locks, throws nor
// touches Python in run(). ref: plain loops, any scalar (the definition). cpu: SIMD. cuda: later, same seam.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/choices.hpp"
#include "kernels/device_memory.hpp"

namespace emisopt::kernels {

// ---- the network as data ------------------------------------------------------------------------------

/// Which token rows an op works on. A sequence is `history_tokens` rows, then `future_tokens` rows.
enum class Rows : std::uint8_t { history, future, all };

enum class OpKind : std::uint8_t {
  linear,     // y = x w (+ b)                       w (x.width, y.width), b (y.width) or none;
              // with lora_a (x.width, rank), lora_b (rank, y.width): y = x (w + lora_a lora_b) (+ b)
  rmsnorm,    // y = x / sqrt(mean(x^2) + eps) * w   w (width)               (Zhang, Sennrich 2019)
  rope,       // y = x, its first `heads` heads of head_dim turned by position (Su et al. 2021)
  attention,  // x = [q | k | v] of heads, kv_heads, kv_heads times head_dim; y (heads * head_dim)
  swiglu,     // x = [gate | up], y = silu(gate) * up                         (Shazeer 2020)
  add,        // y = x + x2
  quantiles,  // x (outputs * levels) raw -> y: median plus cumulative softplus increments, never crossing
};

/// Attention is prefix-causal: row i sees rows <= i, history before future; query head h reads key head
/// h / (heads / kv_heads). Rope turns channel i of a head against channel i + head_dim/2 by
/// row * rope_base^(-2i / head_dim), rows counted over history, then future (the LLaMA family's layout).
/// Quantile head layout: raw and quantiles are (outputs, levels), level fastest. raw[mid] is the median;
/// q[mid+j] = q[mid+j-1] + softplus(raw[mid+j]), q[mid-j] = q[mid-j+1] - softplus(raw[mid-j]).
struct Op {
  OpKind kind;
  Rows rows = Rows::all;
  int x = -1, x2 = -1, y = -1;   // value ids
  int w = -1, b = -1;            // parameter ids
  int lora_a = -1, lora_b = -1;  // linear: a low-rank correction of w (Hu et al. 2022), both or neither
  int heads = 0, kv_heads = 0, head_dim = 0;
  int outputs = 0, levels = 0, middle = 0;
  float eps = 1e-5f, rope_base = 10000.0f;
};

/// One activation: `width` scalars per token row.
struct Value {
  std::string name;
  int width = 0;
  Rows rows = Rows::all;
};

/// One weight in the canonical contiguous buffer: the same layout on every ISA and device.
struct Parameter {
  std::string name;
  std::vector<int> shape;  // row-major; linear: (in, out)
  std::size_t offset = 0;  // in scalars
  bool decay = true;       // weight decay applies
  std::size_t size() const;
};

/// Ops in order of execution; a value is written once per row range (history and future may have own ops).
struct OpList {
  std::vector<Value> values;
  std::vector<Op> ops;
  std::vector<Parameter> parameters;
  int history = -1, future = -1;  // input values: (history_tokens, width), (future_tokens, width)
  int quantiles = -1;             // output value on future rows: (outputs * levels)
  int hidden = -1;                // a second output on future rows, for distillation; -1: none
  int outputs = 0, levels = 0, middle = 0;

  int add_value(std::string name, int width, Rows rows);
  int add_parameter(std::string name, std::vector<int> shape, bool decay);
  std::size_t parameter_count() const;
};

// ---- programs -----------------------------------------------------------------------------------------

/// infer: quantiles. vjp: also future_gradient = (dq/dfuture)^T seed. jacobian: also d q[seeds]/d future, row
/// by row. tangent: also (dq/dfuture) direction for every direction, all quantiles at once: the cheaper way
/// to a Jacobian of fewer columns than rows. train: loss over a batch of windows and the gradient of its mean
/// by all weights.
enum class Mode : std::uint8_t { infer, vjp, jacobian, tangent, train };

/// Loss of train mode; all are weighted means over (batch, step, output) entries of weight > 0, of
///   pinball: mean over levels of max(tau e, (tau - 1) e);  squared: e^2;  huber: e^2/2, beyond delta linear.
/// Squared and huber look at the median level only. No entry of positive weight: loss and gradient are 0.
enum class Loss : std::uint8_t { pinball, squared, huber };

struct Seed {
  int output = 0, level = 0;
};

/// A change of the future rows: future steps first .. last may differ from 0, the others are not read.
struct Direction {
  int first = 0, last = 0;
};

/// What train mode's loss consists of, each part before its coefficient; 0 where the coefficient is 0.
///   loss = label + multiscale_c * multiscale + distill_c * distill
///          + distill_multiscale_c * distill_multiscale + hidden_c * hidden
/// label               the Loss above, against target()
/// multiscale          squared error of the median against target(), both averaged over blocks of s steps
///                     from the first on (the last block may be shorter), mean over `scales` s
/// distill             squared distance of the quantiles to teacher(), mean over weighted entries: over
/// evenly
///                     spread levels, the squared 2-Wasserstein distance of the two distributions
/// distill_multiscale  as multiscale, of every quantile against teacher()     (TimeDistill: Ni et al. 2025)
/// hidden              squared distance of the value OpList.hidden to hidden_target(), mean over rows and
///                     channels                                        (FitNets: Romero et al. 2015)
struct LossParts {
  double label = 0, multiscale = 0, distill = 0, distill_multiscale = 0, hidden = 0;
};

/// The pieces in which train mode sums a batch: slot s holds windows batch * s / count up to (not including)
/// batch * (s + 1) / count and has a weight gradient of its own; gradients are added slot by slot, in order.
template <class T>
struct Slots {
  int count = 0;               // fixed by the shapes, at most 8
  std::size_t stride = 0;      // scalars from one slot's gradient to the next
  T* gradients = nullptr;      // (count, stride)
  LossParts* parts = nullptr;  // (batch): each window's share of loss_parts()
};

struct Shapes {
  int batch = 1;           // infer, vjp: candidate plans that share ONE history; train: windows, each its own
  int history_tokens = 0;  // may be 0 (a soft sensor has no past)
  int future_tokens = 1;
};

/// float32: as the weights are. int8 (infer mode, float programs): the products inside the layers take
/// weights rounded to 8 bits per output channel and activations rounded per row; embeddings, norms, softmax
/// and the head stay float32. For screening and small machines, never for gradients. Integer sums are exact,
/// so that levels round alike.
/// bfloat16 (cuda: infer, vjp, train): activations and their gradients have 8 significant bits, and so have
/// the weights that products read; sums, weights, their gradients, the quantile head, losses and optimiser
/// stay float32 (docs/cuda.md, "bf16").
enum class Precision : std::uint8_t { float32, int8, bfloat16 };

/// Processes with a GPU each that share a training; join_group() makes one. No call waits for the others
/// beyond the time limit; then it throws StateError, as does every later one.
class Group {
 public:
  virtual ~Group() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// x (count), memory of the host, becomes its sum over the processes, added up rank by rank.
  virtual void sum(float* x, std::size_t count) = 0;
  virtual void sum(double* x, std::size_t count) = 0;
};

struct CompileOptions {
  Mode mode = Mode::infer;
  Precision precision = Precision::float32;
  Loss loss = Loss::pinball;
  float huber_delta = 1.0f;
  std::vector<float> levels;  // quantile levels, rising, for the pinball loss
  /// Weights of the levels within the pinball loss, >= 0; empty: all alike. v(tau) = tau^2 looks at the upper
  /// tail, (2 tau - 1)^2 at both, and stays a proper score (Gneiting, Ranjan 2011).
  std::vector<float> level_weights;
  float multiscale = 0, distill = 0, distill_multiscale = 0, hidden = 0;  // coefficients of LossParts, >= 0
  std::vector<int> scales = {2, 4, 8};  // steps averaged by the multi-scale parts, each >= 2
  /// train: by parameter id, whether it gets a gradient; empty: all. What leads to no such parameter is left
  /// out of the backward pass, and gradient() is exactly 0 for the others.
  std::vector<char> trainable;
  std::vector<Seed> seeds;            // jacobian mode: rows are seeds x future step
  std::vector<Direction> directions;  // tangent mode
  int threads = 0;                    // 0: EMISOPT_THREADS, else the machine's
  /// train, cuda: shapes.batch windows are this process's share; the loss's denominators, gradient() and
  /// loss() are those of all processes' windows. Must outlive the program. Null: this process alone.
  Group* group = nullptr;
  /// cuda: nothing is measured. Products go by a choice that is stored, else by the rule that needs no
  /// measurement; where measuring is asked for (EMISOPT_CUDA_PRODUCTS) and no choice is stored, compile()
  /// throws StateError. The CPU's programs are deterministic anyway.
  bool deterministic = false;
  Choices* choices = nullptr;  // null: Choices::instance()
};

/// cuda is no level of the CPU: isa_available() does not list it, compile() takes it where cuda_refusal() is
/// empty.
enum class Isa : std::uint8_t { ref, avx2, avx512, vnni, cuda };
/// Where training runs; automatic: as choose_device() says.
enum class Device : std::uint8_t { cpu, cuda, automatic };

/// What a run costs, as counted when compiled.
struct Cost {
  double flop = 0;
  std::size_t bytes = 0;  // arena
};

// ---- training where the program is ----------------------------------------------------------------------

/// What stays the same over a run's steps. Arrays are (parameter_count), read once, and may be null as in
/// adamw().
struct TrainingOptions {
  float beta1 = 0.9f, beta2 = 0.999f, eps = 1e-8f, decay = 0;
  float l2sp = 0, ewc = 0;  // need `anchor`; ewc also `fisher`
  double clip = 0;          // norm of the whole gradient, 0: off
  bool average = false;     // keeps a moving average of the weights; else the weights before the last step
  const float *decay_mask = nullptr, *anchor = nullptr, *fisher = nullptr;
  std::vector<char> trainable;  // as CompileOptions.trainable
};
/// A run's weights, Adam's moments, and the average or, without one, the weights one step ago; all
/// (parameter_count) and the host's.
template <class T>
struct TrainingArrays {
  T *theta = nullptr, *m = nullptr, *v = nullptr, *shadow = nullptr;
};
/// What one step made.
struct TrainingStep {
  double loss = 0, norm = 0;  // of the gradient, before it is clipped
  LossParts parts;
  bool finite = true;  // loss and norm are; if not, this step and all after it have changed no weight
  int votes = 0;       // processes of the group that asked for an end with this step
};

/// A training run whose weights and optimiser stay on the device of its program: a batch in, a step, and
/// nothing comes back but the loss. Steps are only put in line; up to two are in flight.
class Training {
 public:
  virtual ~Training() = default;
  /// Between steps only: no step may be in flight.
  virtual void put(const TrainingArrays<const float>& arrays) = 0;
  virtual void get(const TrainingArrays<float>& arrays) = 0;
  /// Puts a step in line for the batch that now stands in the program's buffers, which from then on show the
  /// next batch's (history(), future(), target() ... are to be asked for again, and all of it written).
  /// `keep` is the share of the average that stays. With processes in a group all put the same steps in line;
  /// `vote`, that this one wants to end, travels with the step. Throws StateError when two steps are in
  /// flight already.
  virtual void step(float rate, float keep, std::int64_t step, bool vote = false) = 0;
  virtual int in_flight() const = 0;
  /// Waits for the oldest step in flight.
  virtual TrainingStep finish() = 0;
};

/// T is float for every backend; double for ref only (gradient checks).
/// Buffers are views of the arena, valid for the life of the program.
template <class T>
class Program {
 public:
  virtual ~Program() = default;
  /// Copies theta (canonical layout) and refreshes the packed (and rounded) forms derived from it. What
  /// run_context() cached belongs to the weights before and is forgotten.
  virtual void load(const T* theta) = 0;
  virtual T* history() = 0;                // (history_tokens, width); train: (batch, ...)
  virtual T* future() = 0;                 // (batch, future_tokens, width)
  virtual const T* quantiles() = 0;        // (batch, future_tokens, outputs * levels)
  virtual T* seed() = 0;                   // vjp: (batch, future_tokens, outputs * levels)
  virtual const T* future_gradient() = 0;  // vjp: (batch, future_tokens, width)
  virtual const T* jacobian() = 0;  // (seeds, future_tokens t, future_tokens s, width); 0 exactly for s > t
  virtual T* direction() = 0;       // tangent: (directions, future_tokens, width)
  /// tangent: (directions, future_tokens, outputs * levels); 0 exactly before a direction's first step
  virtual const T* tangent() = 0;
  virtual T* target() = 0;                      // train: (batch, future_tokens, outputs)
  virtual T* weight() = 0;                      // train: same shape; 0 leaves the entry out of the loss
  virtual const T* gradient() = 0;              // train: (parameter_count), overwritten by each run
  virtual double loss() = 0;                    // train: of the last run
  virtual LossParts loss_parts() = 0;           // train: likewise
  virtual const LossParts* window_parts() = 0;  // train: (batch), each window's share of loss_parts()
  /// train, null unless a coefficient of `distill` asks for it: (batch, future_tokens, outputs * levels),
  /// what a teacher said, and how much each entry counts; 0 leaves it out (a teacher of the median alone).
  virtual T* teacher() = 0;
  virtual T* teacher_weight() = 0;
  /// The value OpList.hidden: (batch, future_tokens, width). infer: when the OpList names one, so that a
  /// teacher can be asked; train: when the coefficient `hidden` asks for it. Else null.
  virtual const T* hidden() = 0;
  virtual T* hidden_target() = 0;  // train, as hidden(): what it should be
  virtual T* hidden_weight() = 0;  // train: (batch, future_tokens); 0 leaves the row out
  /// Makes this program read the weights' packed forms and the history's cached keys and values of `other`, a
  /// program of the same network and history that must outlive it: history() and run_context() are `other`'s
  /// from then on, so what one of them did serves both, and the weights that both read lie in memory once.
  /// load() both with the same weights. False, and nothing has changed, when they do not fit: train mode,
  /// another network, history length, level or precision.
  virtual bool share(Program& other) = 0;
  /// Runs the history rows and caches their keys and values; needed before run() after each load() and each
  /// change of history(). Does nothing in train mode, where every window has its own history. Throws
  /// StateError before the first load().
  virtual void run_context() = 0;
  /// Runs the future rows (train: all rows), then what the mode asks for. Throws StateError, before any work,
  /// when load() or the run_context() that must follow it is missing; no other way to throw.
  virtual void run() = 0;
  /// vjp, one plan: run() in two halves, for a seed that depends on the answer or many seeds at one point.
  /// run_back() is the backward pass from the activations that the last run() or run_ahead() left, with the
  /// seed as it now stands; neither load() nor another run_context() may lie between. Throws StateError as
  /// run() does, and for other modes and batches.
  virtual void run_ahead() = 0;
  virtual void run_back() = 0;
  /// train, for a batch shared among processes: run() in two halves. run_slots() takes the loss's
  /// denominators from the weights of the WHOLE batch and then works through slots first .. last - 1;
  /// join_slots() makes gradient(), loss() and loss_parts() of what all slots hold. Whoever lets others work
  /// out some slots writes the weights of all windows before and the others' gradients and parts between the
  /// two; then the bits are those of run(). run_slots() throws StateError before the first load().
  virtual Slots<T> slots() = 0;
  virtual void run_slots(int first, int last) = 0;
  virtual void join_slots() = 0;
  /// train: keeps weights and optimiser with the program; the Training must not outlive it. Null where the
  /// caller does that (adamw() below): on the CPU. load() and run() may be called in between while no step is
  /// in flight (a validation), and leave the Training as it is.
  virtual std::unique_ptr<Training> training(const TrainingOptions&) { return nullptr; }
  virtual Cost cost() const = 0;
  /// Null on the CPU, whose buffers are those above. Lives as long as the program.
  virtual DeviceMemory* device_memory() { return nullptr; }
  /// The level whose instructions run.
  virtual Isa isa() const = 0;
};

// ---- backends -----------------------------------------------------------------------------------------

const char* to_string(Isa);
/// The best level of this CPU, lowered (never raised) by EMISOPT_ISA.
Isa isa_level();
/// Levels that this build and this CPU can run, lowest first.
std::vector<Isa> isa_available();
/// EMISOPT_THREADS, else the hardware's, at least 1.
int default_threads();
/// Empty where programs can be compiled for CUDA; else why not and what helps, in one line. The first call
/// opens the plugin: EMISOPT_CUDA_PLUGIN, else libemisopt_cuda.so beside this library.
std::string cuda_refusal();

struct GroupOptions {
  int rank = 0, size = 1;
  int local_rank = 0;    // on this machine: which GPU, unless only one is visible
  std::string address;   // HOST:PORT where rank 0 can listen
  std::string library;   // path of libnccl.so.2; empty: the system's
  double seconds = 120;  // that a call waits for the others
};
/// Meets the other processes, by NCCL. Throws StateError with cuda_refusal(), without NCCL, and when the
/// others do not come; InputError for a rank that does not fit.
std::unique_ptr<Group> join_group(const GroupOptions& options);

/// Throws InputError when the OpList is malformed (unknown value, width mismatch), naming the op; for
/// Isa::cuda StateError with cuda_refusal(), and for what only the CPU does (docs/cuda.md).
std::unique_ptr<Program<float>> compile(const OpList& ops, const Shapes& shapes,
                                        const CompileOptions& options, Isa isa);
std::unique_ptr<Program<double>> compile_f64(const OpList& ops, const Shapes& shapes,
                                             const CompileOptions& options);

struct DeviceChoice {
  Device device = Device::cpu;
  bool measured = false;                     // by this call; else it was stored, or there is no GPU
  double cpu_seconds = 0, cuda_seconds = 0;  // of a run, in training of a step; 0: was never measured
};
/// On which device such a program is quicker, here and with this GPU: small ones on the CPU. Stored in
/// options.choices, else measured once by a few runs of each (train: with the optimiser's pass) and stored
/// there; the CPU where no GPU can be used. Throws as compile(), and StateError when options.deterministic
/// and no choice is stored.
DeviceChoice choose_device(const OpList& ops, const Shapes& shapes, const CompileOptions& options);

// ---- weights ------------------------------------------------------------------------------------------

/// One fused pass over the contiguous buffers: clip by `clip_scale`, AdamW (Loshchilov, Hutter 2019), L2-SP
/// pull to `anchor` (Li et al. 2018) and one weighted by `fisher` (EWC), decoupled decay where mask is 1:
///   g = clip_scale * gradient + (2 l2sp + ewc * fisher) * (theta - anchor), the gradient of
///   loss + l2sp |theta - anchor|^2 + ewc/2 sum fisher (theta - anchor)^2.
struct AdamW {
  float rate = 1e-3f, beta1 = 0.9f, beta2 = 0.999f, eps = 1e-8f, decay = 0.0f;
  float clip_scale = 1.0f;        // gradient is multiplied by this first
  float l2sp = 0.0f, ewc = 0.0f;  // need `anchor`; ewc also `fisher`
  std::int64_t step = 1;          // 1-based, for bias correction
  int threads = 1;                // that may share a large pass; >= 1; the bits do not depend on it
};
/// decay_mask, anchor and fisher may be null: decay everywhere, no pull. Throws InputError when a pull lacks
/// its array.
void adamw(float* theta, float* m, float* v, const float* gradient, const float* decay_mask,
           const float* anchor, const float* fisher, std::size_t count, const AdamW& options, Isa isa);
/// A run of weights in the canonical buffer.
struct Range {
  std::size_t offset = 0, count = 0;
};
/// The runs that CompileOptions.trainable names, neighbours joined; empty `trainable`: one run, everything.
/// An optimiser passes over these and so leaves the rest bitwise as it is.
std::vector<Range> trainable_ranges(const OpList& ops, const std::vector<char>& trainable);
/// Sum of squares in double over fixed slots: the same bits for any number of threads.
double squared_norm(const float* x, std::size_t count);

}  // namespace emisopt::kernels
