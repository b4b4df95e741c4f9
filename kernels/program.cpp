// compile: check, plan, choose the level, lay out memory.
#include "emisopt/base/error.hpp"
#include "kernels/cuda_plugin.hpp"
#include "kernels/interpreter.hpp"
#include "kernels/isa.hpp"
#include "kernels/ref/table.hpp"

namespace emisopt::kernels {
namespace {

template <class T>
std::unique_ptr<Program<T>> build(const OpList& ops, const Shapes& shapes, const CompileOptions& options,
                                  const KernelTable<T>& kernels, Isa isa) {
  validate(ops, shapes, options);
  if (options.precision == Precision::bfloat16)
    throw InputError(
        "compile: expected precision float32 or int8 on the CPU, got bfloat16; only CUDA computes in it");
  const int threads = options.threads > 0 ? options.threads : default_threads();
  return std::make_unique<Interpreter<T>>(make_plan(ops, shapes, options), options, kernels, isa, threads);
}

}  // namespace

std::unique_ptr<Program<float>> compile(const OpList& ops, const Shapes& shapes,
                                        const CompileOptions& options, Isa isa) {
  if (isa == Isa::cuda) return compile_by_plugin(ops, shapes, options);
  const KernelTable<float>* kernels = table_of(isa);
  if (!kernels) {
    std::string levels;
    for (const Isa level : isa_available())
      levels += std::string(levels.empty() ? "" : ", ") + to_string(level);
    throw InputError(std::string("compile: expected an ISA level of this machine (") + levels + "), got " +
                     to_string(isa));
  }
  return build(ops, shapes, options, *kernels, isa);
}

std::unique_ptr<Program<double>> compile_f64(const OpList& ops, const Shapes& shapes,
                                             const CompileOptions& options) {
  if (options.precision != Precision::float32)
    throw InputError(std::string("compile_f64: expected precision float32, got ") +
                     (options.precision == Precision::int8 ? "int8" : "bfloat16") + "; compile() has it");
  return build(ops, shapes, options, ref::table<double>(), Isa::ref);
}

}  // namespace emisopt::kernels
