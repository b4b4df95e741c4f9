// What a training asks of the engine, and on which device.
#pragma once
#include <string>

#include "emisopt/train/trainer.hpp"

namespace emisopt {

/// The train program of a run; `network` is the forecaster's, or that with a projection behind it.
kernels::CompileOptions program_options(const Forecaster& forecaster, const TrainConfig& config,
                                        const Distillation* distillation, const kernels::OpList& network);

/// Where the choices of a run whose state is in `state` are kept: beside it, so that it goes on as it began.
std::string choices_path(const std::string& state);

/// `config` with a device that is settled: automatic becomes what kernels::choose_device() says. First the
/// choices beside a state file that is there are taken. Throws InputError for automatic with several
/// processes, FileError for choices that cannot be read.
TrainConfig settled(const Forecaster& forecaster, const TrainConfig& config, const TrainFile& file,
                    const Processes* processes);

}  // namespace emisopt
