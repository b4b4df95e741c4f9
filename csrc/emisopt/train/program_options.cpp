#include "emisopt/train/program_options.hpp"

#include "emisopt/base/error.hpp"
#include "emisopt/base/os.hpp"

namespace emisopt {

kernels::CompileOptions program_options(const Forecaster& forecaster, const TrainConfig& config,
                                        const Distillation* distillation, const kernels::OpList& network) {
  kernels::CompileOptions options;
  if (distillation) {
    options.distill = static_cast<float>(distillation->distill);
    options.distill_multiscale = static_cast<float>(distillation->multiscale);
    options.hidden = static_cast<float>(distillation->hidden);
  }
  options.mode = kernels::Mode::train;
  options.loss = config.loss;
  options.threads = config.threads;
  options.precision = config.precision;
  options.deterministic = config.deterministic;
  options.multiscale = static_cast<float>(config.multiscale);
  options.level_weights.assign(config.level_weights.begin(), config.level_weights.end());
  for (double level : forecaster.config.quantiles) options.levels.push_back(static_cast<float>(level));
  if (!config.trainable.empty()) {
    options.trainable = trainable_by_name(forecaster.network, config.trainable);
    options.trainable.resize(network.parameters.size(), 1);  // a projection always trains
  }
  return options;
}

std::string choices_path(const std::string& state) { return state + ".choices.json"; }

TrainConfig settled(const Forecaster& forecaster, const TrainConfig& config, const TrainFile& file,
                    const Processes* processes) {
  TrainConfig now = config;
  if (config.device == kernels::Device::cpu) return now;
  if (config.device == kernels::Device::automatic && processes)
    throw InputError(
        "TrainConfig.device: expected cpu or cuda for a training that several processes share, got "
        "automatic: "
        "each could choose another one");
  if (!file.path.empty() && os::file_exists(choices_path(file.path)))
    kernels::Choices::instance().load(choices_path(file.path));
  if (config.device != kernels::Device::automatic) return now;
  const kernels::Shapes shapes{config.batch, forecaster.layout.history_tokens(), forecaster.config.horizon};
  now.device = kernels::choose_device(forecaster.network, shapes,
                                      program_options(forecaster, config, nullptr, forecaster.network))
                   .device;
  return now;
}

}  // namespace emisopt
