"""
The C++ core of emisopt; the public names are in `emisopt`.
"""
from __future__ import annotations
import collections.abc
import numpy
import numpy.typing
import typing
__all__: list[str] = ['AcceptanceLimit', 'AuditRecord', 'Averages', 'Boiler', 'BreakProbability', 'ChainMap', 'Controller', 'ControllerConfig', 'ConversionMap', 'Corrector', 'CorrectorConfig', 'Decision', 'Envelope', 'Error', 'ErrorDependence', 'Evaluation', 'Evaluator', 'FileError', 'ForecastPredictor', 'ForecastSession', 'Forecaster', 'ForecasterConfig', 'FuelCost', 'GasBasis', 'GasConversion', 'History', 'InputError', 'Isa', 'Limit', 'LimitSummary', 'LoopLog', 'LoopSummary', 'Loss', 'Mode', 'OpKind', 'OpList', 'OutputMap', 'PeriodCount', 'Permit', 'PermitRule', 'Policy', 'Program', 'RateMap', 'Rows', 'RuleResult', 'Scenario', 'Setpoint', 'ShapeError', 'Signal', 'Slack', 'Source', 'SpikeGate', 'StateError', 'Status', 'StepBack', 'SubstitutedHour', 'SubstitutionRule', 'Tag', 'TagMap', 'TrainConfig', 'TrainProgress', 'TrainResult', 'Zone', 'adamw', 'append_audit_record', 'audit_accuracy_pct', 'average_reasons', 'compare_methods', 'confidence_interval_pct', 'default_fuel_factors', 'default_fuels', 'default_threads', 'epoch', 'forecast_origins', 'fuel_factors', 'isa_available', 'isa_level', 'judge', 'kg_h_from_mg_m3', 'kg_h_from_t_a', 'known_pollutants', 'known_units', 'lb_h_from_lb_mmbtu', 'lb_h_from_ppm', 'lb_mmbtu_from_ppm', 'lb_mmbtu_from_ppm_co2', 'lb_scf_per_ppm', 'lb_scf_per_ppm_of_mass', 'make_history', 'mg_m3_from_kg_h', 'mg_m3_per_ppm', 'molar_mass', 'monitor_availability', 'mpc_policy', 'normal_scores', 'operator_policy', 'oracle_policy', 'pollutant_names', 'ppm_from_lb_h', 'ppm_from_lb_mmbtu', 'ps16_limits', 'read_audit_log', 'relative_accuracy', 'remove_substitution', 'rolling_sum', 'simulate_history', 'squared_norm', 'substitute_missing', 't_a_from_kg_h', 'train', 'training_envelope', 'variability', 'verify_audit_file']
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
    """
    __members__: typing.ClassVar[dict[str, Isa]]
    avx2: typing.ClassVar[Isa]
    avx512: typing.ClassVar[Isa]
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

      swiglu

      add

      quantiles
    """
    __members__: typing.ClassVar[dict[str, OpKind]]
    add: typing.ClassVar[OpKind]
    linear: typing.ClassVar[OpKind]
    quantiles: typing.ClassVar[OpKind]
    rmsnorm: typing.ClassVar[OpKind]
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
    def add_op(self, kind: OpKind, rows: Rows, x: typing.SupportsInt | typing.SupportsIndex, y: typing.SupportsInt | typing.SupportsIndex, x2: typing.SupportsInt | typing.SupportsIndex = -1, w: typing.SupportsInt | typing.SupportsIndex = -1, b: typing.SupportsInt | typing.SupportsIndex = -1, outputs: typing.SupportsInt | typing.SupportsIndex = 0, levels: typing.SupportsInt | typing.SupportsIndex = 0, middle: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
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
    def set_io(self, future: typing.SupportsInt | typing.SupportsIndex, quantiles: typing.SupportsInt | typing.SupportsIndex, outputs: typing.SupportsInt | typing.SupportsIndex, levels: typing.SupportsInt | typing.SupportsIndex, middle: typing.SupportsInt | typing.SupportsIndex, history: typing.SupportsInt | typing.SupportsIndex = -1) -> None:
        """
        Names the input and output values.
        """
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

      train
    """
    __members__: typing.ClassVar[dict[str, Mode]]
    infer: typing.ClassVar[Mode]
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
    def __init__(self, ops: OpList, *, batch: typing.SupportsInt | typing.SupportsIndex, history_tokens: typing.SupportsInt | typing.SupportsIndex, future_tokens: typing.SupportsInt | typing.SupportsIndex, mode: Mode, loss: Loss, levels: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], threads: typing.SupportsInt | typing.SupportsIndex, isa: Isa) -> None:
        ...
    def load(self, theta: numpy.typing.NDArray[numpy.float32]) -> None:
        """
        Copies the weights (parameter_count) and refreshes the packed forms.
        """
    def run(self) -> None:
        """
        Runs the future rows (train: all rows) on what the input buffers hold.
        """
    def run_context(self) -> None:
        """
        Runs the history rows and caches their keys and values.
        """
    @property
    def bytes(self) -> int:
        """
        Size of the arena.
        """
    @property
    def future(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Input buffer (batch, future_tokens, width).
        """
    @property
    def gradient(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Train: gradient of the mean loss (parameter_count), overwritten by each run.
        """
    @property
    def history(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Input buffer (1, history_tokens, width); train mode: (batch, ...).
        """
    @property
    def loss(self) -> float:
        """
        Train: loss of the last run.
        """
    @property
    def quantiles(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Output buffer (batch, future_tokens, outputs * levels).
        """
    @property
    def target(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Train: (batch, future_tokens, outputs).
        """
    @property
    def weight(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Train: weights of the targets (batch, future_tokens, outputs); 0 leaves an entry out.
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
    def __init__(self, name: str, since: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], offset_s: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], first: typing.SupportsInt | typing.SupportsIndex, last: typing.SupportsInt | typing.SupportsIndex) -> None:
        """
        since (n): UTC seconds of changes; offset_s (n + 1); the table is right from first to last.
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
    def results(self) -> list[RuleResult]:
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
class Evaluator:
    """
    Judges a permit on rows as they come.
    """
    def __init__(self, permit: Permit, signals: collections.abc.Sequence[Signal], columns: collections.abc.Sequence[str], zone: Zone, *, allow_unverified: bool = False, period_s: typing.SupportsFloat | typing.SupportsIndex = 0.0, lateness_s: typing.SupportsFloat | typing.SupportsIndex = 0.0, stamp_is_end: bool = False, negative_is_missing: bool = False, threads: typing.SupportsInt | typing.SupportsIndex = 1) -> None:
        ...
    def finish(self) -> None:
        ...
    def push(self, time: numpy.typing.NDArray[numpy.float64], columns: list, status: list = [], plant: typing.Any = None) -> None:
        """
        time (N) in UTC seconds; columns: (N) float64 each, NaN = missing; status: per column (N) uint8 or
        None (valid, calibration, maintenance, invalid); plant (N) uint8 or None (off, on, startup, shutdown,
        malfunction).
        """
    def result(self) -> Evaluation:
        ...
class ForecasterConfig:
    """
    Sizes of a forecaster; checked when made.
    """
    def __init__(self, *, context: typing.SupportsInt | typing.SupportsIndex = 96, horizon: typing.SupportsInt | typing.SupportsIndex = 24, patch: typing.SupportsInt | typing.SupportsIndex = 1, width: typing.SupportsInt | typing.SupportsIndex = 64, heads: typing.SupportsInt | typing.SupportsIndex = 4, kv_heads: typing.SupportsInt | typing.SupportsIndex = 0, layers: typing.SupportsInt | typing.SupportsIndex = 1, feedforward: typing.SupportsInt | typing.SupportsIndex = 0, anchor_tau: typing.SupportsFloat | typing.SupportsIndex = 6.0, quantiles: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex] = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95], seed: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
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
    def make(history: History, config: ForecasterConfig, train_rows: typing.SupportsInt | typing.SupportsIndex) -> Forecaster:
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
    def hull(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (tags, 2): where the training rows lay, 0.5 % and 99.5 %, physical.
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
    def __init__(self, forecaster: Forecaster, threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
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
    def set_history(self, history: History, end: typing.SupportsInt | typing.SupportsIndex, hidden: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
        """
        Reads the `context` rows that end before row `end`; the newest `hidden` without their outputs.
        """
    @property
    def anchors(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (O,) physical: what the forecast is a change from.
        """
class TrainConfig:
    """
    How to train; checked when made.
    """
    def __init__(self, *, steps: typing.SupportsInt | typing.SupportsIndex = 1000, batch: typing.SupportsInt | typing.SupportsIndex = 64, rate: typing.SupportsFloat | typing.SupportsIndex = 0.002, warmup: typing.SupportsInt | typing.SupportsIndex = 100, decay: typing.SupportsFloat | typing.SupportsIndex = 0.02, clip: typing.SupportsFloat | typing.SupportsIndex = 1.0, average: typing.SupportsFloat | typing.SupportsIndex = 0.995, level_shift: typing.SupportsFloat | typing.SupportsIndex = 1.0, input_shift: typing.SupportsFloat | typing.SupportsIndex = 0.3, unknown_plan: typing.SupportsFloat | typing.SupportsIndex = 0.0, loss: Loss = Loss.pinball, train_rows: typing.SupportsInt | typing.SupportsIndex = 0, validation_rows: typing.SupportsInt | typing.SupportsIndex = 0, validate_every: typing.SupportsInt | typing.SupportsIndex = 100, patience: typing.SupportsInt | typing.SupportsIndex = 0, threads: typing.SupportsInt | typing.SupportsIndex = 0, seed: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
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
    def rate(self) -> float:
        """
        Learning rate.
        """
    @property
    def seconds(self) -> float:
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
    def diverged(self) -> bool:
        """
        A loss was not finite; the last good weights are kept.
        """
    @property
    def loss(self) -> float:
        ...
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
    def validation(self) -> float:
        """
        Loss of the weights kept; NaN: no validation rows.
        """
class CorrectorConfig:
    """
    Settings of the corrector; checked when made.
    """
    def __init__(self, *, method: str = 'gp', delay: typing.SupportsInt | typing.SupportsIndex = 0, window: typing.SupportsInt | typing.SupportsIndex = 1000, kernel: collections.abc.Sequence[typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(3)"]] = [[0.06, 1500.0, 0.0], [0.76, 4500.0, 1.5], [0.09, 155.0, 2.5], [0.09, 2.3, 0.85]], daily: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(4)"] = [0.1, 60.0, 1.5, 0.5], noise: typing.SupportsFloat | typing.SupportsIndex = 0.01, spike: typing.SupportsFloat | typing.SupportsIndex = 3.0, refactor: typing.SupportsInt | typing.SupportsIndex = 1000, forgetting: typing.SupportsFloat | typing.SupportsIndex = 0.99, prior: typing.SupportsFloat | typing.SupportsIndex = 3.0, ridge: typing.SupportsFloat | typing.SupportsIndex = 10.0, waves: typing.SupportsInt | typing.SupportsIndex = 200, wave_length: typing.SupportsFloat | typing.SupportsIndex = 3.0, wave_ridge: typing.SupportsFloat | typing.SupportsIndex = 1.0, seed: typing.SupportsInt | typing.SupportsIndex = 0, most_rows: typing.SupportsInt | typing.SupportsIndex = 50000, lags: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex] = [0], calendar: bool = True) -> None:
        ...
    @property
    def calendar(self) -> bool:
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
    def __copy__(self) -> Corrector:
        ...
    def catch_up(self, history: History, now: typing.SupportsInt | typing.SupportsIndex) -> int:
        """
        Takes in all labels that are new by row `now`; how many.
        """
    def forecast(self, history: History, plan: numpy.typing.NDArray[numpy.float64], known: numpy.typing.NDArray[numpy.float64]) -> tuple:
        """
        Normalised mean and variance (H, O) of the rows after the history.
        """
    def jacobian(self, history: History, plan: numpy.typing.NDArray[numpy.float64], known: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
        """
        (H, O, H, U): d physical median / d setpoint.
        """
    def observe(self, history: History, row: typing.SupportsInt | typing.SupportsIndex, now: typing.SupportsInt | typing.SupportsIndex) -> bool:
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
    def tags(self) -> TagMap:
        ...
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
    def __init__(self, *, name: str, unit: str, low: typing.SupportsFloat | typing.SupportsIndex, high: typing.SupportsFloat | typing.SupportsIndex, rate: typing.SupportsFloat | typing.SupportsIndex = ..., price: typing.SupportsFloat | typing.SupportsIndex = 0.0, move_weight: typing.SupportsFloat | typing.SupportsIndex = 0.0, safe: typing.SupportsFloat | typing.SupportsIndex = ...) -> None:
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
class FuelCost:
    """
    A fired unit's bill: fuel, reagent, fee.
    """
    def __init__(self, *, period_s: typing.SupportsFloat | typing.SupportsIndex = 300.0, efficiency: typing.SupportsInt | typing.SupportsIndex, reagent_flow: typing.SupportsInt | typing.SupportsIndex = -1, fee_output: typing.SupportsInt | typing.SupportsIndex = -1, load: typing.SupportsInt | typing.SupportsIndex = -1, load_mw: typing.SupportsFloat | typing.SupportsIndex = 0.0, fuel_price_gj: typing.SupportsFloat | typing.SupportsIndex = 3.2, reagent_price_kg: typing.SupportsFloat | typing.SupportsIndex = 0.65, fee_per_kg: typing.SupportsFloat | typing.SupportsIndex = 0.0) -> None:
        ...
class ControllerConfig:
    """
    How the controller searches.
    """
    def __init__(self, *, blocks: typing.SupportsInt | typing.SupportsIndex = 6, max_iterations: typing.SupportsInt | typing.SupportsIndex = 3, deadline_s: typing.SupportsFloat | typing.SupportsIndex = 0.05, trust: typing.SupportsFloat | typing.SupportsIndex = 0.25, bias: str = 'none', bias_gain: typing.SupportsFloat | typing.SupportsIndex = 0.15, max_hold: typing.SupportsInt | typing.SupportsIndex = 12, limit_margin: typing.SupportsFloat | typing.SupportsIndex = 0.0001) -> None:
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
class Decision:
    """
    What to do now and why.
    """
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
class ForecastPredictor:
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
    def __init__(self, *, setpoints: collections.abc.Sequence[Setpoint], limits: collections.abc.Sequence[Limit], price: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], fuel: FuelCost | None, currency: str, horizon: typing.SupportsInt | typing.SupportsIndex, outputs: typing.SupportsInt | typing.SupportsIndex, config: ControllerConfig, envelope: Envelope) -> None:
        ...
    def observe(self, forecast: numpy.typing.NDArray[numpy.float64], measured: numpy.typing.NDArray[numpy.float64], calibrating: bool = False) -> None:
        """
        Feeds the bias filter with the forecast for a row (O,) and its measurement (O,).
        """
    def reset(self) -> None:
        """
        Forgets warm start and bias.
        """
    def step(self, predictor: ForecastPredictor, applied: numpy.typing.NDArray[numpy.float64], past: numpy.typing.NDArray[numpy.float64]) -> Decision:
        """
        applied (U,) commanded last tick; past (N, O) measured, newest last, NaN = invalid.
        """
    def step_blind(self, reason: str, applied: numpy.typing.NDArray[numpy.float64], past: numpy.typing.NDArray[numpy.float64]) -> Decision:
        """
        A decision without a forecast of this tick: the last plan shifted, hold, or a safe ramp.
        """
    @property
    def bias(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        (O,) offsets, or factors when multiplicative.
        """
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
    @property
    def horizon(self) -> int:
        ...
class Boiler:
    """
    A synthetic 300 MW coal boiler with SCR; rows of 300 s.
    """
    def __init__(self, *, seed: typing.SupportsInt | typing.SupportsIndex = 0, plant_seed: typing.SupportsInt | typing.SupportsIndex | None = None, start_s: typing.SupportsFloat | typing.SupportsIndex = 0.0, slagging: bool = True) -> None:
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
class LoopSummary:
    """
    What a run came to, by the truth.
    """
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
    The closed-loop scenario boiler-48h of one seed, warmed up.
    """
    def __init__(self, *, seed: typing.SupportsInt | typing.SupportsIndex, plant_seed: typing.SupportsInt | typing.SupportsIndex | None = None, rows: typing.SupportsInt | typing.SupportsIndex | None = None) -> None:
        ...
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
def adamw(theta: numpy.typing.NDArray[numpy.float32], first: numpy.typing.NDArray[numpy.float32], second: numpy.typing.NDArray[numpy.float32], gradient: numpy.typing.NDArray[numpy.float32], decay_mask: numpy.typing.NDArray[numpy.float32], *, rate: typing.SupportsFloat | typing.SupportsIndex, decay: typing.SupportsFloat | typing.SupportsIndex, clip_scale: typing.SupportsFloat | typing.SupportsIndex, step: typing.SupportsInt | typing.SupportsIndex, isa: Isa) -> None:
    """
    One AdamW step in place on contiguous float32 buffers (parameter_count).
    """
def append_audit_record(path: str, subject: str, maker: str, made_s: typing.SupportsFloat | typing.SupportsIndex, inputs: collections.abc.Sequence[tuple[str, typing.Annotated[numpy.typing.ArrayLike, numpy.float64]]], rule: str, result: str, block_rows: typing.SupportsInt | typing.SupportsIndex = 65536) -> str:
    """
    rule, result: JSON texts; -> the record's line.
    """
def audit_accuracy_pct(reference: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], monitor: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]) -> float:
    ...
def average_reasons() -> list[str]:
    """
    Words for the codes of Averages: 'valid' and why one is not.
    """
def compare_methods(reference: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], monitor: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], least_runs: typing.SupportsInt | typing.SupportsIndex) -> dict[str, float]:
    ...
def confidence_interval_pct(pollutant: str) -> float:
    ...
def default_fuel_factors(fuel: str) -> tuple[float, float, float]:
    ...
def default_fuels() -> list[str]:
    ...
def default_threads() -> int:
    """
    EMISOPT_THREADS, else the hardware's, at least 1.
    """
def forecast_origins(forecaster: Forecaster, history: History, origins: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], operation_known: bool, threads: typing.SupportsInt | typing.SupportsIndex = 0, hidden: typing.SupportsInt | typing.SupportsIndex = 0) -> numpy.typing.NDArray[numpy.float64]:
    """
    Quantiles (n, H, O, Q), physical, as issued at each origin (index of the first row forecast); NaN where none can be. operation_known: realised setpoints and known-ahead disturbances are given.
    """
def fuel_factors(carbon: typing.SupportsFloat | typing.SupportsIndex, hydrogen: typing.SupportsFloat | typing.SupportsIndex, sulfur: typing.SupportsFloat | typing.SupportsIndex, nitrogen: typing.SupportsFloat | typing.SupportsIndex, oxygen: typing.SupportsFloat | typing.SupportsIndex, water: typing.SupportsFloat | typing.SupportsIndex, gcv: typing.SupportsFloat | typing.SupportsIndex) -> tuple[float, float, float]:
    """
    (Fd, Fw, Fc) in scf/MMBtu from wt% and Btu/lb.
    """
def isa_available() -> list[Isa]:
    """
    Levels that this build and this CPU can run, lowest first.
    """
def isa_level() -> Isa:
    """
    The level in use: the best of this CPU, lowered by EMISOPT_ISA.
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
def known_pollutants() -> list[str]:
    """
    Pollutants that a permit may name.
    """
def known_units() -> list[str]:
    """
    Units that a permit may name.
    """
def lb_h_from_lb_mmbtu(value: numpy.typing.NDArray[numpy.float64], k: typing.SupportsFloat | typing.SupportsIndex, a: numpy.typing.NDArray[numpy.float64], b: numpy.typing.NDArray[numpy.float64], tag: str, time: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    """
    a: MMBtu/h.
    """
def lb_h_from_ppm(value: numpy.typing.NDArray[numpy.float64], k: typing.SupportsFloat | typing.SupportsIndex, a: numpy.typing.NDArray[numpy.float64], b: numpy.typing.NDArray[numpy.float64], tag: str, time: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    """
    k, a: dscf/min.
    """
def lb_mmbtu_from_ppm(value: numpy.typing.NDArray[numpy.float64], k: typing.SupportsFloat | typing.SupportsIndex, a: numpy.typing.NDArray[numpy.float64], b: numpy.typing.NDArray[numpy.float64], tag: str, time: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    """
    k, a: Fd, b: O2 in %.
    """
def lb_mmbtu_from_ppm_co2(value: numpy.typing.NDArray[numpy.float64], k: typing.SupportsFloat | typing.SupportsIndex, a: numpy.typing.NDArray[numpy.float64], b: numpy.typing.NDArray[numpy.float64], tag: str, time: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    """
    k, a: Fc, b: CO2 in %.
    """
def lb_scf_per_ppm(pollutant: str) -> float:
    ...
def lb_scf_per_ppm_of_mass(pollutant: str) -> float:
    ...
def make_history(tags: TagMap, values: numpy.typing.NDArray[numpy.float64], time: numpy.typing.NDArray[numpy.float64], gap: numpy.typing.NDArray[numpy.bool], live: bool = False) -> History:
    """
    Checks and cleans a raw table (N, tags), physical units, with stamps (N,) in s or none (0,) and flags
    (N,) or (0,) of rows that do not follow the one before. live: outputs may be missing or constant.
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
def mpc_policy(forecaster: Forecaster, limits: collections.abc.Sequence[Limit], *, config: ControllerConfig, envelope: Envelope, move_weight: typing.SupportsFloat | typing.SupportsIndex = 60.0, threads: typing.SupportsInt | typing.SupportsIndex = 0, name: str = 'MPC') -> Policy:
    """
    The forecaster and the controller as a policy.
    """
def normal_scores(levels: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], quantiles: numpy.typing.NDArray[numpy.float64], came: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    """
    (n,) normal score of what came in its own forecast (n, Q).
    """
def operator_policy() -> Policy:
    """
    The operator's rules, tuned for the scenario.
    """
def oracle_policy(limits: collections.abc.Sequence[Limit], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> Policy:
    """
    The upper bound: the controller over the true equations and the true future.
    """
def pollutant_names() -> list[str]:
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
def simulate_history(*, seed: typing.SupportsInt | typing.SupportsIndex, plant_seed: typing.SupportsInt | typing.SupportsIndex | None = None, days: typing.SupportsInt | typing.SupportsIndex = 90, dither: typing.SupportsFloat | typing.SupportsIndex = 0.0, progress: typing.Any = None) -> tuple:
    """
    Months of operation by two crews: (History, truth (N, O), tight crew (N,)).
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
def train(forecaster: Forecaster, history: History, config: TrainConfig, progress: typing.Any = None) -> tuple[TrainResult, bool]:
    """
    Trains in place; progress(TrainProgress) may return False to stop. Returns (TrainResult, interrupted): Ctrl-C stops with the best weights so far instead of raising.
    """
def training_envelope(history: History, rows: typing.SupportsInt | typing.SupportsIndex, share: typing.SupportsFloat | typing.SupportsIndex, weight: typing.SupportsFloat | typing.SupportsIndex) -> Envelope:
    """
    Where the first `rows` rows lay: setpoints and what is known ahead; beyond it a plan is penalised.
    """
def variability(x: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], y: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], zero: typing.SupportsFloat | typing.SupportsIndex | None, limit: typing.SupportsFloat | typing.SupportsIndex, confidence_pct: typing.SupportsFloat | typing.SupportsIndex) -> dict[str, float]:
    """
    zero: None for least squares.
    """
def verify_audit_file(path: str, head: str) -> list[str]:
    ...
__version__: str = '0.1.0'
epoch: float = 1704067200.0
