#include "emisopt/train/processes.hpp"

#include <algorithm>
#include <cstdlib>
#include <type_traits>
#include <vector>

#include "emisopt/base/error.hpp"
#include "emisopt/base/sha256.hpp"

namespace emisopt {

void Processes::validate() const {
  if (size < 1)
    throw InputError("Processes.size: expected at least one process, got " + std::to_string(size));
  if (rank < 0 || rank >= size)
    throw InputError("Processes.rank: expected 0.." + std::to_string(size - 1) + ", got " +
                     std::to_string(rank));
  if (!sum_floats || !sum_doubles) throw InputError("Processes: expected both sums, got an empty function");
}

int SharedProgram::share_of(int batch, const Processes* processes, kernels::Device device) {
  if (!processes || !processes->group || device != kernels::Device::cuda) return batch;
  processes->validate();
  if (batch % processes->size != 0)
    throw InputError("train(processes): expected a batch that " + std::to_string(processes->size) +
                     " GPUs share evenly, got " + std::to_string(batch) + " windows");
  return batch / processes->size;
}

double SharedProgram::total(double here) const {
  if (grouped_) processes_->sum_doubles(&here, 1);
  return here;
}

SharedProgram::SharedProgram(kernels::Program<float>& program, int batch, const Processes* processes)
    : program_(program), processes_(processes), batch_(batch), last_window_(batch) {
  last_slot_ = program.slots().count;
  if (!processes) return;
  processes->validate();
  if (processes->group && program.isa() == kernels::Isa::cuda) {
    grouped_ = true;
    first_window_ = batch / processes->size * processes->rank;
    last_window_ = first_window_ + batch / processes->size;
    return;
  }
  const long slots = last_slot_;
  if (processes->size > slots)
    throw InputError("train(processes): expected at most " + std::to_string(slots) +
                     " processes, one per slot of the batch of " + std::to_string(batch) + " windows, got " +
                     std::to_string(processes->size));
  first_slot_ = static_cast<int>(slots * processes->rank / processes->size);
  last_slot_ = static_cast<int>(slots * (processes->rank + 1) / processes->size);
  first_window_ = static_cast<int>(static_cast<long>(batch) * first_slot_ / slots);
  last_window_ = static_cast<int>(static_cast<long>(batch) * last_slot_ / slots);
}

// Sums x (count) over the processes; begin .. end - 1 is this one's part. -0.0 + v is v to the bit, also for
// v = -0.0, where 0.0 + v would not be.
template <class T>
void SharedProgram::share(T* x, std::size_t begin, std::size_t end, std::size_t count) const {
  if (!x || count == 0) return;
  std::fill(x, x + begin, T(-0.0));
  std::fill(x + end, x + count, T(-0.0));
  if constexpr (std::is_same_v<T, float>)
    processes_->sum_floats(x, count);
  else
    processes_->sum_doubles(x, count);
}

void SharedProgram::run(const Widths& widths) {
  if (alone() || grouped_) {
    program_.run();
    return;
  }
  const auto first = static_cast<std::size_t>(first_window_), last = static_cast<std::size_t>(last_window_),
             batch = static_cast<std::size_t>(batch_);
  const auto weights = [&](float* x, std::size_t width) {
    share(x, first * width, last * width, batch * width);
  };
  weights(program_.weight(), widths.labels);
  weights(program_.teacher_weight(), widths.answers);
  weights(program_.hidden_weight(), widths.rows);
  program_.run_slots(first_slot_, last_slot_);
  const kernels::Slots<float> slots = program_.slots();
  share(slots.gradients, static_cast<std::size_t>(first_slot_) * slots.stride,
        static_cast<std::size_t>(last_slot_) * slots.stride,
        static_cast<std::size_t>(slots.count) * slots.stride);
  constexpr std::size_t kParts = sizeof(kernels::LossParts) / sizeof(double);
  static_assert(sizeof(kernels::LossParts) == kParts * sizeof(double));
  share(&slots.parts->label, first * kParts, last * kParts, batch * kParts);
  program_.join_slots();
}

bool SharedProgram::any(bool here) const {
  if (alone()) return here;
  double votes = here ? 1 : 0;
  processes_->sum_doubles(&votes, 1);
  return votes > 0;
}

void SharedProgram::expect_alike(int step, const RunIdentity& identity) const {
  if (alone()) return;
  // one row per process: the step, how many entries, a digest of each name and text; 52 bits fit a double
  constexpr std::size_t kEntries = 128;
  const auto digest = [](const std::string& text) {
    Sha256 sha;
    sha.update(std::string_view(text));
    return static_cast<double>(std::strtoull(sha.hex().substr(0, 13).c_str(), nullptr, 16));
  };
  const auto size = static_cast<std::size_t>(processes_->size),
             rank = static_cast<std::size_t>(processes_->rank);
  std::vector<double> all(size * kEntries);
  double* own = all.data() + rank * kEntries;
  std::vector<std::string> names = {"the step to go on from", "the number of settings"};
  own[0] = step;
  own[1] = static_cast<double>(identity.size());
  for (const auto& [name, text] : identity) {
    if (names.size() == kEntries) break;
    own[names.size()] = digest(name + "\n" + text);
    names.push_back("'" + name + "'");
  }
  share(all.data(), rank * kEntries, (rank + 1) * kEntries, all.size());
  for (std::size_t other = 1; other < size; ++other)
    for (std::size_t e = 0; e < names.size(); ++e)
      if (all[e] != all[other * kEntries + e])
        throw InputError("train(processes): expected one history and the same settings everywhere; process " +
                         std::to_string(other) + " differs from process 0 in " + names[e]);
}

}  // namespace emisopt
