"""
The C++ core of emisopt; the public names are in `emisopt`.
"""
from __future__ import annotations
import collections.abc
import numpy
import numpy.typing
import typing
__all__: list[str] = ['AcceptanceLimit', 'AdwinOptions', 'Alternative', 'AuditRecord', 'Averages', 'BasisMap', 'Boiler', 'BreakProbability', 'ChainMap', 'ConformalBackoff', 'ConformalCorrector', 'ConformalPredictor', 'Controller', 'ControllerConfig', 'ConversionMap', 'Corrector', 'CorrectorConfig', 'CostMap', 'CoverTally', 'CoverageConfig', 'CoverageMonitor', 'Cstr', 'CusumOptions', 'Decision', 'Device', 'DriftBank', 'Envelope', 'Error', 'ErrorDependence', 'Evaluation', 'Evaluator', 'EwmaOptions', 'Explanation', 'FaultyPredictor', 'FileError', 'ForecastNames', 'ForecastPredictor', 'ForecastSession', 'Forecaster', 'ForecasterConfig', 'FuelCost', 'GasBasis', 'GasConversion', 'Group', 'History', 'InputEnvelope', 'InputError', 'Interlock', 'Isa', 'KswinOptions', 'Limit', 'LimitSummary', 'LoopLog', 'LoopSummary', 'LordPlusPlus', 'Loss', 'MappedPredictor', 'Mode', 'OdePlant', 'OnlineConfig', 'OnlineLearner', 'OpKind', 'OpList', 'OutputMap', 'PageHinkleyOptions', 'PeriodCount', 'Permit', 'PermitRows', 'PermitRule', 'PermitSummary', 'PlantPredictor', 'Policy', 'Precision', 'Predictor', 'Prior', 'ProcessMonitor', 'ProcessState', 'Program', 'ProgramBuffer', 'QpAnswer', 'QuadraticCost', 'QuadrupleTank', 'RateMap', 'Reason', 'Rows', 'RuleResult', 'RunLengthCurve', 'Scenario', 'ScoreBank', 'SensorModel', 'SensorStream', 'Setpoint', 'ShapeError', 'Signal', 'Slack', 'Source', 'SpikeGate', 'StateError', 'Status', 'SteadyTime', 'StepBack', 'SubstitutedHour', 'SubstitutionRule', 'TableCost', 'Tag', 'TagMap', 'TeacherForecasts', 'Tracking', 'TrainConfig', 'TrainProgress', 'TrainResult', 'Training', 'TwoWindowKsOptions', 'UpdateReport', 'UpdateScope', 'WindowBackoff', 'Work', 'Zone', 'adamw', 'append_audit_record', 'ask_teachers', 'audit_accuracy_pct', 'average_reasons', 'backoff_quantiles', 'benjamini_hochberg', 'categories_differ', 'choices_json', 'clear_choices', 'compare_methods', 'confidence_interval_pct', 'copy_layers', 'cuda_refusal', 'cusum_limit', 'cusum_run_length', 'default_fuel_factors', 'default_fuels', 'default_threads', 'e_benjamini_hochberg', 'earth_mover_distance', 'epoch', 'ewma_limit', 'ewma_run_length', 'forecast_origins', 'fuel_factors', 'hellinger_distance', 'initial_weights', 'isa_available', 'isa_level', 'jensen_shannon_distance', 'join_group', 'judge', 'kg_h_from_mg_m3', 'kg_h_from_t_a', 'kg_h_map', 'known_pollutants', 'known_units', 'ks_p_value', 'lb_h_from_lb_mmbtu', 'lb_h_from_ppm', 'lb_h_map', 'lb_mmbtu_co2_map', 'lb_mmbtu_from_ppm', 'lb_mmbtu_from_ppm_co2', 'lb_mmbtu_map', 'lb_scf_per_ppm', 'lb_scf_per_ppm_of_mass', 'load_choices', 'make_history', 'make_network', 'match_tags', 'mg_m3_from_kg_h', 'mg_m3_per_ppm', 'molar_mass', 'monitor_availability', 'mpc_policy', 'normal_scores', 'permit_limits', 'pollutant_names', 'population_stability', 'ppm_from_lb_h', 'ppm_from_lb_mmbtu', 'ps16_limits', 'python_random_samples', 'read_archive', 'read_audit_log', 'relative_accuracy', 'remove_substitution', 'rolling_sum', 'run_prequential', 'save_choices', 'simulate_history', 'simulated_run_lengths', 'spot_limits_60d', 'squared_norm', 'substitute_missing', 't_a_from_kg_h', 't_a_map', 'tail_weights', 'train', 'trainable_by_name', 'training_envelope', 'transplant', 'variability', 'verify_audit_file', 'weak_fans', 'with_fresh_weights', 'with_lora', 'write_archive']
class Error(Exception):
    """
    Base of every error that emisopt raises itself.
    """
class InputError(Error, ValueError):
    """
    A value handed in is unusable: range, unit, text, stamp.
    """
class ShapeError(InputError):
    """
    An array has the wrong shape or type.
    """
class StateError(Error, RuntimeError):
    """
    A call came in the wrong state, e.g. predict before fit.
    """
class FileError(Error, OSError):
    """
    A file is missing, truncated, corrupt, foreign or newer than this library.
    """
class Isa:
    """
    Instruction-set levels of the engine.

    Members:

      ref

      avx2

      avx512

      vnni

      cuda
    """
    __members__: typing.ClassVar[dict[str, Isa]]
    avx2: typing.ClassVar[Isa]
    avx512: typing.ClassVar[Isa]
    cuda: typing.ClassVar[Isa]
    ref: typing.ClassVar[Isa]
    vnni: typing.ClassVar[Isa]
    @typing.overload
    def __eq__(self, other: Isa) -> bool:
        ...
    @typing.overload
    def __eq__(self, other: typing.Any) -> bool:
        ...
    def __getstate__(self) -> int:
        ...
    def __hash__(self) -> int:
        ...
    def __index__(self) -> int:
        ...
    def __init__(self, value: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __int__(self) -> int:
        ...
    @typing.overload
    def __ne__(self, other: Isa) -> bool:
        ...
    @typing.overload
    def __ne__(self, other: typing.Any) -> bool:
        ...
    def __repr__(self) -> str:
        ...
    def __setstate__(self, state: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __str__(self) -> str:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def value(self) -> int:
        ...
class Device:
    """
    Where training runs.

    Members:

      cpu

      cuda

      auto
    """
    __members__: typing.ClassVar[dict[str, Device]]
    auto: typing.ClassVar[Device]
    cpu: typing.ClassVar[Device]
    cuda: typing.ClassVar[Device]
    @typing.overload
    def __eq__(self, other: Device) -> bool:
        ...
    @typing.overload
    def __eq__(self, other: typing.Any) -> bool:
        ...
    def __getstate__(self) -> int:
        ...
    def __hash__(self) -> int:
        ...
    def __index__(self) -> int:
        ...
    def __init__(self, value: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __int__(self) -> int:
        ...
    @typing.overload
    def __ne__(self, other: Device) -> bool:
        ...
    @typing.overload
    def __ne__(self, other: typing.Any) -> bool:
        ...
    def __repr__(self) -> str:
        ...
    def __setstate__(self, state: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __str__(self) -> str:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def value(self) -> int:
        ...
class Group:
    """
    Processes with a GPU each that share a training, over NCCL.
    """
    @typing.overload
    def sum(self, x: numpy.typing.NDArray[numpy.float32]) -> None:
        """
        Sums a float32 array over the processes, in place.
        """
    @typing.overload
    def sum(self, x: numpy.typing.NDArray[numpy.float64]) -> None:
        """
        Sums a float64 array over the processes, in place.
        """
    @property
    def rank(self) -> int:
        """
        This process.
        """
    @property
    def size(self) -> int:
        """
        Processes that take part.
        """
class Precision:
    """
    Of the products inside the layers.

    Members:

      float32

      int8

      bf16
    """
    __members__: typing.ClassVar[dict[str, Precision]]
    bf16: typing.ClassVar[Precision]
    float32: typing.ClassVar[Precision]
    int8: typing.ClassVar[Precision]
    @typing.overload
    def __eq__(self, other: Precision) -> bool:
        ...
    @typing.overload
    def __eq__(self, other: typing.Any) -> bool:
        ...
    def __getstate__(self) -> int:
        ...
    def __hash__(self) -> int:
        ...
    def __index__(self) -> int:
        ...
    def __init__(self, value: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __int__(self) -> int:
        ...
    @typing.overload
    def __ne__(self, other: Precision) -> bool:
        ...
    @typing.overload
    def __ne__(self, other: typing.Any) -> bool:
        ...
    def __repr__(self) -> str:
        ...
    def __setstate__(self, state: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __str__(self) -> str:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def value(self) -> int:
        ...
class Rows:
    """
    Which token rows an op works on.

    Members:

      history

      future

      all
    """
    __members__: typing.ClassVar[dict[str, Rows]]
    all: typing.ClassVar[Rows]
    future: typing.ClassVar[Rows]
    history: typing.ClassVar[Rows]
    @typing.overload
    def __eq__(self, other: Rows) -> bool:
        ...
    @typing.overload
    def __eq__(self, other: typing.Any) -> bool:
        ...
    def __getstate__(self) -> int:
        ...
    def __hash__(self) -> int:
        ...
    def __index__(self) -> int:
        ...
    def __init__(self, value: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __int__(self) -> int:
        ...
    @typing.overload
    def __ne__(self, other: Rows) -> bool:
        ...
    @typing.overload
    def __ne__(self, other: typing.Any) -> bool:
        ...
    def __repr__(self) -> str:
        ...
    def __setstate__(self, state: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __str__(self) -> str:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def value(self) -> int:
        ...
class OpKind:
    """
    Operations of a network; kernels/backend.hpp has their formulas.

    Members:

      linear

      rmsnorm

      rope

      attention

      swiglu

      add

      quantiles
    """
    __members__: typing.ClassVar[dict[str, OpKind]]
    add: typing.ClassVar[OpKind]
    attention: typing.ClassVar[OpKind]
    linear: typing.ClassVar[OpKind]
    quantiles: typing.ClassVar[OpKind]
    rmsnorm: typing.ClassVar[OpKind]
    rope: typing.ClassVar[OpKind]
    swiglu: typing.ClassVar[OpKind]
    @typing.overload
    def __eq__(self, other: OpKind) -> bool:
        ...
    @typing.overload
    def __eq__(self, other: typing.Any) -> bool:
        ...
    def __getstate__(self) -> int:
        ...
    def __hash__(self) -> int:
        ...
    def __index__(self) -> int:
        ...
    def __init__(self, value: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __int__(self) -> int:
        ...
    @typing.overload
    def __ne__(self, other: OpKind) -> bool:
        ...
    @typing.overload
    def __ne__(self, other: typing.Any) -> bool:
        ...
    def __repr__(self) -> str:
        ...
    def __setstate__(self, state: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __str__(self) -> str:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def value(self) -> int:
        ...
class OpList:
    """
    A network as data: values, parameters and ops in order of execution.
    """
    def __init__(self) -> None:
        ...
    def add_op(self, kind: OpKind, rows: Rows, x: typing.SupportsInt | typing.SupportsIndex, y: typing.SupportsInt | typing.SupportsIndex, x2: typing.SupportsInt | typing.SupportsIndex = -1, w: typing.SupportsInt | typing.SupportsIndex = -1, b: typing.SupportsInt | typing.SupportsIndex = -1, outputs: typing.SupportsInt | typing.SupportsIndex = 0, levels: typing.SupportsInt | typing.SupportsIndex = 0, middle: typing.SupportsInt | typing.SupportsIndex = 0, heads: typing.SupportsInt | typing.SupportsIndex = 0, kv_heads: typing.SupportsInt | typing.SupportsIndex = 0, head_dim: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
        """
        Appends an op that reads the values x (and x2) and writes y.
        """
    def add_parameter(self, name: str, shape: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], decay: bool) -> int:
        """
        Adds a weight to the contiguous buffer; returns its id.
        """
    def add_value(self, name: str, width: typing.SupportsInt | typing.SupportsIndex, rows: Rows) -> int:
        """
        Adds an activation of `width` numbers per token row; returns its id.
        """
    def set_io(self, future: typing.SupportsInt | typing.SupportsIndex, quantiles: typing.SupportsInt | typing.SupportsIndex, outputs: typing.SupportsInt | typing.SupportsIndex, levels: typing.SupportsInt | typing.SupportsIndex, middle: typing.SupportsInt | typing.SupportsIndex, history: typing.SupportsInt | typing.SupportsIndex = -1, hidden: typing.SupportsInt | typing.SupportsIndex = -1) -> None:
        """
        Names the input and output values.
        """
    @property
    def future_width(self) -> int:
        """
        Numbers per future token.
        """
    @property
    def history_width(self) -> int:
        """
        Numbers per history token.
        """
    @property
    def levels(self) -> int:
        """
        Number of quantile levels.
        """
    @property
    def middle(self) -> int:
        """
        Index of the median among them.
        """
    @property
    def ops(self) -> list:
        """
        List of (kind, rows, width read, width written, heads, head_dim) in order of execution.
        """
    @property
    def outputs(self) -> int:
        ...
    @property
    def parameter_count(self) -> int:
        """
        Numbers in the contiguous buffer.
        """
    @property
    def parameters(self) -> list:
        """
        List of (name, shape, offset, decay) in canonical order.
        """
class Mode:
    """
    What a program computes.

    Members:

      infer

      vjp

      jacobian

      tangent

      train
    """
    __members__: typing.ClassVar[dict[str, Mode]]
    infer: typing.ClassVar[Mode]
    jacobian: typing.ClassVar[Mode]
    tangent: typing.ClassVar[Mode]
    train: typing.ClassVar[Mode]
    vjp: typing.ClassVar[Mode]
    @typing.overload
    def __eq__(self, other: Mode) -> bool:
        ...
    @typing.overload
    def __eq__(self, other: typing.Any) -> bool:
        ...
    def __getstate__(self) -> int:
        ...
    def __hash__(self) -> int:
        ...
    def __index__(self) -> int:
        ...
    def __init__(self, value: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __int__(self) -> int:
        ...
    @typing.overload
    def __ne__(self, other: Mode) -> bool:
        ...
    @typing.overload
    def __ne__(self, other: typing.Any) -> bool:
        ...
    def __repr__(self) -> str:
        ...
    def __setstate__(self, state: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __str__(self) -> str:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def value(self) -> int:
        ...
class Loss:
    """
    Training loss.

    Members:

      pinball

      squared

      huber
    """
    __members__: typing.ClassVar[dict[str, Loss]]
    huber: typing.ClassVar[Loss]
    pinball: typing.ClassVar[Loss]
    squared: typing.ClassVar[Loss]
    @typing.overload
    def __eq__(self, other: Loss) -> bool:
        ...
    @typing.overload
    def __eq__(self, other: typing.Any) -> bool:
        ...
    def __getstate__(self) -> int:
        ...
    def __hash__(self) -> int:
        ...
    def __index__(self) -> int:
        ...
    def __init__(self, value: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __int__(self) -> int:
        ...
    @typing.overload
    def __ne__(self, other: Loss) -> bool:
        ...
    @typing.overload
    def __ne__(self, other: typing.Any) -> bool:
        ...
    def __repr__(self) -> str:
        ...
    def __setstate__(self, state: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __str__(self) -> str:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def value(self) -> int:
        ...
class Program:
    """
    A compiled network; its buffers are float32 arrays on one arena.
    """
    def __init__(self, ops: OpList, *, batch: typing.SupportsInt | typing.SupportsIndex, history_tokens: typing.SupportsInt | typing.SupportsIndex, future_tokens: typing.SupportsInt | typing.SupportsIndex, mode: Mode, loss: Loss, levels: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], threads: typing.SupportsInt | typing.SupportsIndex, isa: Isa, level_weights: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex] = [], multiscale: typing.SupportsFloat | typing.SupportsIndex = 0.0, distill: typing.SupportsFloat | typing.SupportsIndex = 0.0, distill_multiscale: typing.SupportsFloat | typing.SupportsIndex = 0.0, hidden: typing.SupportsFloat | typing.SupportsIndex = 0.0, scales: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex] = [2, 4, 8], trainable: collections.abc.Sequence[bool] = [], seeds: collections.abc.Sequence[tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex]] = [], directions: collections.abc.Sequence[tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex]] = [], precision: Precision = Precision.float32, deterministic: bool = False, automatic: bool = False) -> None:
        ...
    def buffer(self, name: str) -> ProgramBuffer:
        """
        A buffer where the program has it, for other libraries.
        """
    def load(self, theta: numpy.typing.NDArray[numpy.float32]) -> None:
        """
        Copies the weights (parameter_count) and refreshes the packed forms.
        """
    def load_from(self, array: typing.Any) -> None:
        """
        load() of such an array (parameter_count).
        """
    def put(self, name: str, array: typing.Any) -> bool:
        """
        Copies an array with __dlpack__ or __cuda_array_interface__ into an input. True: it lies on the GPU, run() takes it from there.
        """
    def run(self) -> None:
        """
        Runs the future rows (train: all rows) on what the input buffers hold.
        """
    def run_context(self) -> None:
        """
        Runs the history rows and caches their keys and values.
        """
    def training(self, *, decay: typing.SupportsFloat | typing.SupportsIndex = 0.0, clip: typing.SupportsFloat | typing.SupportsIndex = 0.0, l2sp: typing.SupportsFloat | typing.SupportsIndex = 0.0, ewc: typing.SupportsFloat | typing.SupportsIndex = 0.0, anchor: numpy.typing.NDArray[numpy.float32] | None = None, fisher: numpy.typing.NDArray[numpy.float32] | None = None, average: bool = False, beta1: typing.SupportsFloat | typing.SupportsIndex = 0.8999999761581421, beta2: typing.SupportsFloat | typing.SupportsIndex = 0.9990000128746033, eps: typing.SupportsFloat | typing.SupportsIndex = 9.99999993922529e-09) -> Training | None:
        """
        Train: weights and optimiser on the program's device; None where the caller steps (the CPU). clip 0: off.
        """
    @property
    def bytes(self) -> int:
        """
        Size of the arena.
        """
    @property
    def direction(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Tangent: (directions, future_tokens, width).
        """
    @property
    def flop(self) -> float:
        """
        Floating-point operations of one run(), as counted when compiled.
        """
    @property
    def future(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Input buffer (batch, future_tokens, width).
        """
    @property
    def future_gradient(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Vjp: d cost / d future (batch, future_tokens, width), read-only.
        """
    @property
    def gradient(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Train: gradient of the mean loss (parameter_count), overwritten by each run; may be reduced in place.
        """
    @property
    def hidden(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Infer: the network's hidden output (batch, future_tokens, width), read-only.
        """
    @property
    def hidden_target(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Train, with hidden: what the hidden output should be.
        """
    @property
    def hidden_weight(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Train, with hidden: weights of the rows (batch, future_tokens).
        """
    @property
    def history(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Input buffer (1, history_tokens, width); train mode: (batch, ...).
        """
    @property
    def isa(self) -> Isa:
        """
        The level whose instructions run.
        """
    @property
    def jacobian(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Jacobian: (seeds, step of the output, step of the input, width), read-only; 0 for later inputs.
        """
    @property
    def loss(self) -> float:
        """
        Train: loss of the last run.
        """
    @property
    def loss_parts(self) -> dict:
        """
        Train: parts of that loss by name, each before its coefficient.
        """
    @property
    def quantiles(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Answer (batch, future_tokens, outputs * levels), read-only.
        """
    @property
    def seed(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Vjp: d cost / d quantiles (batch, future_tokens, outputs * levels).
        """
    @property
    def tangent(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Tangent: d quantiles along each direction (directions, future_tokens, outputs * levels), read-only.
        """
    @property
    def target(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Train: (batch, future_tokens, outputs).
        """
    @property
    def teacher(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Train, with distill: what a teacher said (batch, future_tokens, outputs * levels).
        """
    @property
    def teacher_weight(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Train, with distill: weights of the teacher's entries; 0 leaves an entry out.
        """
    @property
    def weight(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Train: weights of the targets (batch, future_tokens, outputs); 0 leaves an entry out.
        """
class ProgramBuffer:
    """
    A program's buffer for other libraries: takes part in DLPack and, on a GPU, in __cuda_array_interface__.
    """
    def __dlpack__(self, *, stream: typing.SupportsInt | typing.SupportsIndex | None = None, max_version: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex] | None = None, dl_device: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex] | None = None, copy: bool | None = None) -> typing.Any:
        """
        The buffer as a DLPack capsule, after what the consumer's stream is made to wait for.
        """
    def __dlpack_device__(self) -> tuple[int, int]:
        """
        DLPack's (type, number) of the device.
        """
    @property
    def __cuda_array_interface__(self) -> dict:
        """
        Version 3; AttributeError on the CPU.
        """
    @property
    def device(self) -> str:
        """
        "cpu" or "cuda:NUMBER".
        """
    @property
    def read_only(self) -> bool:
        """
        Whether only the program may write here.
        """
    @property
    def shape(self) -> tuple:
        """
        Lengths of the dimensions; float32, without gaps.
        """
class Training:
    """
    A training run on the device of its program.
    """
    def finish(self) -> dict:
        """
        Waits for the oldest step in flight: its loss, norm, and whether both are finite.
        """
    def get(self, theta: numpy.typing.NDArray[numpy.float32] | None = None, first: numpy.typing.NDArray[numpy.float32] | None = None, second: numpy.typing.NDArray[numpy.float32] | None = None, shadow: numpy.typing.NDArray[numpy.float32] | None = None) -> None:
        """
        The same from the device into arrays (parameter_count).
        """
    def put(self, theta: numpy.typing.NDArray[numpy.float32], first: numpy.typing.NDArray[numpy.float32], second: numpy.typing.NDArray[numpy.float32], shadow: numpy.typing.NDArray[numpy.float32]) -> None:
        """
        Weights, moments, and the average or the weights one step ago (parameter_count) to the device; no step may be in flight.
        """
    def step(self, rate: typing.SupportsFloat | typing.SupportsIndex, *, keep: typing.SupportsFloat | typing.SupportsIndex = 0.0, step: typing.SupportsInt | typing.SupportsIndex) -> None:
        """
        Puts a step in line, the `step`-th from 1 on, for the batch in the program's buffers, which from then on are others: ask for them again and write all of them.
        """
    @property
    def in_flight(self) -> int:
        """
        Steps put in line and not yet waited for, at most 2.
        """
class Tag:
    """
    A plant signal; read-only, made by TagMap.from_json.
    """
    def __repr__(self) -> str:
        ...
    @property
    def categories(self) -> list[str]:
        ...
    @property
    def frozen_after(self) -> int:
        """
        Rows with one value that mean a freeze; 0: unchecked.
        """
    @property
    def high(self) -> float:
        """
        Physical range in `unit`; NaN: open.
        """
    @property
    def kind(self) -> str:
        """
        continuous, categorical or laboratory
        """
    @property
    def known_ahead(self) -> bool:
        """
        Whether coming values are known.
        """
    @property
    def low(self) -> float:
        """
        Physical range in `unit`; NaN: open.
        """
    @property
    def missing(self) -> float | None:
        """
        Code that stands for no value, or None.
        """
    @property
    def name(self) -> str:
        ...
    @property
    def rate(self) -> float:
        """
        Setpoint: largest move per row in `unit`; NaN: free.
        """
    @property
    def role(self) -> str:
        """
        setpoint, disturbance, emission, quality or cost
        """
    @property
    def scale(self) -> str:
        """
        automatic, linear or log
        """
    @property
    def unit(self) -> str:
        ...
class TagMap:
    """
    The signals of a plant in column order.
    """
    @staticmethod
    def from_json(text: str) -> TagMap:
        """
        Reads the canonical JSON form; InputError names the field.
        """
    def __contains__(self, name: str) -> bool:
        ...
    def __getitem__(self, name: str) -> Tag:
        ...
    def __getstate__(self) -> tuple[str]:
        ...
    def __len__(self) -> int:
        ...
    def __setstate__(self, arg0: tuple) -> None:
        ...
    def to_json(self) -> str:
        """
        Canonical JSON: sorted keys, shortest round-trip numbers.
        """
    @property
    def disturbances(self) -> list[str]:
        ...
    @property
    def names(self) -> list[str]:
        ...
    @property
    def outputs(self) -> list[str]:
        """
        Names of emissions and qualities, in order: what a forecaster forecasts.
        """
    @property
    def period(self) -> float:
        """
        Seconds between rows; 0: rows without stamps.
        """
    @property
    def plant(self) -> str:
        """
        Title for people.
        """
    @property
    def setpoints(self) -> list[str]:
        ...
    @property
    def source(self) -> str:
        """
        Where the data comes from.
        """
    @property
    def synthetic(self) -> bool:
        ...
    @property
    def tags(self) -> list[Tag]:
        ...
class History:
    """
    Rows of a plant in physical units; NaN = missing, categories as index.
    """
    def __len__(self) -> int:
        ...
    def missing_count(self) -> list[int]:
        """
        Cells of each tag that are missing or were put aside.
        """
    def slice(self, first: typing.SupportsInt | typing.SupportsIndex, count: typing.SupportsInt | typing.SupportsIndex) -> History:
        """
        Rows [first, first + count) as a history.
        """
    @property
    def gap(self) -> numpy.typing.NDArray[numpy.bool]:
        """
        (N,) bool; True: this row does not follow the one before.
        """
    @property
    def rows(self) -> int:
        ...
    @property
    def tags(self) -> TagMap:
        ...
    @property
    def time(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (N,) seconds since 1970 UTC; empty: rows without stamps.
        """
    @property
    def values(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (N, tags), read-only, no copy.
        """
class GasBasis:
    """
    What a concentration refers to: unit, temperature, wet or dry, oxygen.
    """
    def __init__(self, unit: str, temperature_c: typing.SupportsFloat | typing.SupportsIndex, dry: bool, o2_reference: typing.SupportsFloat | typing.SupportsIndex) -> None:
        """
        o2_reference: %, NaN: as measured.
        """
    def __str__(self) -> str:
        ...
class GasConversion:
    """
    Concentrations from one basis to another.
    """
    def __init__(self, pollutant: str, source: GasBasis, target: GasBasis, o2_constant: typing.SupportsFloat | typing.SupportsIndex, o2_dry: bool) -> None:
        ...
    def apply(self, value: numpy.typing.NDArray[numpy.float64], o2: numpy.typing.NDArray[numpy.float64], moisture: numpy.typing.NDArray[numpy.float64], tag: str, time: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
        """
        (n) -> (n); o2 and moisture in %: (n), (1,) or (0,) for none; time: (n) s since 1970 UTC or (0,).
        """
    def factor(self, o2: typing.SupportsFloat | typing.SupportsIndex, moisture: typing.SupportsFloat | typing.SupportsIndex) -> float:
        ...
    def inverse(self) -> GasConversion:
        ...
    @property
    def needs_moisture(self) -> bool:
        ...
    @property
    def needs_o2(self) -> bool:
        ...
class Source:
    """
    Where an input of an output map comes from at each step.
    """
    @staticmethod
    def constant(value: typing.SupportsFloat | typing.SupportsIndex) -> Source:
        ...
    @staticmethod
    def disturbance(column: typing.SupportsInt | typing.SupportsIndex) -> Source:
        ...
    @staticmethod
    def output(column: typing.SupportsInt | typing.SupportsIndex) -> Source:
        ...
    @staticmethod
    def setpoint(column: typing.SupportsInt | typing.SupportsIndex) -> Source:
        ...
class OutputMap:
    """
    Quantities q (Q) from outputs y (O), setpoints u (U), disturbances d (D) of a step.
    """
    def value(self, y: numpy.typing.NDArray[numpy.float64], u: numpy.typing.NDArray[numpy.float64], d: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
        ...
    def vjp(self, seed: numpy.typing.NDArray[numpy.float64], y: numpy.typing.NDArray[numpy.float64], u: numpy.typing.NDArray[numpy.float64], d: numpy.typing.NDArray[numpy.float64]) -> tuple[numpy.typing.NDArray[numpy.float64], numpy.typing.NDArray[numpy.float64]]:
        """
        -> (dy, du).
        """
    @property
    def names(self) -> list[str]:
        ...
class ConversionMap(OutputMap):
    def __init__(self, outputs: collections.abc.Sequence[str], conversions: collections.abc.Sequence[tuple[typing.SupportsInt | typing.SupportsIndex, GasConversion, Source, Source]]) -> None:
        """
        conversions: (output, conversion, o2 source, moisture source).
        """
class RateMap(OutputMap):
    def __init__(self, outputs: collections.abc.Sequence[str], name: str, factor: typing.SupportsFloat | typing.SupportsIndex, concentration: Source, flow: Source) -> None:
        ...
class ChainMap(OutputMap):
    def __init__(self, first: OutputMap, second: OutputMap) -> None:
        ...
class SubstitutionRule:
    """
    40 CFR 75 subpart D; see emisopt.compliance.
    """
    def __init__(self, max_potential: typing.SupportsFloat | typing.SupportsIndex, load_ranges: bool, lookback_hours: typing.SupportsInt | typing.SupportsIndex, percentile: str, count_operating_hours: bool, availability_hours: typing.SupportsInt | typing.SupportsIndex, oldest_hours: typing.SupportsInt | typing.SupportsIndex, allow_unverified: bool) -> None:
        ...
    @property
    def verified(self) -> bool:
        ...
class SubstitutedHour:
    """
    What one substituted hour's value rests on.
    """
    @property
    def after(self) -> float:
        ...
    @property
    def after_row(self) -> int:
        ...
    @property
    def availability(self) -> float:
        ...
    @property
    def before(self) -> float:
        ...
    @property
    def before_row(self) -> int:
        ...
    @property
    def gap_first(self) -> int:
        ...
    @property
    def gap_hours(self) -> int:
        ...
    @property
    def lookback_count(self) -> int:
        ...
    @property
    def lookback_first(self) -> int:
        ...
    @property
    def lookback_last(self) -> int:
        ...
    @property
    def lookback_value(self) -> float:
        ...
    @property
    def method(self) -> str:
        ...
    @property
    def original(self) -> float:
        ...
    @property
    def row(self) -> int:
        ...
    @property
    def value(self) -> float:
        ...
    @property
    def verified(self) -> bool:
        ...
class AcceptanceLimit:
    """
    A limit on a statistic, with its source.
    """
    def __init__(self, statistic: str, limit: typing.SupportsFloat | typing.SupportsIndex, at_most: bool, source: str, verified: bool) -> None:
        ...
    @property
    def at_most(self) -> bool:
        ...
    @property
    def limit(self) -> float:
        ...
    @property
    def source(self) -> str:
        ...
    @property
    def statistic(self) -> str:
        ...
    @property
    def verified(self) -> bool:
        ...
class AuditRecord:
    """
    A record as read back; see emisopt.compliance.audit.
    """
    def __init__(self, text: str) -> None:
        ...
    def verify(self) -> list[str]:
        ...
    def verify_inputs(self, inputs: collections.abc.Sequence[tuple[str, typing.Annotated[numpy.typing.ArrayLike, numpy.float64]]]) -> list[str]:
        ...
    def verify_result(self, now: str, tolerance: typing.SupportsFloat | typing.SupportsIndex) -> list[str]:
        ...
    @property
    def json(self) -> str:
        ...
    @property
    def previous(self) -> str:
        ...
    @property
    def sequence(self) -> int:
        ...
    @property
    def sha256(self) -> str:
        ...
class PermitRule:
    """
    One limit of a permit; read-only, made by Permit.from_json.
    """
    def __repr__(self) -> str:
        ...
    @property
    def article(self) -> str:
        ...
    @property
    def base_length_s(self) -> int:
        ...
    @property
    def either(self) -> str:
        """
        Of the rules with the same text one must hold.
        """
    @property
    def limit(self) -> float:
        """
        In `unit`.
        """
    @property
    def limit_text(self) -> str:
        """
        With unit, basis and, where it is, UNVERIFIED.
        """
    @property
    def name(self) -> str:
        ...
    @property
    def needs_period(self) -> bool:
        ...
    @property
    def over(self) -> str:
        ...
    @property
    def pollutant(self) -> str:
        ...
    @property
    def source(self) -> str:
        ...
    @property
    def tag(self) -> str:
        """
        Judged on this tag alone; '': on every tag of the pollutant.
        """
    @property
    def unit(self) -> str:
        ...
    @property
    def verified(self) -> bool:
        """
        Somebody read the limit in its source.
        """
    @property
    def words(self) -> str:
        """
        The rule for people who answer for it.
        """
class Signal:
    """
    What a column measures.
    """
    def __init__(self, *, tag: str, pollutant: str, unit: str, moisture: str = '', oxygen: typing.SupportsFloat | typing.SupportsIndex = ..., oxygen_tag: str = '') -> None:
        ...
    @property
    def moisture(self) -> str:
        ...
    @property
    def oxygen(self) -> float:
        """
        Reference that the values are at, vol %; NaN: not said.
        """
    @property
    def oxygen_tag(self) -> str:
        """
        Column with the oxygen that they were measured at.
        """
    @property
    def pollutant(self) -> str:
        ...
    @property
    def tag(self) -> str:
        ...
    @property
    def unit(self) -> str:
        ...
class Permit:
    """
    Rules as data, with the hash that names them.
    """
    @staticmethod
    def from_json(text: str) -> Permit:
        """
        Reads the JSON form; InputError names the field.
        """
    def __getstate__(self) -> tuple[str]:
        ...
    def __setstate__(self, arg0: tuple) -> None:
        ...
    def to_json(self) -> str:
        """
        Canonical JSON: sorted keys, shortest round-trip numbers.
        """
    def with_rules(self, names: collections.abc.Sequence[str]) -> Permit:
        """
        The same permit with these rules only.
        """
    @property
    def hash(self) -> str:
        """
        SHA-256 of to_json(), 64 hexadecimal digits.
        """
    @property
    def name(self) -> str:
        ...
    @property
    def needs_period(self) -> bool:
        """
        A rule counts samples, so that the seconds between them must be known.
        """
    @property
    def rules(self) -> list[PermitRule]:
        ...
    @property
    def signals(self) -> list[Signal]:
        ...
    @property
    def source(self) -> str:
        ...
    @property
    def unverified(self) -> list[str]:
        """
        Names of rules that nobody read in their source.
        """
    @property
    def zone(self) -> str:
        """
        IANA name of the zone of civil days.
        """
class Zone:
    """
    Offsets of civil time from UTC, as a table.
    """
    @staticmethod
    def from_json(text: str) -> Zone:
        ...
    def __init__(self, name: str, since: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], offset_s: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], first: typing.SupportsInt | typing.SupportsIndex, last: typing.SupportsInt | typing.SupportsIndex) -> None:
        """
        since (n): UTC seconds of changes; offset_s (n + 1); the table is right from first to last.
        """
    def to_json(self) -> str:
        """
        For programs without a zone database.
        """
    @property
    def name(self) -> str:
        ...
class Averages:
    """
    Averages of one kind in order of their end.
    """
class PeriodCount:
    """
    Good and bad averages of one civil period.
    """
    @property
    def bad(self) -> int:
        ...
    @property
    def good(self) -> int:
        ...
    @property
    def holds(self) -> bool:
        ...
    @property
    def label(self) -> str:
        ...
class StepBack:
    """
    A row whose stamp lies before an earlier row's.
    """
    @property
    def from_s(self) -> float:
        ...
    @property
    def row(self) -> int:
        ...
    @property
    def to_s(self) -> float:
        ...
class RuleResult:
    """
    One rule on one tag.
    """
    @property
    def above(self) -> int:
        """
        Of these, those above the limit.
        """
    @property
    def availability(self) -> list[PeriodCount]:
        ...
    @property
    def averages(self) -> tuple[numpy.typing.NDArray[numpy.int64], numpy.typing.NDArray[numpy.int64], numpy.typing.NDArray[numpy.float64], numpy.typing.NDArray[numpy.uint8], numpy.typing.NDArray[numpy.int32]]:
        """
        begin (n), end (n) in UTC seconds; value (n), NaN where it does not count; reason (n), an index of
        average_reasons(); used (n): valid base means in the window.
        """
    @property
    def base(self) -> tuple[numpy.typing.NDArray[numpy.int64], numpy.typing.NDArray[numpy.int64], numpy.typing.NDArray[numpy.float64], numpy.typing.NDArray[numpy.uint8], numpy.typing.NDArray[numpy.int32]]:
        """
        begin (n), end (n) in UTC seconds; value (n), NaN where it does not count; reason (n), an index of
        average_reasons(); used (n): valid base means in the window.
        """
    @property
    def held_by(self) -> str:
        """
        The alternative that holds in its place, or ''.
        """
    @property
    def hours_above(self) -> float:
        ...
    @property
    def judged(self) -> numpy.typing.NDArray[numpy.bool]:
        """
        (n) bool per average: it counts and the rule is in force.
        """
    @property
    def negatives(self) -> int:
        """
        Samples left out as negative.
        """
    @property
    def periods(self) -> list[PeriodCount]:
        ...
    @property
    def reasons(self) -> dict:
        ...
    @property
    def rule(self) -> PermitRule:
        ...
    @property
    def tag(self) -> str:
        ...
    @property
    def total(self) -> int:
        """
        Averages of operating time.
        """
    @property
    def valid(self) -> int:
        """
        Of these, those that count.
        """
    @property
    def verdict(self) -> str:
        """
        holds, broken or not judged; by itself, whatever an alternative says.
        """
    @property
    def worst(self) -> int:
        """
        Index of the highest valid average; -1: none.
        """
    @property
    def worst_value(self) -> float:
        ...
class Evaluation:
    """
    A permit judged on data.
    """
    def __len__(self) -> int:
        ...
    def result(self, i: typing.SupportsInt | typing.SupportsIndex) -> RuleResult:
        """
        In the permit's order of rules, then of signals; IndexError beyond the last.
        """
    def to_json(self) -> str:
        """
        Counts, worst averages and verdicts as canonical JSON.
        """
    @property
    def first_steps_back(self) -> list[StepBack]:
        ...
    @property
    def permit(self) -> str:
        ...
    @property
    def permit_hash(self) -> str:
        ...
    @property
    def rows(self) -> int:
        ...
    @property
    def steps_back(self) -> int:
        ...
    @property
    def verdict(self) -> str:
        ...
    @property
    def zone(self) -> str:
        ...
class Limit:
    """
    A limit on the rolling mean of one output over `window` rows; 1: spot.
    """
    def __init__(self, *, name: str, output: typing.SupportsInt | typing.SupportsIndex, limit: typing.SupportsFloat | typing.SupportsIndex, window: typing.SupportsInt | typing.SupportsIndex = 1, rank: typing.SupportsInt | typing.SupportsIndex = 1, quantile: typing.SupportsFloat | typing.SupportsIndex = 0.95, min_valid: typing.SupportsFloat | typing.SupportsIndex = 0.5) -> None:
        ...
    @property
    def limit(self) -> float:
        """
        In the output's unit.
        """
    @property
    def name(self) -> str:
        ...
    @property
    def output(self) -> int:
        """
        Column of the forecast.
        """
    @property
    def quantile(self) -> float:
        """
        The forecast quantile that must hold.
        """
    @property
    def rank(self) -> int:
        """
        1 is most important.
        """
    @property
    def window(self) -> int:
        """
        Rows.
        """
class ForecastNames:
    """
    Names of a forecast's outputs, setpoints, disturbances.
    """
    def __init__(self, outputs: collections.abc.Sequence[str], setpoints: collections.abc.Sequence[str], disturbances: collections.abc.Sequence[str]) -> None:
        ...
class BasisMap(OutputMap):
    """
    Outputs, and after them those that a permit judges at a reference oxygen.
    """
    @property
    def columns(self) -> list[int]:
        """
        Output that each converted quantity is made of.
        """
    @property
    def oxygen(self) -> list[int]:
        """
        Output that its oxygen is; -1: a setpoint or a disturbance.
        """
class PermitRows:
    """
    A permit's limits as linear rows over the coming steps.
    """
    def __len__(self) -> int:
        ...
    def table(self, horizon: typing.SupportsInt | typing.SupportsIndex) -> dict:
        """
        Arrays by row; coefficient (n, H).
        """
    @property
    def left_out(self) -> list[tuple[str, str]]:
        """
        (rule, why) of rules that are no linear rows.
        """
    @property
    def limits(self) -> list[Limit]:
        """
        What the rows belong to; `output`: of basis_map().
        """
class SteadyTime:
    """
    Stamps at a steady pace of whole seconds, UTC.
    """
    @staticmethod
    def between(first: typing.SupportsInt | typing.SupportsIndex, second: typing.SupportsInt | typing.SupportsIndex, last: typing.SupportsInt | typing.SupportsIndex, rows: typing.SupportsInt | typing.SupportsIndex, per_second: typing.SupportsInt | typing.SupportsIndex) -> SteadyTime | None:
        """
        The same of ticks that are known to rise evenly, by three of them; None where they do not agree.
        """
    @staticmethod
    def of(ticks: numpy.typing.NDArray[numpy.int64], per_second: typing.SupportsInt | typing.SupportsIndex) -> SteadyTime | None:
        """
        ticks (N) since 1970, of which a second has per_second; None where the pace is not steady.
        """
    @property
    def first_s(self) -> int:
        ...
    @property
    def last_s(self) -> int:
        ...
    @property
    def rows(self) -> int:
        ...
    @property
    def step_s(self) -> int:
        ...
class Evaluator:
    """
    Judges a permit on rows as they come.
    """
    def __init__(self, permit: Permit, signals: collections.abc.Sequence[Signal], columns: collections.abc.Sequence[str], zone: Zone, *, allow_unverified: bool = False, period_s: typing.SupportsFloat | typing.SupportsIndex = 0.0, lateness_s: typing.SupportsFloat | typing.SupportsIndex = 0.0, stamp_is_end: bool = False, negative_is_missing: bool = False, threads: typing.SupportsInt | typing.SupportsIndex = 1) -> None:
        ...
    def basis_map(self, names: ForecastNames) -> BasisMap:
        ...
    def coming(self, from_s: typing.SupportsInt | typing.SupportsIndex, step_s: typing.SupportsInt | typing.SupportsIndex, steps: typing.SupportsInt | typing.SupportsIndex, names: ForecastNames, *, sample_s: typing.SupportsFloat | typing.SupportsIndex = 0.0, rank: collections.abc.Mapping[str, typing.SupportsInt | typing.SupportsIndex] = {}, spared_rank: typing.SupportsInt | typing.SupportsIndex = 3, quantile: typing.SupportsFloat | typing.SupportsIndex = 0.95, to_date: bool = True, skip: bool = False) -> PermitRows:
        """
        What the permit still asks of the steps from `from_s` (UTC seconds) on.
        """
    def finish(self) -> None:
        ...
    @typing.overload
    def push(self, time: numpy.typing.NDArray[numpy.float64], columns: list, status: list = [], plant: typing.Any = None) -> None:
        """
        time (N) in UTC seconds; columns: (N) float64 each, NaN = missing; status: per column (N) uint8 or
        None (valid, calibration, maintenance, invalid); plant (N) uint8 or None (off, on, startup, shutdown,
        malfunction).
        """
    @typing.overload
    def push(self, time: SteadyTime, columns: list, status: list = [], plant: typing.Any = None) -> None:
        """
        The same of rows at a steady pace.
        """
    def result(self) -> Evaluation:
        ...
    @typing.overload
    def run(self, time: numpy.typing.NDArray[numpy.float64], columns: list, status: list = [], plant: typing.Any = None) -> Evaluation:
        """
        push() of all rows, finish() and result() at once.
        """
    @typing.overload
    def run(self, time: SteadyTime, columns: list, status: list = [], plant: typing.Any = None) -> Evaluation:
        """
        The same of rows at a steady pace.
        """
    @property
    def newest(self) -> float:
        """
        Stamp of the newest row, UTC seconds.
        """
class Prior:
    """
    What is known of outputs without data, of one row's operation.
    """
    @staticmethod
    def function(tags: TagMap, name: str) -> Prior:
        """
        A function that C++ code of this process registered.
        """
    @staticmethod
    def table(tags: TagMap, tables: collections.abc.Sequence[tuple[str, collections.abc.Sequence[tuple[str, collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]]], collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]]]) -> Prior:
        """
        From [(output, [(tag, points), ...], values row-major), ...].
        """
    def evaluate(self, setpoints: numpy.typing.NDArray[numpy.float64], disturbances: numpy.typing.NDArray[numpy.float64]) -> tuple:
        """
        (N, U), (N, D) physical -> value (N, O), d value / d setpoint (N, O, U); NaN: not known.
        """
    @property
    def json(self) -> str:
        """
        What a checkpoint keeps of it.
        """
class CusumOptions:
    """
    Two-sided tabular CUSUM of standardised values.
    """
    def __init__(self, *, slack: typing.SupportsFloat | typing.SupportsIndex = 0.5, limit: typing.SupportsFloat | typing.SupportsIndex = 5.0) -> None:
        ...
    @property
    def limit(self) -> float:
        ...
    @property
    def slack(self) -> float:
        ...
class EwmaOptions:
    """
    EWMA chart of standardised values.
    """
    def __init__(self, *, weight: typing.SupportsFloat | typing.SupportsIndex = 0.1, limit: typing.SupportsFloat | typing.SupportsIndex = 2.8) -> None:
        ...
    @property
    def limit(self) -> float:
        ...
    @property
    def weight(self) -> float:
        ...
class PageHinkleyOptions:
    """
    Page-Hinkley test of values as they are.
    """
    def __init__(self, *, min_instances: typing.SupportsInt | typing.SupportsIndex = 30, delta: typing.SupportsFloat | typing.SupportsIndex = 0.005, limit: typing.SupportsFloat | typing.SupportsIndex = 50.0, alpha: typing.SupportsFloat | typing.SupportsIndex = 0.9999, mode: str = 'both', variant: str = 'river') -> None:
        ...
    @property
    def limit(self) -> float:
        ...
class AdwinOptions:
    """
    ADWIN2, adaptive windowing.
    """
    def __init__(self, *, delta: typing.SupportsFloat | typing.SupportsIndex = 0.002, clock: typing.SupportsInt | typing.SupportsIndex = 32, max_buckets: typing.SupportsInt | typing.SupportsIndex = 5, min_window: typing.SupportsInt | typing.SupportsIndex = 5, grace: typing.SupportsInt | typing.SupportsIndex = 10, variant: str = 'river') -> None:
        ...
    @property
    def delta(self) -> float:
        ...
class KswinOptions:
    """
    KSWIN, a windowed Kolmogorov-Smirnov test on drawn samples.
    """
    def __init__(self, *, alpha: typing.SupportsFloat | typing.SupportsIndex = 0.005, window: typing.SupportsInt | typing.SupportsIndex = 100, sample: typing.SupportsInt | typing.SupportsIndex = 30, seed: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
        ...
    @property
    def alpha(self) -> float:
        ...
    @property
    def critical(self) -> int:
        """
        Least distance that alarms, in samples.
        """
class TwoWindowKsOptions:
    """
    Exact incremental Kolmogorov-Smirnov distance.
    """
    def __init__(self, *, reference: typing.SupportsInt | typing.SupportsIndex = 500, recent: typing.SupportsInt | typing.SupportsIndex = 100, limit: typing.SupportsFloat | typing.SupportsIndex = 0.25) -> None:
        ...
    @property
    def limit(self) -> float:
        ...
class DriftBank:
    """
    One detector per tag over (rows, tags) tables.
    """
    def __init__(self, options: CusumOptions | EwmaOptions | PageHinkleyOptions | AdwinOptions | KswinOptions | TwoWindowKsOptions, names: collections.abc.Sequence[str], keep_peaks: bool = False) -> None:
        ...
    def push(self, values: numpy.typing.NDArray[numpy.float64], time: typing.Annotated[numpy.typing.ArrayLike, numpy.float64] | None = None, threads: typing.SupportsInt | typing.SupportsIndex = 1) -> dict:
        """
        values (N, tags), NaN = missing; time (N) UTC seconds for messages. Alarms as arrays.
        """
    def restart(self, tag: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def restart_all(self) -> None:
        ...
    def set_limits(self, limits: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]) -> None:
        """
        Per tag; NaN: not judged.
        """
    def take_peaks(self) -> dict:
        ...
    @property
    def alarms(self) -> numpy.typing.NDArray[numpy.int64]:
        ...
    @property
    def limits(self) -> numpy.typing.NDArray[numpy.float64]:
        ...
    @property
    def missing(self) -> numpy.typing.NDArray[numpy.int64]:
        ...
    @property
    def names(self) -> list[str]:
        ...
    @property
    def rows(self) -> int:
        ...
class ScoreBank:
    """
    Values as pre-whitened normal scores against a reference period.
    """
    def __init__(self, reference: numpy.typing.NDArray[numpy.float64], gap: typing.Annotated[numpy.typing.ArrayLike, numpy.uint8] | None, names: collections.abc.Sequence[str], *, max_order: typing.SupportsInt | typing.SupportsIndex = 8, least_values: typing.SupportsInt | typing.SupportsIndex = 100, threads: typing.SupportsInt | typing.SupportsIndex = 1) -> None:
        ...
    def inflations(self, reference: numpy.typing.NDArray[numpy.float64], gap: typing.Annotated[numpy.typing.ArrayLike, numpy.uint8] | None, chart: CusumOptions | EwmaOptions | PageHinkleyOptions | AdwinOptions | KswinOptions | TwoWindowKsOptions, *, run_length: typing.SupportsFloat | typing.SupportsIndex, block: typing.SupportsInt | typing.SupportsIndex = 0, values: typing.SupportsInt | typing.SupportsIndex = 100000, seed: typing.SupportsInt | typing.SupportsIndex = 0, threads: typing.SupportsInt | typing.SupportsIndex = 1) -> numpy.typing.NDArray[numpy.float64]:
        ...
    def push(self, values: numpy.typing.NDArray[numpy.float64], gap: typing.Annotated[numpy.typing.ArrayLike, numpy.uint8] | None = None, threads: typing.SupportsInt | typing.SupportsIndex = 1) -> numpy.typing.NDArray[numpy.float64]:
        ...
    @property
    def table(self) -> dict:
        ...
class RunLengthCurve:
    """
    In-control run length by limit.
    """
    @staticmethod
    def cusum(slack: typing.SupportsFloat | typing.SupportsIndex) -> RunLengthCurve:
        ...
    @staticmethod
    def ewma(weight: typing.SupportsFloat | typing.SupportsIndex) -> RunLengthCurve:
        ...
    def p_value(self, peak: typing.SupportsFloat | typing.SupportsIndex, rows: typing.SupportsInt | typing.SupportsIndex) -> float:
        ...
    def run_length(self, limit: typing.SupportsFloat | typing.SupportsIndex) -> float:
        ...
class LordPlusPlus:
    """
    LORD++, online control of false discoveries.
    """
    def __init__(self, level: typing.SupportsFloat | typing.SupportsIndex, start_wealth: typing.SupportsFloat | typing.SupportsIndex = 0.5) -> None:
        ...
    def test(self, p_value: typing.SupportsFloat | typing.SupportsIndex) -> bool:
        ...
    @property
    def discoveries(self) -> int:
        ...
    @property
    def next_level(self) -> float:
        ...
    @property
    def tests(self) -> int:
        ...
class SensorModel:
    """
    A plant's sensors in health.
    """
    @staticmethod
    def fit(tags: TagMap, values: numpy.typing.NDArray[numpy.float64], status: numpy.typing.NDArray[numpy.uint8], gap: numpy.typing.NDArray[numpy.bool], *, false_alarms: typing.SupportsFloat | typing.SupportsIndex, rows_per_month: typing.SupportsFloat | typing.SupportsIndex, memory: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], baseline: typing.SupportsFloat | typing.SupportsIndex, factors: typing.SupportsInt | typing.SupportsIndex, blocks: typing.SupportsInt | typing.SupportsIndex, settle_rows: typing.SupportsInt | typing.SupportsIndex, most_accused: typing.SupportsFloat | typing.SupportsIndex, confidence: typing.SupportsFloat | typing.SupportsIndex) -> SensorModel:
        """
        Reference rows (N, tags), NaN = missing; status (N, tags) uint8 or (0, 0); gap (N,).
        """
    def reconstruct(self, values: numpy.typing.NDArray[numpy.float64], status: numpy.typing.NDArray[numpy.uint8], gap: numpy.typing.NDArray[numpy.bool]) -> tuple[numpy.typing.NDArray[numpy.float64], numpy.typing.NDArray[numpy.float64]]:
        """
        (N, tags) expected by the other tags and its sd; NaN where not modelled.
        """
    @property
    def factor_count(self) -> int:
        """
        Common causes.
        """
    @property
    def frozen_rows(self) -> list[int]:
        """
        Per tag, rows with one value that are a freeze; 0: never judged.
        """
    @property
    def judged(self) -> list[bool]:
        """
        Of those, which may be accused.
        """
    @property
    def limits(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (T, 2 + 2 memories): spread, limits of a jump, of each mean, of its change; model standard deviations.
        """
    @property
    def modelled(self) -> list[int]:
        """
        Columns that are reconstructed.
        """
    @property
    def stuck_rows(self) -> list[int]:
        """
        Per tag, rows at an end that are stuck; 0: never judged.
        """
class SensorStream:
    """
    Sensors watched row by row.
    """
    def __init__(self, model: SensorModel) -> None:
        ...
    def findings(self) -> dict:
        """
        All findings so far as arrays by name.
        """
    def push(self, values: numpy.typing.NDArray[numpy.float64], status: numpy.typing.NDArray[numpy.uint8], gap: numpy.typing.NDArray[numpy.bool]) -> None:
        """
        More rows (n, tags); status (n, tags) uint8 or (0, 0); gap (n,).
        """
    @property
    def rows(self) -> int:
        ...
class InputEnvelope:
    """
    A calibrated distance from training rows.
    """
    @staticmethod
    def fit(rows: numpy.typing.NDArray[numpy.float64], names: collections.abc.Sequence[str], *, distance: str, neighbours: typing.SupportsInt | typing.SupportsIndex, blocks: typing.SupportsInt | typing.SupportsIndex, most_rows: typing.SupportsInt | typing.SupportsIndex) -> InputEnvelope:
        ...
    def place(self, rows: numpy.typing.NDArray[numpy.float64], contributions: bool = False) -> tuple[numpy.typing.NDArray[numpy.float64], numpy.typing.NDArray[numpy.float64], numpy.typing.NDArray[numpy.float64]]:
        """
        (distance (n,), p (n,), contributions (n or 0, tags)).
        """
    @property
    def calibration(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        Sorted distances of held-out training rows.
        """
class ProcessState:
    """
    What a stream of rows has left in a ProcessMonitor's filters.
    """
class ProcessMonitor:
    """
    Filtered distances of lagged rows from normal operation.
    """
    @staticmethod
    def fit(rows: numpy.typing.NDArray[numpy.float64], gap: numpy.typing.NDArray[numpy.bool], names: collections.abc.Sequence[str], *, lags: typing.SupportsInt | typing.SupportsIndex, memory: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], false_alarms: typing.SupportsFloat | typing.SupportsIndex, blocks: typing.SupportsInt | typing.SupportsIndex, confidence: typing.SupportsFloat | typing.SupportsIndex) -> ProcessMonitor:
        ...
    def push(self, state: ProcessState, rows: numpy.typing.NDArray[numpy.float64], gap: numpy.typing.NDArray[numpy.bool], contributions: bool = False) -> tuple[numpy.typing.NDArray[numpy.float64], numpy.typing.NDArray[numpy.float64]]:
        """
        (score (N, statistics) over their limits, contributions (N or 0, tags)).
        """
    def start(self) -> ProcessState:
        ...
    @property
    def limits(self) -> list[float]:
        """
        Of each statistic, in mean squares.
        """
    @property
    def shrinkage(self) -> list[float]:
        """
        Of each statistic's covariance.
        """
class CoverTally:
    """
    How often one interval covers, overall and over any window.
    """
    def __init__(self, window: typing.SupportsInt | typing.SupportsIndex = 500) -> None:
        ...
    def add(self, inside: numpy.typing.NDArray[numpy.float64], width: numpy.typing.NDArray[numpy.float64]) -> None:
        """
        (n,) 1 or 0, and widths.
        """
    def record(self) -> dict:
        """
        rows, cover, recent, least, greatest, width, least_width, widest.
        """
class CoverageMonitor:
    """
    Raw and corrected intervals side by side.
    """
    def __init__(self, horizon: typing.SupportsInt | typing.SupportsIndex, outputs: typing.SupportsInt | typing.SupportsIndex, levels: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], low: typing.SupportsFloat | typing.SupportsIndex = 0.1, high: typing.SupportsFloat | typing.SupportsIndex = 0.9, window: typing.SupportsInt | typing.SupportsIndex = 500) -> None:
        ...
    def add(self, output: typing.SupportsInt | typing.SupportsIndex, y: numpy.typing.NDArray[numpy.float64], raw: numpy.typing.NDArray[numpy.float64], corrected: numpy.typing.NDArray[numpy.float64]) -> None:
        """
        One forecast of an output: (H,), (H, Q), (H, Q); NaN is passed over.
        """
    def corrected(self, step: typing.SupportsInt | typing.SupportsIndex, output: typing.SupportsInt | typing.SupportsIndex) -> dict:
        ...
    def raw(self, step: typing.SupportsInt | typing.SupportsIndex, output: typing.SupportsInt | typing.SupportsIndex) -> dict:
        ...
    @property
    def nominal(self) -> float:
        ...
class CoverageConfig:
    """
    csrc/emisopt/monitor/coverage.hpp
    """
    move_median: bool
    def __init__(self) -> None:
        ...
    @property
    def delay(self) -> int:
        ...
    @delay.setter
    def delay(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def follow(self) -> float:
        ...
    @follow.setter
    def follow(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def horizon(self) -> int:
        ...
    @horizon.setter
    def horizon(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def lateness(self) -> int:
        ...
    @lateness.setter
    def lateness(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def levels(self) -> list[float]:
        ...
    @levels.setter
    def levels(self, arg0: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]) -> None:
        ...
    @property
    def median_gain(self) -> float:
        ...
    @median_gain.setter
    def median_gain(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def memory(self) -> float:
        ...
    @memory.setter
    def memory(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def outputs(self) -> int:
        ...
    @outputs.setter
    def outputs(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def scale_gain(self) -> float:
        ...
    @scale_gain.setter
    def scale_gain(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def side_gain(self) -> float:
        ...
    @side_gain.setter
    def side_gain(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def temper(self) -> float:
        ...
    @temper.setter
    def temper(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def width_gain(self) -> float:
        ...
    @width_gain.setter
    def width_gain(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
class ConformalCorrector:
    """
    Adaptive conformal correction of forecasts.
    """
    @staticmethod
    def from_bytes(bytes: str) -> ConformalCorrector:
        ...
    @staticmethod
    def load(path: str) -> ConformalCorrector:
        ...
    def __init__(self, config: CoverageConfig) -> None:
        ...
    def burst(self, step: typing.SupportsInt | typing.SupportsIndex, output: typing.SupportsInt | typing.SupportsIndex) -> float:
        ...
    def correct(self, raw: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
        """
        (H, O*Q) -> corrected, not remembered.
        """
    def covers(self, row: typing.SupportsInt | typing.SupportsIndex) -> bool:
        ...
    def factor(self, step: typing.SupportsInt | typing.SupportsIndex, output: typing.SupportsInt | typing.SupportsIndex, level: typing.SupportsInt | typing.SupportsIndex) -> float:
        ...
    def issue(self, row: typing.SupportsInt | typing.SupportsIndex, raw: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
        """
        (H, O*Q) -> corrected, and remembered for its labels.
        """
    def observe(self, row: typing.SupportsInt | typing.SupportsIndex, y: numpy.typing.NDArray[numpy.float64], now: typing.SupportsInt | typing.SupportsIndex, watch: CoverageMonitor = None) -> int:
        """
        Labels (O,) of a row; how many (step, output) pairs learnt.
        """
    def replay(self, origins: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], raw: numpy.typing.NDArray[numpy.float64], truth: numpy.typing.NDArray[numpy.float64], watch: CoverageMonitor = None) -> numpy.typing.NDArray[numpy.float64]:
        """
        (n, H, O, Q) and (N, O) -> corrected (n, H, O, Q), labels as they came in.
        """
    def save(self, path: str) -> None:
        ...
    def to_bytes(self) -> bytes:
        ...
    @property
    def config(self) -> CoverageConfig:
        ...
    @property
    def row(self) -> int:
        ...
class ForecasterConfig:
    """
    Sizes of a forecaster; checked when made.
    """
    def __init__(self, *, context: typing.SupportsInt | typing.SupportsIndex = 96, horizon: typing.SupportsInt | typing.SupportsIndex = 24, patch: typing.SupportsInt | typing.SupportsIndex = 1, width: typing.SupportsInt | typing.SupportsIndex = 64, heads: typing.SupportsInt | typing.SupportsIndex = 4, kv_heads: typing.SupportsInt | typing.SupportsIndex = 0, layers: typing.SupportsInt | typing.SupportsIndex = 1, feedforward: typing.SupportsInt | typing.SupportsIndex = 0, anchor_tau: typing.SupportsFloat | typing.SupportsIndex = 6.0, season: typing.SupportsInt | typing.SupportsIndex = 0, quantiles: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex] = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95], seed: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
        ...
    @property
    def anchor_tau(self) -> float:
        """
        Rows.
        """
    @property
    def context(self) -> int:
        """
        Rows of history.
        """
    @property
    def feedforward(self) -> int:
        ...
    @property
    def heads(self) -> int:
        ...
    @property
    def horizon(self) -> int:
        """
        Rows ahead.
        """
    @property
    def kv_heads(self) -> int:
        ...
    @property
    def layers(self) -> int:
        ...
    @property
    def patch(self) -> int:
        """
        Rows per history token.
        """
    @property
    def quantiles(self) -> list[float]:
        ...
    @property
    def season(self) -> int:
        """
        Rows of a cycle; 0: none.
        """
    @property
    def seed(self) -> int:
        ...
    @property
    def width(self) -> int:
        """
        Model width.
        """
class Forecaster:
    """
    Tags, scales, network and weights.
    """
    @staticmethod
    def load(path: str) -> Forecaster:
        """
        Reads a checkpoint; FileError says what is wrong with it.
        """
    @staticmethod
    def make(history: History, config: ForecasterConfig, train_rows: typing.SupportsInt | typing.SupportsIndex, prior: Prior | None = None) -> Forecaster:
        """
        Fixes scales on the first train_rows rows and draws initial weights.
        """
    def add_note(self, name: str, text: str) -> None:
        """
        Adds a line of provenance to the checkpoint.
        """
    def save(self, path: str) -> None:
        """
        Writes a checkpoint (safetensors), atomically.
        """
    def training_origins(self, history: History, begin: typing.SupportsInt | typing.SupportsIndex, end: typing.SupportsInt | typing.SupportsIndex) -> list[int]:
        """
        Origins whose context is unbroken and whose targets lie in rows [begin, end).
        """
    @property
    def config(self) -> ForecasterConfig:
        ...
    @property
    def future_names(self) -> list[str]:
        """
        What each column of one future row holds, normalised.
        """
    @property
    def history_names(self) -> list[str]:
        """
        What each column of one history row holds, normalised.
        """
    @property
    def hull(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (tags, 2): where the training rows lay, 0.5 % and 99.5 %, physical.
        """
    @property
    def network(self) -> OpList:
        """
        The network as data, for the engine.
        """
    @property
    def notes(self) -> list[tuple[str, str]]:
        """
        Provenance: list of (name, text).
        """
    @property
    def parameter_count(self) -> int:
        ...
    @property
    def prior(self) -> str:
        """
        What its checkpoint keeps of the mechanistic prior, as JSON; empty: there is none.
        """
    @property
    def scales(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (tags, 4): log, offset, mean, sd. z = (g(y) - mean) / sd with g(y) = y where log is 0, else
        g(y) = log(max(y, 0) + offset).
        """
    @property
    def tags(self) -> TagMap:
        ...
    @property
    def theta(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Weights in canonical order (parameter_count), float32, writable, no copy.
        """
class ForecastSession:
    """
    Compiled programs of one forecaster; one thread at a time.
    """
    def __init__(self, forecaster: Forecaster, threads: typing.SupportsInt | typing.SupportsIndex = 0, precision: Precision = Precision.float32) -> None:
        ...
    def jacobian(self, plan: numpy.typing.NDArray[numpy.float64], known: numpy.typing.NDArray[numpy.float64], levels: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex]) -> numpy.typing.NDArray[numpy.float64]:
        """
        d quantile / d setpoint, physical: (levels, H, O, H, U); exactly 0 for later setpoints.
        """
    def predict(self, plan: numpy.typing.NDArray[numpy.float64] | None, known: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
        """
        plan (H, U) or None, known (H, D), NaN = unknown -> quantiles (H, O, Q), physical.
        """
    def predict_batch(self, plans: numpy.typing.NDArray[numpy.float64], known: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
        """
        plans (B, H, U), known (H, D) -> quantiles (B, H, O, Q), physical.
        """
    def sensitivities(self, plan: numpy.typing.NDArray[numpy.float64], known: numpy.typing.NDArray[numpy.float64], moves: collections.abc.Sequence[tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex]], levels: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex]) -> numpy.typing.NDArray[numpy.float64]:
        """
        moves: (setpoint, first step, last step), raised by one amount -> (levels, H, O, moves), physical.
        """
    def set_history(self, history: History, end: typing.SupportsInt | typing.SupportsIndex, hidden: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
        """
        Reads the `context` rows that end before row `end`; the newest `hidden` without their outputs.
        """
    def tokens(self, plan: numpy.typing.NDArray[numpy.float64] | None, known: numpy.typing.NDArray[numpy.float64]) -> tuple[numpy.typing.NDArray[numpy.float32], numpy.typing.NDArray[numpy.float32]]:
        """
        What the network is given, normalised: history (tokens, width) and, for a plan, future (H, width);
        columns as history_names and future_names of the forecaster have them.
        """
    @property
    def anchors(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (O,) physical: what the forecast is a change from.
        """
class TeacherForecasts:
    """
    What a teacher said of a history, physical units.
    """
    def __init__(self, outputs: collections.abc.Sequence[str], levels: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], steps: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], origins: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], quantiles: numpy.typing.NDArray[numpy.float32]) -> None:
        ...
    def validate(self, student: Forecaster) -> None:
        """
        Refuses forecasts that do not fit the student.
        """
    @property
    def hidden_width(self) -> int:
        ...
    @property
    def levels(self) -> list[float]:
        ...
    @property
    def origins(self) -> list[int]:
        """
        First target row of each forecast.
        """
    @property
    def outputs(self) -> list[str]:
        ...
    @property
    def quantiles(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        (origins, steps, outputs, levels), float32, no copy.
        """
    @property
    def steps(self) -> list[int]:
        """
        Rows ahead, from 1.
        """
class TrainConfig:
    """
    How to train; checked when made.
    """
    def __init__(self, *, steps: typing.SupportsInt | typing.SupportsIndex = 1000, batch: typing.SupportsInt | typing.SupportsIndex = 64, rate: typing.SupportsFloat | typing.SupportsIndex = 0.002, warmup: typing.SupportsInt | typing.SupportsIndex = 100, decay: typing.SupportsFloat | typing.SupportsIndex = 0.02, clip: typing.SupportsFloat | typing.SupportsIndex = 1.0, average: typing.SupportsFloat | typing.SupportsIndex = 0.995, level_shift: typing.SupportsFloat | typing.SupportsIndex = 1.0, input_shift: typing.SupportsFloat | typing.SupportsIndex = 0.3, gain_shift: typing.SupportsFloat | typing.SupportsIndex = 0.0, slope_shift: typing.SupportsFloat | typing.SupportsIndex = 0.0, unknown_plan: typing.SupportsFloat | typing.SupportsIndex = 0.0, max_delay: typing.SupportsInt | typing.SupportsIndex = 0, min_horizon: typing.SupportsInt | typing.SupportsIndex = 0, loss: Loss = Loss.pinball, level_weights: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex] = [], multiscale: typing.SupportsFloat | typing.SupportsIndex = 0.0, exceed_weight: typing.SupportsFloat | typing.SupportsIndex = 1.0, exceed_quantile: typing.SupportsFloat | typing.SupportsIndex = 0.95, exceed_limits: collections.abc.Sequence[tuple[str, typing.SupportsFloat | typing.SupportsIndex]] = [], l2sp: typing.SupportsFloat | typing.SupportsIndex = 0.0, trainable: collections.abc.Sequence[str] = [], train_rows: typing.SupportsInt | typing.SupportsIndex = 0, validation_rows: typing.SupportsInt | typing.SupportsIndex = 0, validate_every: typing.SupportsInt | typing.SupportsIndex = 100, patience: typing.SupportsInt | typing.SupportsIndex = 0, threads: typing.SupportsInt | typing.SupportsIndex = 0, seed: typing.SupportsInt | typing.SupportsIndex = 0, device: Device = Device.cpu, precision: Precision = Precision.float32, deterministic: bool = False) -> None:
        ...
    @property
    def train_rows(self) -> int:
        ...
    @property
    def validation_rows(self) -> int:
        ...
class TrainProgress:
    """
    State of a running training, after a step.
    """
    @property
    def best(self) -> float:
        ...
    @property
    def loss(self) -> float:
        """
        Running mean of the training loss.
        """
    @property
    def parts(self) -> dict:
        """
        Parts of this step's loss by name, each before its coefficient.
        """
    @property
    def rate(self) -> float:
        """
        Learning rate.
        """
    @property
    def seconds(self) -> float:
        ...
    @property
    def seconds_left(self) -> float:
        ...
    @property
    def step(self) -> int:
        ...
    @property
    def steps(self) -> int:
        ...
    @property
    def validation(self) -> float:
        """
        Last validation loss; NaN: none yet.
        """
    @property
    def windows_per_second(self) -> float:
        ...
class TrainResult:
    """
    What a training came to.
    """
    @property
    def best_step(self) -> int:
        """
        Step after which the weights kept were current.
        """
    @property
    def device(self) -> Device:
        """
        That it ran on.
        """
    @property
    def diverged(self) -> bool:
        """
        A loss was not finite; the last good weights are kept.
        """
    @property
    def loss(self) -> float:
        ...
    @property
    def resumed(self) -> int:
        """
        Steps that an earlier process had done.
        """
    @property
    def seconds(self) -> float:
        ...
    @property
    def steps(self) -> int:
        """
        Steps done.
        """
    @property
    def stopped(self) -> bool:
        """
        By the callback or by Ctrl-C.
        """
    @property
    def trouble(self) -> str:
        """
        Then: which step, windows, rows and tag.
        """
    @property
    def validation(self) -> float:
        """
        Loss of the weights kept; NaN: no validation rows.
        """
class UpdateScope:
    """
    Which weights an update may move.

    Members:

      full

      lora

      head
    """
    __members__: typing.ClassVar[dict[str, UpdateScope]]
    full: typing.ClassVar[UpdateScope]
    head: typing.ClassVar[UpdateScope]
    lora: typing.ClassVar[UpdateScope]
    @typing.overload
    def __eq__(self, other: UpdateScope) -> bool:
        ...
    @typing.overload
    def __eq__(self, other: typing.Any) -> bool:
        ...
    def __getstate__(self) -> int:
        ...
    def __hash__(self) -> int:
        ...
    def __index__(self) -> int:
        ...
    def __init__(self, value: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __int__(self) -> int:
        ...
    @typing.overload
    def __ne__(self, other: UpdateScope) -> bool:
        ...
    @typing.overload
    def __ne__(self, other: typing.Any) -> bool:
        ...
    def __repr__(self) -> str:
        ...
    def __setstate__(self, state: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __str__(self) -> str:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def value(self) -> int:
        ...
class OnlineConfig:
    """
    How to learn online.
    """
    learn: bool
    update: UpdateScope
    def __init__(self, **kwargs) -> None:
        """
        Fields by name; InputError names the one that is out of range.
        """
    @property
    def batch(self) -> int:
        ...
    @batch.setter
    def batch(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def clip(self) -> float:
        ...
    @clip.setter
    def clip(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def delay(self) -> int:
        ...
    @delay.setter
    def delay(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def distill(self) -> float:
        ...
    @distill.setter
    def distill(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def every(self) -> int:
        ...
    @every.setter
    def every(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def ewc(self) -> float:
        ...
    @ewc.setter
    def ewc(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def gain_shift(self) -> float:
        ...
    @gain_shift.setter
    def gain_shift(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def guard(self) -> int:
        ...
    @guard.setter
    def guard(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def input_shift(self) -> float:
        ...
    @input_shift.setter
    def input_shift(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def l2sp(self) -> float:
        ...
    @l2sp.setter
    def l2sp(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def level_shift(self) -> float:
        ...
    @level_shift.setter
    def level_shift(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def lora_blocks(self) -> int:
        ...
    @lora_blocks.setter
    def lora_blocks(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def memory(self) -> int:
        ...
    @memory.setter
    def memory(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def pace(self) -> float:
        ...
    @pace.setter
    def pace(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def pace_most(self) -> float:
        ...
    @pace_most.setter
    def pace_most(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def rank(self) -> int:
        ...
    @rank.setter
    def rank(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def rate(self) -> float:
        ...
    @rate.setter
    def rate(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def recent_rows(self) -> int:
        ...
    @recent_rows.setter
    def recent_rows(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def regimes(self) -> int:
        ...
    @regimes.setter
    def regimes(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def replay(self) -> float:
        ...
    @replay.setter
    def replay(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def seed(self) -> int:
        ...
    @seed.setter
    def seed(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def slope_shift(self) -> float:
        ...
    @slope_shift.setter
    def slope_shift(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def snapshots(self) -> int:
        ...
    @snapshots.setter
    def snapshots(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def steps(self) -> int:
        ...
    @steps.setter
    def steps(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def threads(self) -> int:
        ...
    @threads.setter
    def threads(self, arg0: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    @property
    def tolerance(self) -> float:
        ...
    @tolerance.setter
    def tolerance(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    @property
    def unknown_plan(self) -> float:
        ...
    @unknown_plan.setter
    def unknown_plan(self, arg0: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
class UpdateReport:
    """
    What one update did, and why.
    """
    @property
    def accepted(self) -> bool:
        ...
    @property
    def distill(self) -> float:
        ...
    @property
    def ewc(self) -> float:
        ...
    @property
    def gradient_norm(self) -> float:
        ...
    @property
    def guard_after(self) -> float:
        ...
    @property
    def guard_before(self) -> float:
        ...
    @property
    def l2sp(self) -> float:
        ...
    @property
    def newest_loss(self) -> float:
        ...
    @property
    def pace(self) -> float:
        ...
    @property
    def reason(self) -> str:
        ...
    @property
    def recent_loss(self) -> float:
        ...
    @property
    def replay_loss(self) -> float:
        ...
    @property
    def row(self) -> int:
        ...
    @property
    def seconds(self) -> float:
        ...
    @property
    def steps(self) -> int:
        ...
    @property
    def version(self) -> int:
        ...
class OnlineLearner:
    """
    Learns row by row; one thread at a time, weights() any.
    """
    @staticmethod
    def load(path: str) -> OnlineLearner:
        ...
    def __init__(self, forecaster: Forecaster, past: History, config: OnlineConfig) -> None:
        ...
    def attach(self, name: str, content: bytes) -> None:
        """
        Bytes that go into the learner's file under a name.
        """
    def keep_rows(self, rows: typing.SupportsInt | typing.SupportsIndex) -> None:
        """
        Rows that are kept for others.
        """
    def label(self, row: typing.SupportsInt | typing.SupportsIndex, outputs: numpy.typing.NDArray[numpy.float64]) -> None:
        """
        Outputs (O) of an earlier row, once its delay has passed.
        """
    def observe(self, row: numpy.typing.NDArray[numpy.float64], time_s: typing.SupportsFloat | typing.SupportsIndex = ..., breaks: bool = False) -> UpdateReport | None:
        """
        The newest row (tags); returns the report of the update that was due, or None.
        """
    def rollback(self, version: typing.SupportsInt | typing.SupportsIndex) -> int:
        """
        Serves a kept version again, as a new one.
        """
    def save(self, path: str) -> None:
        ...
    def update(self) -> UpdateReport:
        """
        An update now.
        """
    @property
    def attached(self) -> dict:
        """
        The same, by name.
        """
    @property
    def config(self) -> OnlineConfig:
        ...
    @property
    def first_row(self) -> int:
        """
        Number of the history's first row.
        """
    @property
    def forecaster(self) -> Forecaster:
        """
        With the weights that serve (a copy).
        """
    @property
    def history(self) -> History:
        """
        Rows with the labels that are known (a copy).
        """
    @property
    def remembered(self) -> int:
        """
        Windows in the memory.
        """
    @property
    def rows(self) -> int:
        """
        Rows seen, those of the past included.
        """
    @property
    def snapshots(self) -> list[int]:
        """
        Versions kept, rising.
        """
    @property
    def version(self) -> int:
        ...
class CorrectorConfig:
    """
    Settings of the corrector; checked when made.
    """
    def __init__(self, *, method: str = 'gp', delay: typing.SupportsInt | typing.SupportsIndex = 0, window: typing.SupportsInt | typing.SupportsIndex = 1000, kernel: collections.abc.Sequence[typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(3)"]] = [[0.06, 1500.0, 0.0], [0.76, 4500.0, 1.5], [0.09, 155.0, 2.5], [0.09, 2.3, 0.85]], daily: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(4)"] = [0.1, 60.0, 1.5, 0.5], noise: typing.SupportsFloat | typing.SupportsIndex = 0.01, spike: typing.SupportsFloat | typing.SupportsIndex = 3.0, refactor: typing.SupportsInt | typing.SupportsIndex = 1000, forgetting: typing.SupportsFloat | typing.SupportsIndex = 0.99, prior: typing.SupportsFloat | typing.SupportsIndex = 3.0, ridge: typing.SupportsFloat | typing.SupportsIndex = 10.0, waves: typing.SupportsInt | typing.SupportsIndex = 200, wave_length: typing.SupportsFloat | typing.SupportsIndex = 3.0, wave_ridge: typing.SupportsFloat | typing.SupportsIndex = 1.0, seed: typing.SupportsInt | typing.SupportsIndex = 0, most_rows: typing.SupportsInt | typing.SupportsIndex = 50000, lags: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex] = [0], calendar: bool = True, patterns: collections.abc.Sequence[typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(5)"]] = [], calendar_distance: bool = True, utc_offset: typing.SupportsFloat | typing.SupportsIndex = 0.0) -> None:
        ...
    @property
    def calendar(self) -> bool:
        ...
    @property
    def calendar_distance(self) -> bool:
        ...
    @property
    def daily(self) -> typing.Annotated[list[float], "FixedSize(4)"]:
        """
        (variance, days, length, ripple) of the daily term.
        """
    @property
    def delay(self) -> int:
        ...
    @property
    def forgetting(self) -> float:
        ...
    @property
    def kernel(self) -> list[typing.Annotated[list[float], "FixedSize(3)"]]:
        """
        (variance, time, length) of each term.
        """
    @property
    def lags(self) -> list[int]:
        ...
    @property
    def method(self) -> str:
        ...
    @property
    def noise(self) -> float:
        ...
    @property
    def patterns(self) -> list[typing.Annotated[list[float], "FixedSize(5)"]]:
        """
        (variance, days, length, ripple, weekend) of more such terms.
        """
    @property
    def prior(self) -> float:
        ...
    @property
    def ridge(self) -> float:
        ...
    @property
    def seed(self) -> int:
        ...
    @property
    def spike(self) -> float:
        ...
    @property
    def utc_offset(self) -> float:
        ...
    @property
    def wave_length(self) -> float:
        ...
    @property
    def wave_ridge(self) -> float:
        ...
    @property
    def waves(self) -> int:
        ...
    @property
    def window(self) -> int:
        ...
class Corrector:
    """
    Operation map and closed-form correction; see emisopt.Corrector.
    """
    @staticmethod
    def fit(history: History, rows: typing.SupportsInt | typing.SupportsIndex, config: CorrectorConfig) -> Corrector:
        ...
    @staticmethod
    def load(path: str) -> Corrector:
        ...
    @staticmethod
    def transfer(source: Corrector, history: History, rows: typing.SupportsInt | typing.SupportsIndex, config: CorrectorConfig, pull: typing.SupportsFloat | typing.SupportsIndex = 1.0, match: collections.abc.Sequence[tuple[str, str]] = []) -> Corrector:
        """
        A corrector for another plant whose map of operation is shrunk towards the source's.
        """
    def __copy__(self) -> Corrector:
        ...
    def catch_up(self, history: History, now: typing.SupportsInt | typing.SupportsIndex, first: typing.SupportsInt | typing.SupportsIndex = 0) -> int:
        """
        Takes in all labels that are new by row `now`; how many.
        """
    def forecast(self, history: History, plan: numpy.typing.NDArray[numpy.float64], known: numpy.typing.NDArray[numpy.float64], first: typing.SupportsInt | typing.SupportsIndex = 0) -> tuple:
        """
        Normalised mean and variance (H, O) of the rows after the history.
        """
    def jacobian(self, history: History, plan: numpy.typing.NDArray[numpy.float64], known: numpy.typing.NDArray[numpy.float64], first: typing.SupportsInt | typing.SupportsIndex = 0) -> numpy.typing.NDArray[numpy.float64]:
        """
        (H, O, H, U): d physical median / d setpoint.
        """
    def observe(self, history: History, row: typing.SupportsInt | typing.SupportsIndex, now: typing.SupportsInt | typing.SupportsIndex, first: typing.SupportsInt | typing.SupportsIndex = 0) -> bool:
        ...
    def quantiles(self, mean: numpy.typing.NDArray[numpy.float64], variance: numpy.typing.NDArray[numpy.float64], levels: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]) -> numpy.typing.NDArray[numpy.float64]:
        """
        (..., O, Q), physical.
        """
    def replay(self, history: History, begin: typing.SupportsInt | typing.SupportsIndex, end: typing.SupportsInt | typing.SupportsIndex, stride: typing.SupportsInt | typing.SupportsIndex, leads: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], variance: bool = True) -> tuple:
        """
        Normalised mean and variance (origins, leads, O); the corrector moves on.
        """
    def restart(self) -> None:
        """
        Forgets all labels; keeps what fit learnt of operation.
        """
    def save(self, path: str) -> None:
        ...
    @property
    def column_names(self) -> list[str]:
        ...
    @property
    def config(self) -> CorrectorConfig:
        ...
    @property
    def labels(self) -> int:
        ...
    @property
    def rows_needed(self) -> int:
        """
        Rows of history that a forecast may look back at.
        """
    @property
    def tags(self) -> TagMap:
        ...
class QpAnswer:
    """
    What _QpSolver.run returns.
    """
    @property
    def complementarity(self) -> float:
        ...
    @property
    def dual(self) -> float:
        ...
    @property
    def iterations(self) -> int:
        ...
    @property
    def method(self) -> str:
        ...
    @property
    def objective(self) -> float:
        ...
    @property
    def primal(self) -> float:
        ...
    @property
    def seconds(self) -> float:
        """
        Wall time of the call alone.
        """
    @property
    def slack(self) -> numpy.typing.NDArray[numpy.float64]:
        ...
    @property
    def status(self) -> str:
        ...
    @property
    def violated(self) -> list[tuple[int, float]]:
        ...
    @property
    def x(self) -> numpy.typing.NDArray[numpy.float64]:
        ...
    @property
    def y(self) -> numpy.typing.NDArray[numpy.float64]:
        ...
    @property
    def z(self) -> numpy.typing.NDArray[numpy.float64]:
        ...
class _QpSolver:
    """
    A workspace for QPs of up to so many variables and rows.
    """
    def __init__(self, variables: typing.SupportsInt | typing.SupportsIndex, rows: typing.SupportsInt | typing.SupportsIndex, iterations: typing.SupportsInt | typing.SupportsIndex, tolerance: typing.SupportsFloat | typing.SupportsIndex, method: str) -> None:
        ...
    def run(self, call: str, hessian: numpy.typing.NDArray[numpy.float64], gradient: numpy.typing.NDArray[numpy.float64], lower: numpy.typing.NDArray[numpy.float64], upper: numpy.typing.NDArray[numpy.float64], rows: numpy.typing.NDArray[numpy.float64], row_lower: numpy.typing.NDArray[numpy.float64], row_upper: numpy.typing.NDArray[numpy.float64], l1: numpy.typing.NDArray[numpy.float64], l2: numpy.typing.NDArray[numpy.float64], y: numpy.typing.NDArray[numpy.float64], z: numpy.typing.NDArray[numpy.float64]) -> QpAnswer:
        ...
class _QpWideSolver:
    """
    A workspace for wide QPs: many variables, few outputs.
    """
    def __init__(self, variables: typing.SupportsInt | typing.SupportsIndex, outputs: typing.SupportsInt | typing.SupportsIndex, rows: typing.SupportsInt | typing.SupportsIndex, entries: typing.SupportsInt | typing.SupportsIndex, band: typing.SupportsInt | typing.SupportsIndex, iterations: typing.SupportsInt | typing.SupportsIndex, tolerance: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    def run(self, band: numpy.typing.NDArray[numpy.float64], outputs: numpy.typing.NDArray[numpy.float64], weights: numpy.typing.NDArray[numpy.float64], gradient: numpy.typing.NDArray[numpy.float64], lower: numpy.typing.NDArray[numpy.float64], upper: numpy.typing.NDArray[numpy.float64], start: numpy.typing.NDArray[numpy.int32], column: numpy.typing.NDArray[numpy.int32], value: numpy.typing.NDArray[numpy.float64], output: numpy.typing.NDArray[numpy.int32], row_lower: numpy.typing.NDArray[numpy.float64], row_upper: numpy.typing.NDArray[numpy.float64], l1: numpy.typing.NDArray[numpy.float64], l2: numpy.typing.NDArray[numpy.float64]) -> QpAnswer:
        ...
class FuelCost:
    """
    A fired unit's bill: fuel, reagent, fee.
    """
    def __init__(self, *, period_s: typing.SupportsFloat | typing.SupportsIndex = 300.0, efficiency: typing.SupportsInt | typing.SupportsIndex, reagent_flow: typing.SupportsInt | typing.SupportsIndex = -1, fee_output: typing.SupportsInt | typing.SupportsIndex = -1, load: typing.SupportsInt | typing.SupportsIndex = -1, load_mw: typing.SupportsFloat | typing.SupportsIndex = 0.0, fuel_price_gj: typing.SupportsFloat | typing.SupportsIndex = 3.2, reagent_price_kg: typing.SupportsFloat | typing.SupportsIndex = 0.65, fee_per_kg: typing.SupportsFloat | typing.SupportsIndex = 0.0) -> None:
        ...
class Tracking:
    """
    A target for one output.
    """
    def __init__(self, *, output: typing.SupportsInt | typing.SupportsIndex, target: typing.SupportsFloat | typing.SupportsIndex, weight: typing.SupportsFloat | typing.SupportsIndex = 1.0, zone: typing.SupportsFloat | typing.SupportsIndex = 0.0, scale: typing.SupportsFloat | typing.SupportsIndex = 1.0) -> None:
        ...
class CostMap:
    """
    A user's own cost per step.
    """
    @property
    def names(self) -> list[str]:
        ...
class QuadraticCost(CostMap):
    """
    constant + linear' v + 1/2 v' hessian v, v = (outputs, setpoints).
    """
    def __init__(self, *, name: str, outputs: typing.SupportsInt | typing.SupportsIndex, setpoints: typing.SupportsInt | typing.SupportsIndex, hessian: numpy.typing.NDArray[numpy.float64], linear: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], constant: typing.SupportsFloat | typing.SupportsIndex = 0.0) -> None:
        ...
class TableCost(CostMap):
    """
    Piecewise linear in one output or setpoint.
    """
    def __init__(self, *, name: str, setpoint: bool, column: typing.SupportsInt | typing.SupportsIndex, at: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], cost: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]) -> None:
        ...
class WindowBackoff:
    """
    Back-off of averaging windows that learns.
    """
    @staticmethod
    def from_bytes(bytes: bytes) -> WindowBackoff:
        ...
    @staticmethod
    def load(path: str) -> WindowBackoff:
        ...
    def __init__(self, limits: collections.abc.Sequence[Limit], horizon: typing.SupportsInt | typing.SupportsIndex, outputs: typing.SupportsInt | typing.SupportsIndex, *, quantile: typing.SupportsFloat | typing.SupportsIndex = 0.97, prior: typing.SupportsFloat | typing.SupportsIndex = 0.0, prior_count: typing.SupportsFloat | typing.SupportsIndex = 10.0, most: typing.SupportsFloat | typing.SupportsIndex = 0.2, memory: typing.SupportsInt | typing.SupportsIndex = 500, lateness: typing.SupportsInt | typing.SupportsIndex = 12) -> None:
        ...
    def back_off(self, limit: typing.SupportsInt | typing.SupportsIndex, end_step: typing.SupportsInt | typing.SupportsIndex, coming: typing.SupportsInt | typing.SupportsIndex) -> float:
        """
        Kept free of the mean over what is to come of a window, in the output's unit.
        """
    def copy(self) -> WindowBackoff:
        ...
    def learnt(self, limit: typing.SupportsInt | typing.SupportsIndex, end_step: typing.SupportsInt | typing.SupportsIndex, coming: typing.SupportsInt | typing.SupportsIndex) -> int:
        """
        Errors that it rests on.
        """
    def observe(self, row: typing.SupportsInt | typing.SupportsIndex, y: numpy.typing.NDArray[numpy.float64]) -> int:
        """
        (O,) what came, NaN: nothing yet; how many windows taught.
        """
    def save(self, path: str) -> None:
        ...
    def to_bytes(self) -> bytes:
        ...
    @property
    def hash(self) -> str:
        """
        SHA-256 of the state.
        """
    @property
    def horizon(self) -> int:
        ...
    @property
    def limits(self) -> list[Limit]:
        ...
    @property
    def next_row(self) -> int:
        """
        From here on another run may number its rows.
        """
    @property
    def oldest(self) -> int:
        """
        Oldest row whose labels are still taken; -1: none.
        """
    @property
    def outputs(self) -> int:
        ...
    @property
    def quantile(self) -> float:
        ...
    @property
    def row(self) -> int:
        """
        Last row issued; -1: none.
        """
class SpikeGate:
    """
    Puts lone readings aside that lie far from what was forecast.
    """
    def __init__(self, outputs: typing.SupportsInt | typing.SupportsIndex, width: typing.SupportsFloat | typing.SupportsIndex = 4.0) -> None:
        ...
    def aside(self, rows: typing.SupportsInt | typing.SupportsIndex) -> numpy.typing.NDArray[numpy.bool]:
        """
        (rows, O) bool, newest last: True where the reading was put aside.
        """
    def expect(self, median: numpy.typing.NDArray[numpy.float64], upper: numpy.typing.NDArray[numpy.float64]) -> None:
        """
        (O,), (O,): the forecast for the coming row.
        """
    def forget(self) -> None:
        """
        A row came that does not follow.
        """
    def judge(self, measured: numpy.typing.NDArray[numpy.float64]) -> None:
        """
        (O,): the row that came, NaN where nothing did.
        """
class Setpoint:
    """
    A setpoint with its hard bounds and rate.
    """
    def __init__(self, *, name: str, unit: str, low: typing.SupportsFloat | typing.SupportsIndex, high: typing.SupportsFloat | typing.SupportsIndex, rate: typing.SupportsFloat | typing.SupportsIndex = ..., price: typing.SupportsFloat | typing.SupportsIndex = 0.0, move_weight: typing.SupportsFloat | typing.SupportsIndex = 0.0, safe: typing.SupportsFloat | typing.SupportsIndex = ..., dead_band: typing.SupportsFloat | typing.SupportsIndex = 0.0, hold_rows: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
        ...
    @property
    def high(self) -> float:
        ...
    @property
    def low(self) -> float:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def rate(self) -> float:
        """
        Largest move per tick; NaN: free.
        """
class Interlock:
    """
    sum of weight[u] * setpoint u <= upper, hard.
    """
    def __init__(self, *, name: str, weight: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], upper: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
class ControllerConfig:
    """
    How the controller searches.
    """
    def __init__(self, *, blocks: typing.SupportsInt | typing.SupportsIndex = 6, max_iterations: typing.SupportsInt | typing.SupportsIndex = 3, deadline_s: typing.SupportsFloat | typing.SupportsIndex = 0.05, trust: typing.SupportsFloat | typing.SupportsIndex = 0.25, bias: str = 'none', bias_gain: typing.SupportsFloat | typing.SupportsIndex = 0.15, max_hold: typing.SupportsInt | typing.SupportsIndex = 12, limit_margin: typing.SupportsFloat | typing.SupportsIndex = 0.0001, slack_l1: typing.SupportsFloat | typing.SupportsIndex = 0.0, kkt_tolerance: typing.SupportsFloat | typing.SupportsIndex = 1e-05, max_move: typing.SupportsFloat | typing.SupportsIndex = ..., ranks: str = 'penalty', adjoint_steps: typing.SupportsInt | typing.SupportsIndex = 8, target_weight: typing.SupportsFloat | typing.SupportsIndex = 0.0, clock: collections.abc.Callable[[], typing.SupportsFloat | typing.SupportsIndex] | None = None) -> None:
        ...
class Envelope:
    """
    Where the training rows lay: mean and precision of (u, d).
    """
    @typing.overload
    def __init__(self) -> None:
        ...
    @typing.overload
    def __init__(self, *, mean: numpy.typing.NDArray[numpy.float64], precision: numpy.typing.NDArray[numpy.float64], radius2: typing.SupportsFloat | typing.SupportsIndex, weight: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
class Status:
    """
    Outcome of a decision, from best to last resort.

    Members:

      OPTIMAL

      FEASIBLE_DEADLINE

      LIMIT_SLACKED

      PREVIOUS_PLAN_SHIFTED

      HOLD

      SAFE_RAMP
    """
    FEASIBLE_DEADLINE: typing.ClassVar[Status]
    HOLD: typing.ClassVar[Status]
    LIMIT_SLACKED: typing.ClassVar[Status]
    OPTIMAL: typing.ClassVar[Status]
    PREVIOUS_PLAN_SHIFTED: typing.ClassVar[Status]
    SAFE_RAMP: typing.ClassVar[Status]
    __members__: typing.ClassVar[dict[str, Status]]
    @typing.overload
    def __eq__(self, other: Status) -> bool:
        ...
    @typing.overload
    def __eq__(self, other: typing.Any) -> bool:
        ...
    def __getstate__(self) -> int:
        ...
    def __hash__(self) -> int:
        ...
    def __index__(self) -> int:
        ...
    def __init__(self, value: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __int__(self) -> int:
        ...
    @typing.overload
    def __ne__(self, other: Status) -> bool:
        ...
    @typing.overload
    def __ne__(self, other: typing.Any) -> bool:
        ...
    def __repr__(self) -> str:
        ...
    def __setstate__(self, state: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __str__(self) -> str:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def value(self) -> int:
        ...
class Slack:
    """
    A limit that does not hold in the plan.
    """
    @property
    def amount(self) -> float:
        """
        Largest excess, in the unit of the limit.
        """
    @property
    def first_step(self) -> int:
        ...
    @property
    def last_step(self) -> int:
        ...
    @property
    def limit(self) -> str:
        ...
    @property
    def output(self) -> int:
        """
        Column of the forecast.
        """
    @property
    def worst_first(self) -> int:
        """
        First future step of the window that is worst.
        """
    @property
    def worst_step(self) -> int:
        """
        Step at whose end that window closes.
        """
class Work:
    """
    How much a decision did before the clock said stop.
    """
    def __init__(self, questions: typing.SupportsInt | typing.SupportsIndex = 0, stopped: bool = False) -> None:
        ...
    @property
    def questions(self) -> int:
        ...
    @property
    def stopped(self) -> bool:
        ...
class Decision:
    """
    What to do now and why.
    """
    @property
    def adjoint(self) -> int:
        ...
    @property
    def cost(self) -> float:
        """
        Predicted money over the horizon.
        """
    @property
    def iterations(self) -> int:
        ...
    @property
    def kkt(self) -> float:
        ...
    @property
    def median(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (H, O) under the plan, bias included.
        """
    @property
    def move(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (U,) to apply now.
        """
    @property
    def plan(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (H, U)
        """
    @property
    def reason(self) -> str:
        """
        Why not OPTIMAL.
        """
    @property
    def seconds(self) -> float:
        ...
    @property
    def slacks(self) -> list[Slack]:
        ...
    @property
    def status(self) -> Status:
        ...
    @property
    def upper(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (H, O) the quantile that limits are held by.
        """
    @property
    def work(self) -> Work:
        ...
class Reason:
    """
    A price: what one more unit of something would be worth.
    """
    @property
    def first_step(self) -> int:
        ...
    @property
    def given_up(self) -> bool:
        ...
    @property
    def kind(self) -> str:
        """
        limit, bound, rate, interlock or held.
        """
    @property
    def last_step(self) -> int:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def price(self) -> float:
        ...
class Alternative:
    """
    A plan that was not chosen.
    """
    @property
    def cost(self) -> float:
        ...
    @property
    def extra(self) -> float:
        """
        Above the plan's cost, shaping included.
        """
    @property
    def held(self) -> str:
        """
        Setpoint that stays; empty: the move asked about.
        """
    @property
    def move(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (U,)
        """
    @property
    def slacks(self) -> list[Slack]:
        ...
class Explanation:
    """
    Why a plan is as it is.
    """
    @property
    def alternatives(self) -> list[Alternative]:
        ...
    @property
    def reasons(self) -> list[Reason]:
        ...
class Predictor:
    """
    What the controller optimises over.
    """
    def predict(self, plan: numpy.typing.NDArray[numpy.float64]) -> tuple[numpy.typing.NDArray[numpy.float64], numpy.typing.NDArray[numpy.float64]]:
        """
        (H, U) -> median, upper (H, O).
        """
    def sensitivities(self, plan: numpy.typing.NDArray[numpy.float64], moves: collections.abc.Sequence[typing.Annotated[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], "FixedSize(3)"]]) -> tuple[numpy.typing.NDArray[numpy.float64], numpy.typing.NDArray[numpy.float64]]:
        """
        Derivatives (H*O, moves) of median and upper by raising setpoint u in steps first to last.
        """
    @property
    def known(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (H, D) of this tick; NaN: unknown.
        """
class MappedPredictor(Predictor):
    """
    A forecast through an output map.
    """
    def __init__(self, base: Predictor, map: OutputMap) -> None:
        ...
class ForecastPredictor(Predictor):
    """
    The forecaster as the controller sees it.
    """
    def __init__(self, forecaster: Forecaster, limits: collections.abc.Sequence[Limit], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
        ...
    def set_tick(self, history: History, end: typing.SupportsInt | typing.SupportsIndex, known: numpy.typing.NDArray[numpy.float64]) -> None:
        """
        Reads the history that ends before row `end`; known (H, D), NaN = unknown.
        """
class Controller:
    """
    Sequential quadratic programming over a forecast.
    """
    def __init__(self, *, setpoints: collections.abc.Sequence[Setpoint], limits: collections.abc.Sequence[Limit], price: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], fuel: FuelCost | None, currency: str, horizon: typing.SupportsInt | typing.SupportsIndex, outputs: typing.SupportsInt | typing.SupportsIndex, config: ControllerConfig, envelope: Envelope, permit_limits: collections.abc.Sequence[Limit] = [], interlocks: collections.abc.Sequence[Interlock] = [], tracking: collections.abc.Sequence[Tracking] = [], costs: collections.abc.Sequence[CostMap] = []) -> None:
        ...
    def explain(self, predictor: Predictor, move: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex] = []) -> Explanation:
        """
        Prices and alternatives of the last plan; move (U): what that one would lead to.
        """
    def observe(self, forecast: numpy.typing.NDArray[numpy.float64], measured: numpy.typing.NDArray[numpy.float64], calibrating: bool = False) -> None:
        """
        Feeds the bias filter with the forecast for a row (O,) and its measurement (O,).
        """
    def prepare(self, predictor: Predictor) -> bool:
        """
        The Jacobian for the next step, between two ticks; False when there is none to prepare.
        """
    def reset(self) -> None:
        """
        Forgets warm start and bias.
        """
    def step(self, predictor: Predictor, applied: numpy.typing.NDArray[numpy.float64], past: numpy.typing.NDArray[numpy.float64], permit: PermitRows = None, *, manual: collections.abc.Sequence[bool] = [], price: typing.Annotated[numpy.typing.ArrayLike, numpy.float64] | None = None, setpoint_price: typing.Annotated[numpy.typing.ArrayLike, numpy.float64] | None = None, target: typing.Annotated[numpy.typing.ArrayLike, numpy.float64] | None = None, steady_target: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex] = [], replay: Work | None = None, windows: WindowBackoff = None, row: typing.SupportsInt | typing.SupportsIndex = 0) -> Decision:
        """
        applied (U,) commanded last tick; past (N, O) measured, newest last, NaN = invalid; permit: what it
        still asks of the coming steps, its limits those that the controller was made with; windows: back-off of averages,
        told of the plan under the number `row` of its first step.
        """
    def step_blind(self, reason: str, applied: numpy.typing.NDArray[numpy.float64], past: numpy.typing.NDArray[numpy.float64], manual: collections.abc.Sequence[bool] = []) -> Decision:
        """
        A decision without a forecast of this tick: the last plan shifted, hold, or a safe ramp.
        """
    @property
    def bias(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (O,) offsets, or factors when multiplicative.
        """
    @property
    def steady_target(self) -> list[float]:
        """
        [U] steady-state optimum of the last linear model; empty: none.
        """
class ConformalBackoff:
    """
    Back-off that learns whether it was enough.
    """
    @staticmethod
    def from_bytes(bytes: bytes) -> ConformalBackoff:
        ...
    @staticmethod
    def load(path: str) -> ConformalBackoff:
        ...
    def __init__(self, quantiles: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], horizon: typing.SupportsInt | typing.SupportsIndex, *, scale_gain: typing.SupportsFloat | typing.SupportsIndex = 0.02, side_gain: typing.SupportsFloat | typing.SupportsIndex = 0.01, memory: typing.SupportsFloat | typing.SupportsIndex = 12.0, follow: typing.SupportsFloat | typing.SupportsIndex = 0.8, lateness: typing.SupportsInt | typing.SupportsIndex = 12, least: typing.SupportsFloat | typing.SupportsIndex = 0.25, most: typing.SupportsFloat | typing.SupportsIndex = 4.0) -> None:
        ...
    def become(self, other: ConformalBackoff) -> None:
        """
        Takes another one's state, for predictors that refer to this one. InputError for another shape.
        """
    def copy(self) -> ConformalBackoff:
        ...
    def issue(self, row: typing.SupportsInt | typing.SupportsIndex, median: numpy.typing.NDArray[numpy.float64], upper: numpy.typing.NDArray[numpy.float64]) -> None:
        """
        (H, O) each: the forecast of the plan that was chosen, as limits were held by it.
        """
    def observe(self, row: typing.SupportsInt | typing.SupportsIndex, y: numpy.typing.NDArray[numpy.float64]) -> int:
        """
        (O,) what came, NaN: nothing yet; how many (step, output) learnt.
        """
    def save(self, path: str) -> None:
        ...
    def to_bytes(self) -> bytes:
        ...
    @property
    def factors(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (H, O) of the forecast that comes next.
        """
    @property
    def hash(self) -> str:
        """
        SHA-256 of the state.
        """
    @property
    def horizon(self) -> int:
        ...
    @property
    def next_row(self) -> int:
        """
        From here on another run may number its rows.
        """
    @property
    def oldest(self) -> int:
        """
        Oldest row whose labels are still taken; -1: none.
        """
    @property
    def quantiles(self) -> list[float]:
        """
        (O) at most 0.5: left alone.
        """
    @property
    def row(self) -> int:
        """
        Last row issued; -1: none.
        """
class ConformalPredictor(Predictor):
    """
    A forecast with its upper values by a ConformalBackoff.
    """
    def __init__(self, base: Predictor, backoff: ConformalBackoff) -> None:
        ...
class ErrorDependence:
    """
    How the forecast errors of H steps hang together.
    """
    @staticmethod
    def exponential(horizon: typing.SupportsInt | typing.SupportsIndex, memory: typing.SupportsFloat | typing.SupportsIndex) -> ErrorDependence:
        ...
    @staticmethod
    def fit(scores: numpy.typing.NDArray[numpy.float64]) -> ErrorDependence:
        """
        (n, H) normal scores of past forecasts, NaN where nothing came.
        """
    @staticmethod
    def independent(horizon: typing.SupportsInt | typing.SupportsIndex) -> ErrorDependence:
        ...
    @property
    def correlation(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (H, H)
        """
    @property
    def mean(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (H,)
        """
    @property
    def spread(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (H,)
        """
class BreakProbability:
    """
    Probabilities that running averages break limits.
    """
    def __init__(self, dependence: ErrorDependence, samples: typing.SupportsInt | typing.SupportsIndex = 2048) -> None:
        ...
    def assess(self, limits: collections.abc.Sequence[Limit], past: numpy.typing.NDArray[numpy.float64], levels: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], quantiles: numpy.typing.NDArray[numpy.float64], confidence: typing.SupportsFloat | typing.SupportsIndex = 0.95) -> dict:
        """
        Limits on one output, measured outputs (N, O), its quantiles (H, Q): arrays by limit row, and `any`.
        """
    def assess_rows(self, permit: PermitRows, output: typing.SupportsInt | typing.SupportsIndex, levels: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], quantiles: numpy.typing.NDArray[numpy.float64], confidence: typing.SupportsFloat | typing.SupportsIndex = 0.95) -> dict:
        """
        The same for a permit's rows on one output.
        """
    @property
    def horizon(self) -> int:
        ...
class Boiler:
    """
    A synthetic 300 MW coal boiler with SCR; rows of 300 s.
    """
    def __init__(self, *, seed: typing.SupportsInt | typing.SupportsIndex = 0, plant_seed: typing.SupportsInt | typing.SupportsIndex | None = None, start_s: typing.SupportsFloat | typing.SupportsIndex = 0.0, slagging: bool = True, lag: typing.SupportsFloat | typing.SupportsIndex = 1.0, fuel: typing.SupportsInt | typing.SupportsIndex = -1, scr: bool = True, fan_limit: typing.SupportsFloat | typing.SupportsIndex | None = None) -> None:
        ...
    def advance(self, setpoints: numpy.typing.NDArray[numpy.float64]) -> None:
        """
        Holds setpoints (U), units of the tags, for one row.
        """
    def clone(self) -> Boiler:
        """
        A copy with its full state and noise.
        """
    def measure(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        The historian's row (tags,) of the period just ended; NaN when not reported.
        """
    def schedule(self, rows: typing.SupportsInt | typing.SupportsIndex) -> numpy.typing.NDArray[numpy.float64]:
        """
        Disturbances known ahead for the next rows (rows, D); NaN = unknown.
        """
    def settle(self, setpoints: numpy.typing.NDArray[numpy.float64]) -> None:
        """
        Settles all states at setpoints (U) under the present surroundings.
        """
    def truth(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        Noise-free outputs (O,) over the period just ended: for judging only.
        """
    @property
    def tags(self) -> TagMap:
        ...
    @property
    def time(self) -> float:
        """
        Seconds since the start of the simulation.
        """
class OdePlant:
    """
    A plant given by ordinary differential equations.
    """
    def advance(self, setpoints: numpy.typing.NDArray[numpy.float64]) -> None:
        """
        Holds setpoints (U), units of the tags, for one row.
        """
    def disturbances(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        True disturbances (D,), mean over the period just ended.
        """
    def measure(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        The historian's row (tags,) of the period just ended.
        """
    def rates(self, setpoints: numpy.typing.NDArray[numpy.float64]) -> tuple[numpy.typing.NDArray[numpy.float64], numpy.typing.NDArray[numpy.float64]]:
        """
        dx/dt per second (X,) and outputs (O,) at this state and moment.
        """
    def settle(self, setpoints: numpy.typing.NDArray[numpy.float64]) -> None:
        """
        Brings the states to rest at setpoints (U) under what is now.
        """
    def truth(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        Noise-free outputs (O,), mean over the period just ended.
        """
    @property
    def state(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (X,) in the units of the equations.
        """
    @state.setter
    def state(self, arg1: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]) -> None:
        ...
    @property
    def tags(self) -> TagMap:
        ...
    @property
    def time(self) -> float:
        """
        Seconds since the start of the simulation.
        """
class Cstr(OdePlant):
    """
    The Klatt-Engell reactor; rows of 60 s.
    """
    def __init__(self, *, seed: typing.SupportsInt | typing.SupportsIndex = 0, wander: typing.SupportsFloat | typing.SupportsIndex = 1.0, noise: typing.SupportsFloat | typing.SupportsIndex = 1.0, steps: typing.SupportsInt | typing.SupportsIndex = 60) -> None:
        ...
    def clone(self) -> Cstr:
        """
        A copy with its full state and noise.
        """
class QuadrupleTank(OdePlant):
    """
    Johansson's four tanks; rows of 15 s.
    """
    def __init__(self, *, minimum_phase: bool = True, seed: typing.SupportsInt | typing.SupportsIndex = 0, wander: typing.SupportsFloat | typing.SupportsIndex = 1.0, noise: typing.SupportsFloat | typing.SupportsIndex = 1.0, steps: typing.SupportsInt | typing.SupportsIndex = 30) -> None:
        ...
    def clone(self) -> QuadrupleTank:
        """
        A copy with its full state and noise.
        """
class PlantPredictor(Predictor):
    """
    A plant's true equations and true future as a forecast: for oracles.
    """
    def __init__(self, horizon: typing.SupportsInt | typing.SupportsIndex, block_starts: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], threads: typing.SupportsInt | typing.SupportsIndex = 1) -> None:
        ...
    def predict(self, plan: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
        """
        Outputs (H, O) that the plan (H, U) will lead to.
        """
    def set(self, plant: OdePlant) -> None:
        """
        A new tick: the plant as it stands; it is copied.
        """
class FaultyPredictor(Predictor):
    """
    Fails on purpose, and times its calls.
    """
    def __init__(self, base: Predictor, *, gain: typing.SupportsFloat | typing.SupportsIndex = 1.0, nan_forecast: typing.SupportsFloat | typing.SupportsIndex = 0.0, nan_sensitivity: typing.SupportsFloat | typing.SupportsIndex = 0.0, interrupt: typing.SupportsFloat | typing.SupportsIndex = 0.0, seed: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
        ...
    def set_held(self, applied: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]) -> None:
        """
        A new tick: setpoints (U) that the gain counts from.
        """
    @property
    def longest(self) -> float:
        """
        Longest call since set_held, s of thread CPU time.
        """
class LoopLog:
    """
    A closed-loop run, row by row: N rows.
    """
    def __len__(self) -> int:
        ...
    @property
    def before(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (W, O) truth of the warm-up rows.
        """
    @property
    def disturbances(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (N, D) true.
        """
    @property
    def high(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (N, H, O)
        """
    @property
    def low(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (N, H, O)
        """
    @property
    def measured(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (N, tags)
        """
    @property
    def median(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (N, H, O) forecast of each decision; NaN: none.
        """
    @property
    def plan(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (N, H, U) plan of each decision.
        """
    @property
    def policy(self) -> str:
        ...
    @property
    def reason(self) -> list[str]:
        ...
    @property
    def seconds(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (N,) decision times.
        """
    @property
    def setpoints(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (N, U)
        """
    @property
    def status(self) -> list[str]:
        ...
    @property
    def tags(self) -> TagMap:
        ...
    @property
    def time(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (N,) s since 1970 UTC.
        """
    @property
    def truth(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (N, O)
        """
class LimitSummary:
    """
    How one limit was kept.
    """
    @property
    def hours_above(self) -> float:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def rank(self) -> int:
        ...
    @property
    def worst(self) -> float:
        """
        Largest rolling mean of the truth.
        """
class PermitSummary:
    """
    How one rule of a permit was kept.
    """
    @property
    def above(self) -> int:
        ...
    @property
    def averages(self) -> int:
        """
        That count.
        """
    @property
    def holds(self) -> bool:
        ...
    @property
    def hours_above(self) -> float:
        """
        Of the time that those above stand for; where a share may be, of what goes beyond it.
        """
    @property
    def rule(self) -> str:
        ...
    @property
    def worst(self) -> float:
        ...
class LoopSummary:
    """
    What a run came to, by the truth.
    """
    @property
    def fee_eur(self) -> float:
        ...
    @property
    def fuel_eur(self) -> float:
        ...
    @property
    def hours(self) -> float:
        ...
    @property
    def hours_above_permit(self) -> float:
        ...
    @property
    def illegal_moves(self) -> int:
        ...
    @property
    def limits(self) -> list[LimitSummary]:
        ...
    @property
    def max_s(self) -> float:
        ...
    @property
    def mean(self) -> list[float]:
        """
        (O)
        """
    @property
    def nh3_eur(self) -> float:
        ...
    @property
    def p50_s(self) -> float:
        ...
    @property
    def p99_s(self) -> float:
        ...
    @property
    def policy(self) -> str:
        ...
    @property
    def status_count(self) -> dict[str, int]:
        """
        Status name -> rows.
        """
    @property
    def total_eur(self) -> float:
        ...
    @property
    def travel(self) -> float:
        """
        Sum of |move| / (high - low).
        """
    @property
    def worst(self) -> list[float]:
        """
        (O) largest hourly mean.
        """
class Policy:
    """
    Whatever chooses setpoints once a row.
    """
    @property
    def name(self) -> str:
        ...
class Scenario:
    """
    A closed-loop scenario of one seed, warmed up.
    """
    def __init__(self, name: str = 'boiler-48h', *, seed: typing.SupportsInt | typing.SupportsIndex, plant_seed: typing.SupportsInt | typing.SupportsIndex | None = None, rows: typing.SupportsInt | typing.SupportsIndex | None = None, nox_fee: typing.SupportsFloat | typing.SupportsIndex = 0.0) -> None:
        ...
    def judge(self, log: LoopLog) -> list[PermitSummary]:
        """
        The permit on the truth of a run, rule by rule.
        """
    def operator(self) -> Policy:
        """
        The operator's rules, tuned for this scenario on other seeds.
        """
    def oracle(self, threads: typing.SupportsInt | typing.SupportsIndex = 0, *, iterations: typing.SupportsInt | typing.SupportsIndex = 2, fresh_every: typing.SupportsInt | typing.SupportsIndex = 12) -> Policy:
        """
        The upper bound: the controller over the true equations and the true future.
        """
    def run(self, policy: Policy, progress: typing.Any = None) -> LoopLog:
        """
        Runs a policy from the common start; progress(done, rows) may return False to stop.
        """
    def summarise(self, log: LoopLog) -> LoopSummary:
        ...
    @property
    def history(self) -> History:
        """
        Measured warm-up rows.
        """
    @property
    def limits(self) -> list[Limit]:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def nox_fee(self) -> float:
        """
        EUR per kg of NOx.
        """
    @property
    def permit(self) -> Permit | None:
        """
        Judged beside the limits.
        """
    @property
    def prices(self) -> tuple[float, float]:
        """
        EUR per GJ of fuel, EUR per kg of NH3.
        """
    @property
    def rows(self) -> int:
        ...
    @property
    def tags(self) -> TagMap:
        ...
def _fma_rates(isa: Isa, windows: typing.SupportsInt | typing.SupportsIndex) -> numpy.typing.NDArray[numpy.float64]:
    """
    GFLOP/s of fused multiply-adds from registers, per window of about a millisecond, on this thread; empty for ref.
    """
def _read_rates(bytes: typing.SupportsInt | typing.SupportsIndex, passes: typing.SupportsInt | typing.SupportsIndex) -> numpy.typing.NDArray[numpy.float64]:
    """
    GB/s of reading a warm buffer of so many bytes, per pass, on this thread.
    """
def adamw(theta: numpy.typing.NDArray[numpy.float32], first: numpy.typing.NDArray[numpy.float32], second: numpy.typing.NDArray[numpy.float32], gradient: numpy.typing.NDArray[numpy.float32], decay_mask: numpy.typing.NDArray[numpy.float32], *, rate: typing.SupportsFloat | typing.SupportsIndex, decay: typing.SupportsFloat | typing.SupportsIndex, clip_scale: typing.SupportsFloat | typing.SupportsIndex, step: typing.SupportsInt | typing.SupportsIndex, isa: Isa, beta1: typing.SupportsFloat | typing.SupportsIndex = 0.8999999761581421, beta2: typing.SupportsFloat | typing.SupportsIndex = 0.9990000128746033, eps: typing.SupportsFloat | typing.SupportsIndex = 9.99999993922529e-09, l2sp: typing.SupportsFloat | typing.SupportsIndex = 0.0, ewc: typing.SupportsFloat | typing.SupportsIndex = 0.0, anchor: numpy.typing.NDArray[numpy.float32] | None = None, fisher: numpy.typing.NDArray[numpy.float32] | None = None, threads: typing.SupportsInt | typing.SupportsIndex = 1) -> None:
    """
    One AdamW step in place on contiguous float32 buffers (parameter_count); l2sp and ewc pull to anchor.
    """
def append_audit_record(path: str, subject: str, maker: str, made_s: typing.SupportsFloat | typing.SupportsIndex, inputs: collections.abc.Sequence[tuple[str, typing.Annotated[numpy.typing.ArrayLike, numpy.float64]]], rule: str, result: str, block_rows: typing.SupportsInt | typing.SupportsIndex = 65536) -> str:
    """
    rule, result: JSON texts; -> the record's line.
    """
def ask_teachers(teachers: collections.abc.Sequence[Forecaster], history: History, origins: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], tap: str = '', progress: typing.Any = None) -> TeacherForecasts:
    """
    Mean of the teachers' quantiles at each origin, operation known; `tap`: also keep that hidden value.
    """
def audit_accuracy_pct(reference: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], monitor: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]) -> float:
    ...
def average_reasons() -> list[str]:
    """
    Words for the codes of Averages: 'valid' and why one is not.
    """
def backoff_quantiles(limits: collections.abc.Sequence[Limit], outputs: typing.SupportsInt | typing.SupportsIndex) -> list[float]:
    """
    (O) the quantile that each output is held by: the largest of its limits, 0.5 without one.
    """
def benjamini_hochberg(p_values: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], level: typing.SupportsFloat | typing.SupportsIndex) -> numpy.typing.NDArray[numpy.bool]:
    ...
def categories_differ(first: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], second: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]) -> tuple[float, float, int]:
    """
    (statistic, p-value, degrees of freedom).
    """
def choices_json() -> str:
    """
    All of them as one JSON text.
    """
def clear_choices() -> None:
    """
    Forgets all.
    """
def compare_methods(reference: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], monitor: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], least_runs: typing.SupportsInt | typing.SupportsIndex) -> dict[str, float]:
    ...
def confidence_interval_pct(pollutant: str) -> float:
    ...
def copy_layers(teacher: Forecaster, student: Forecaster) -> list[int]:
    """
    Starts the student's weights from evenly spread layers of the teacher; returns them.
    """
def cuda_refusal() -> str:
    """
    Empty where device "cuda" can be used; else why not and what helps, in one line.
    """
def cusum_limit(run_length: typing.SupportsFloat | typing.SupportsIndex, slack: typing.SupportsFloat | typing.SupportsIndex) -> float:
    ...
def cusum_run_length(slack: typing.SupportsFloat | typing.SupportsIndex, limit: typing.SupportsFloat | typing.SupportsIndex, shift: typing.SupportsFloat | typing.SupportsIndex = 0.0) -> float:
    ...
def default_fuel_factors(fuel: str) -> tuple[float, float, float]:
    ...
def default_fuels() -> list[str]:
    ...
def default_threads() -> int:
    """
    EMISOPT_THREADS, else the hardware's, at least 1.
    """
def e_benjamini_hochberg(e_values: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], level: typing.SupportsFloat | typing.SupportsIndex) -> numpy.typing.NDArray[numpy.bool]:
    ...
def earth_mover_distance(x: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], y: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]) -> float:
    ...
def ewma_limit(run_length: typing.SupportsFloat | typing.SupportsIndex, weight: typing.SupportsFloat | typing.SupportsIndex) -> float:
    ...
def ewma_run_length(weight: typing.SupportsFloat | typing.SupportsIndex, limit: typing.SupportsFloat | typing.SupportsIndex, shift: typing.SupportsFloat | typing.SupportsIndex = 0.0) -> float:
    ...
def forecast_origins(forecaster: Forecaster, history: History, origins: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], operation_known: bool, threads: typing.SupportsInt | typing.SupportsIndex = 0, hidden: typing.SupportsInt | typing.SupportsIndex = 0, precision: Precision = Precision.float32) -> numpy.typing.NDArray[numpy.float64]:
    """
    Quantiles (n, H, O, Q), physical, as issued at each origin (index of the first row forecast); NaN where none can be. operation_known: realised setpoints and known-ahead disturbances are given.
    """
def fuel_factors(carbon: typing.SupportsFloat | typing.SupportsIndex, hydrogen: typing.SupportsFloat | typing.SupportsIndex, sulfur: typing.SupportsFloat | typing.SupportsIndex, nitrogen: typing.SupportsFloat | typing.SupportsIndex, oxygen: typing.SupportsFloat | typing.SupportsIndex, water: typing.SupportsFloat | typing.SupportsIndex, gcv: typing.SupportsFloat | typing.SupportsIndex) -> tuple[float, float, float]:
    """
    (Fd, Fw, Fc) in scf/MMBtu from wt% and Btu/lb.
    """
def hellinger_distance(p: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], q: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]) -> float:
    ...
def initial_weights(network: OpList, config: ForecasterConfig) -> numpy.typing.NDArray[numpy.float32]:
    """
    Weights to start training from (parameter_count): the first forecast is the anchor.
    """
def isa_available() -> list[Isa]:
    """
    Levels that this build and this CPU can run, lowest first.
    """
def isa_level() -> Isa:
    """
    The level in use: the best of this CPU, lowered by EMISOPT_ISA.
    """
def jensen_shannon_distance(p: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], q: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]) -> float:
    ...
def join_group(*, rank: typing.SupportsInt | typing.SupportsIndex, size: typing.SupportsInt | typing.SupportsIndex, local_rank: typing.SupportsInt | typing.SupportsIndex, address: str, library: str, seconds: typing.SupportsFloat | typing.SupportsIndex) -> Group:
    """
    Meets the other processes; `library` is libnccl.so.2, empty: the system's.
    """
def judge(statistics: collections.abc.Mapping[str, typing.SupportsFloat | typing.SupportsIndex], limits: collections.abc.Sequence[AcceptanceLimit], allow_unverified: bool) -> list[tuple[float, bool]]:
    """
    -> (value, met) of each limit.
    """
def kg_h_from_mg_m3(value: numpy.typing.NDArray[numpy.float64], k: typing.SupportsFloat | typing.SupportsIndex, a: numpy.typing.NDArray[numpy.float64], b: numpy.typing.NDArray[numpy.float64], tag: str, time: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    """
    a: m3/h.
    """
def kg_h_from_t_a(value: numpy.typing.NDArray[numpy.float64], k: typing.SupportsFloat | typing.SupportsIndex, a: numpy.typing.NDArray[numpy.float64], b: numpy.typing.NDArray[numpy.float64], tag: str, time: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    """
    a: hours per year.
    """
def kg_h_map(outputs: collections.abc.Sequence[str], output: typing.SupportsInt | typing.SupportsIndex, m3_h: Source) -> OutputMap:
    ...
def known_pollutants() -> list[str]:
    """
    Pollutants that a permit may name.
    """
def known_units() -> list[str]:
    """
    Units that a permit may name.
    """
def ks_p_value(n: typing.SupportsInt | typing.SupportsIndex, h: typing.SupportsInt | typing.SupportsIndex) -> float:
    ...
def lb_h_from_lb_mmbtu(value: numpy.typing.NDArray[numpy.float64], k: typing.SupportsFloat | typing.SupportsIndex, a: numpy.typing.NDArray[numpy.float64], b: numpy.typing.NDArray[numpy.float64], tag: str, time: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    """
    a: MMBtu/h.
    """
def lb_h_from_ppm(value: numpy.typing.NDArray[numpy.float64], k: typing.SupportsFloat | typing.SupportsIndex, a: numpy.typing.NDArray[numpy.float64], b: numpy.typing.NDArray[numpy.float64], tag: str, time: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    """
    k, a: dscf/min.
    """
def lb_h_map(outputs: collections.abc.Sequence[str], output: typing.SupportsInt | typing.SupportsIndex, k: typing.SupportsFloat | typing.SupportsIndex, dscf_min: Source) -> OutputMap:
    ...
def lb_mmbtu_co2_map(outputs: collections.abc.Sequence[str], output: typing.SupportsInt | typing.SupportsIndex, k: typing.SupportsFloat | typing.SupportsIndex, fc: typing.SupportsFloat | typing.SupportsIndex, co2: Source) -> OutputMap:
    ...
def lb_mmbtu_from_ppm(value: numpy.typing.NDArray[numpy.float64], k: typing.SupportsFloat | typing.SupportsIndex, a: numpy.typing.NDArray[numpy.float64], b: numpy.typing.NDArray[numpy.float64], tag: str, time: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    """
    k, a: Fd, b: O2 in %.
    """
def lb_mmbtu_from_ppm_co2(value: numpy.typing.NDArray[numpy.float64], k: typing.SupportsFloat | typing.SupportsIndex, a: numpy.typing.NDArray[numpy.float64], b: numpy.typing.NDArray[numpy.float64], tag: str, time: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    """
    k, a: Fc, b: CO2 in %.
    """
def lb_mmbtu_map(outputs: collections.abc.Sequence[str], output: typing.SupportsInt | typing.SupportsIndex, k: typing.SupportsFloat | typing.SupportsIndex, fd: typing.SupportsFloat | typing.SupportsIndex, o2: Source) -> OutputMap:
    ...
def lb_scf_per_ppm(pollutant: str) -> float:
    ...
def lb_scf_per_ppm_of_mass(pollutant: str) -> float:
    ...
def load_choices(path: str) -> None:
    """
    Takes those of a file.
    """
def make_history(tags: TagMap, values: numpy.typing.NDArray[numpy.float64], time: numpy.typing.NDArray[numpy.float64], gap: numpy.typing.NDArray[numpy.bool], live: bool = False) -> History:
    """
    Checks and cleans a raw table (N, tags), physical units, with stamps (N,) in s or none (0,) and flags
    (N,) or (0,) of rows that do not follow the one before. live: outputs may be missing or constant.
    """
def make_network(config: ForecasterConfig, history_width: typing.SupportsInt | typing.SupportsIndex, future_width: typing.SupportsInt | typing.SupportsIndex, outputs: typing.SupportsInt | typing.SupportsIndex) -> OpList:
    """
    The forecaster's network of these sizes as data.
    """
def match_tags(source: TagMap, target: TagMap, match: collections.abc.Sequence[tuple[str, str]] = []) -> list:
    """
    Per tag of the target: the source's tag that it stands for, or None, and why.
    """
def mg_m3_from_kg_h(value: numpy.typing.NDArray[numpy.float64], k: typing.SupportsFloat | typing.SupportsIndex, a: numpy.typing.NDArray[numpy.float64], b: numpy.typing.NDArray[numpy.float64], tag: str, time: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    """
    a: m3/h.
    """
def mg_m3_per_ppm(pollutant: str, temperature_c: typing.SupportsFloat | typing.SupportsIndex) -> float:
    ...
def molar_mass(pollutant: str) -> float:
    """
    g/mol of what is counted; NOx as NO2.
    """
def monitor_availability(operating: numpy.typing.NDArray[numpy.bool], assured: numpy.typing.NDArray[numpy.bool], operating_hours: typing.SupportsInt | typing.SupportsIndex, oldest_hours: typing.SupportsInt | typing.SupportsIndex) -> numpy.typing.NDArray[numpy.float64]:
    ...
def mpc_policy(forecaster: Forecaster, limits: collections.abc.Sequence[Limit], *, config: ControllerConfig, envelope: Envelope, move_weight: typing.SupportsFloat | typing.SupportsIndex = 60.0, threads: typing.SupportsInt | typing.SupportsIndex = 0, name: str = 'MPC', nox_fee: typing.SupportsFloat | typing.SupportsIndex = 0.0, conformal: ConformalBackoff | None = None, permit: Permit | None = None, quantiles: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex] = [], permit_margin: typing.SupportsFloat | typing.SupportsIndex = 0.0, solver: typing.Any = None) -> Policy:
    """
    The forecaster and the controller as a policy.
    """
def normal_scores(levels: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], quantiles: numpy.typing.NDArray[numpy.float64], came: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    """
    (n,) normal score of what came in its own forecast (n, Q).
    """
def permit_limits(permit: Permit, tags: TagMap) -> list[Limit]:
    """
    The limits that a permit's rows belong to, as mpc_policy holds them.
    """
def pollutant_names() -> list[str]:
    ...
def population_stability(p: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], q: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]) -> float:
    ...
def ppm_from_lb_h(value: numpy.typing.NDArray[numpy.float64], k: typing.SupportsFloat | typing.SupportsIndex, a: numpy.typing.NDArray[numpy.float64], b: numpy.typing.NDArray[numpy.float64], tag: str, time: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    """
    k, a: dscf/min.
    """
def ppm_from_lb_mmbtu(value: numpy.typing.NDArray[numpy.float64], k: typing.SupportsFloat | typing.SupportsIndex, a: numpy.typing.NDArray[numpy.float64], b: numpy.typing.NDArray[numpy.float64], tag: str, time: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    """
    k, a: Fd, b: O2 in %.
    """
def ps16_limits(mean_reference_ppm: typing.SupportsFloat | typing.SupportsIndex, f_critical: typing.SupportsFloat | typing.SupportsIndex) -> list[AcceptanceLimit]:
    ...
def python_random_samples(seed: typing.SupportsInt | typing.SupportsIndex, n: typing.SupportsInt | typing.SupportsIndex, k: typing.SupportsInt | typing.SupportsIndex, times: typing.SupportsInt | typing.SupportsIndex) -> list[list[int]]:
    """
    What random.Random(seed).sample(range(n), k) gives, `times` times.
    """
def read_archive(path: str, format: str) -> tuple:
    """
    (text, parts) of such a file; FileError: missing, truncated, changed, or of another format.
    """
def read_audit_log(path: str) -> list[AuditRecord]:
    ...
def relative_accuracy(reference: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], monitor: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], least_runs: typing.SupportsInt | typing.SupportsIndex, denominator: typing.SupportsFloat | typing.SupportsIndex | None, t_decimals: typing.SupportsInt | typing.SupportsIndex) -> dict[str, float]:
    ...
def remove_substitution(values: numpy.typing.NDArray[numpy.float64], hours: collections.abc.Sequence[SubstitutedHour], tag: str, time: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    ...
def rolling_sum(values: numpy.typing.NDArray[numpy.float64], window: typing.SupportsInt | typing.SupportsIndex) -> numpy.typing.NDArray[numpy.float64]:
    """
    (N) sums of the last `window` rows, each correctly rounded, as math.fsum; NaN is passed over.
    """
def run_prequential(forecaster: Forecaster, history: History, first: typing.SupportsInt | typing.SupportsIndex, last: typing.SupportsInt | typing.SupportsIndex, config: OnlineConfig, operation_known: bool, stride: typing.SupportsInt | typing.SupportsIndex = 1) -> tuple[list[int], numpy.typing.NDArray[numpy.float64], list[UpdateReport], Forecaster]:
    """
    (origins, quantiles (n, H, O, Q), reports, the forecaster as it served at the end).
    """
def save_choices(path: str) -> None:
    """
    Writes the process's choices made by measurement to a file.
    """
def simulate_history(*, seed: typing.SupportsInt | typing.SupportsIndex, plant_seed: typing.SupportsInt | typing.SupportsIndex | None = None, days: typing.SupportsInt | typing.SupportsIndex = 90, dither: typing.SupportsFloat | typing.SupportsIndex = 0.0, instrument_faults: bool = True, lag: typing.SupportsFloat | typing.SupportsIndex = 1.0, fuel: typing.SupportsInt | typing.SupportsIndex = -1, scr: bool = True, fan_limit: typing.SupportsFloat | typing.SupportsIndex | None = None, progress: typing.Any = None) -> tuple:
    """
    Months of operation by two crews: (History, truth (N, O), tight crew (N,)).
    """
def simulated_run_lengths(detectors: collections.abc.Sequence[CusumOptions | EwmaOptions | PageHinkleyOptions | AdwinOptions | KswinOptions | TwoWindowKsOptions], *, source: str = 'normal', phi: typing.SupportsFloat | typing.SupportsIndex = 0.0, series: typing.Annotated[numpy.typing.ArrayLike, numpy.float64] | None = None, block: typing.SupportsInt | typing.SupportsIndex = 1, values: typing.SupportsInt | typing.SupportsIndex = 100000, seed: typing.SupportsInt | typing.SupportsIndex = 0) -> list[tuple[float, int]]:
    """
    (mean values per alarm, alarms) of each detector.
    """
def spot_limits_60d() -> list[Limit]:
    """
    The averages' numbers of boiler-60d, on every row.
    """
def squared_norm(x: numpy.typing.NDArray[numpy.float32]) -> float:
    """
    Sum of squares in double; the same bits for any number of threads.
    """
def substitute_missing(values: numpy.typing.NDArray[numpy.float64], operating: numpy.typing.NDArray[numpy.bool], assured: numpy.typing.NDArray[numpy.bool], load_range: numpy.typing.NDArray[numpy.int32], rule: SubstitutionRule, tag: str, time: numpy.typing.NDArray[numpy.float64]) -> tuple[numpy.typing.NDArray[numpy.float64], numpy.typing.NDArray[numpy.float64], list[SubstitutedHour]]:
    """
    (n) hours -> (values, availability, records); assured and load_range: (n) or (0,).
    """
def t_a_from_kg_h(value: numpy.typing.NDArray[numpy.float64], k: typing.SupportsFloat | typing.SupportsIndex, a: numpy.typing.NDArray[numpy.float64], b: numpy.typing.NDArray[numpy.float64], tag: str, time: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    """
    a: hours per year.
    """
def t_a_map(outputs: collections.abc.Sequence[str], output: typing.SupportsInt | typing.SupportsIndex, m3_h: Source, hours: typing.SupportsFloat | typing.SupportsIndex) -> OutputMap:
    ...
def tail_weights(tail: str, levels: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]) -> list[float]:
    """
    Weights of quantile levels within the pinball loss: all, upper, lower or both.
    """
def train(forecaster: Forecaster, history: History, config: TrainConfig, progress: typing.Any = None, *, state: str = '', save_every: typing.SupportsInt | typing.SupportsIndex = 0, save_seconds: typing.SupportsFloat | typing.SupportsIndex = 60.0, teacher: TeacherForecasts = None, distill: typing.SupportsFloat | typing.SupportsIndex = 10.0, distill_multiscale: typing.SupportsFloat | typing.SupportsIndex = 0.0, hidden: typing.SupportsFloat | typing.SupportsIndex = 0.0, tap: str = '', held: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex] | None = None, rank: typing.SupportsInt | typing.SupportsIndex = 0, size: typing.SupportsInt | typing.SupportsIndex = 1, reduce: typing.Any = None, group: Group = None) -> tuple[TrainResult, bool]:
    """
    Trains in place; reduce(array) sums a float array over `size` processes, in place; `state` names a file to keep the run's state in and to go on from; progress(TrainProgress) may return False to stop. Returns (TrainResult, interrupted): Ctrl-C stops with the best weights so far instead of raising.
    """
def trainable_by_name(network: OpList, prefixes: collections.abc.Sequence[str]) -> list[bool]:
    """
    Per parameter, whether its name begins with one of `prefixes`.
    """
def training_envelope(history: History, rows: typing.SupportsInt | typing.SupportsIndex, share: typing.SupportsFloat | typing.SupportsIndex, weight: typing.SupportsFloat | typing.SupportsIndex) -> Envelope:
    """
    Where the first `rows` rows lay: setpoints and what is known ahead; beyond it a plan is penalised.
    """
def transplant(source: Forecaster, target: History, rows: typing.SupportsInt | typing.SupportsIndex, config: ForecasterConfig, match: collections.abc.Sequence[tuple[str, str]] = []) -> tuple:
    """
    A forecaster of the target's tags with all that fits copied. Returns (forecaster, 1 per copied weight, (parameter, copied, total), match_tags(), whether the source's scale was adopted per tag).
    """
def variability(x: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], y: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], zero: typing.SupportsFloat | typing.SupportsIndex | None, limit: typing.SupportsFloat | typing.SupportsIndex, confidence_pct: typing.SupportsFloat | typing.SupportsIndex) -> dict[str, float]:
    """
    zero: None for least squares.
    """
def verify_audit_file(path: str, head: str) -> list[str]:
    ...
def with_fresh_weights(forecaster: Forecaster) -> Forecaster:
    """
    The same tags, sizes and scales, weights as at the start: the rival from scratch.
    """
def with_lora(network: OpList, theta: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], rank: typing.SupportsInt | typing.SupportsIndex, linears: collections.abc.Sequence[str] = [], seed: typing.SupportsInt | typing.SupportsIndex = 0) -> tuple[OpList, list[bool], numpy.typing.NDArray[numpy.float32]]:
    """
    Low-rank adapters: (network, trainable per parameter, weights to start from); linears empty: the linear ops of the upper half of the blocks.
    """
def write_archive(path: str, format: str, text: str, parts: collections.abc.Mapping[str, bytes]) -> None:
    """
    Writes parts (bytes by name) and a text as one sealed safetensors file, atomically.
    """
__version__: str = '0.1.0'
epoch: float = 1704067200.0
weak_fans: float = 1.005
