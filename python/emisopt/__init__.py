"""emisopt: forecast a plant's stack emissions and choose setpoints by model-predictive control.

The public names, in the order in which data flows: tag maps and tables, plants to learn on, the forecaster,
limits and objective, the controller, scores.
"""

from __future__ import annotations

from emisopt import choices, metrics, plants, qp
from emisopt._core import Error, FileError, InputError, ShapeError, StateError, __version__
from emisopt.backoff import ConformalBackoff
from emisopt.beside import Blend
from emisopt.climatology import Climatology
from emisopt.config import show_config
from emisopt.control import Controller
from emisopt.corrector import Corrector, blend_weights
from emisopt.decision import Decision
from emisopt.distillation import distill
from emisopt.ensemble import EnsembleForecaster
from emisopt.errors import ConfigError, DataError, EmisoptError
from emisopt.explanation import Explanation
from emisopt.forecaster import Forecaster
from emisopt.io import read_history
from emisopt.objective import (
    Interlock,
    Limit,
    Objective,
    Polynomial,
    Setpoint,
    Table,
    Target,
    economic,
)
from emisopt.online import OnlineLearner
from emisopt.prequential import choose_blend, run_online
from emisopt.prior import FunctionPrior, TablePrior
from emisopt.risk import BreakRisk
from emisopt.sensitivity import Sensitivity
from emisopt.tags import Tag, TagMap, load_tagmap, shipped_tagmaps
from emisopt.teacher import TeacherForecasts
from emisopt.transfer import Transfer, transfer
from emisopt.window_backoff import WindowBackoff

__all__ = [
    "Blend",
    "BreakRisk",
    "Climatology",
    "ConfigError",
    "ConformalBackoff",
    "Controller",
    "Corrector",
    "DataError",
    "Decision",
    "EmisoptError",
    "EnsembleForecaster",
    "Error",
    "Explanation",
    "FileError",
    "Forecaster",
    "FunctionPrior",
    "InputError",
    "Interlock",
    "Limit",
    "Objective",
    "OnlineLearner",
    "Polynomial",
    "Sensitivity",
    "Setpoint",
    "ShapeError",
    "StateError",
    "Table",
    "TablePrior",
    "Tag",
    "TagMap",
    "Target",
    "TeacherForecasts",
    "Transfer",
    "WindowBackoff",
    "__version__",
    "blend_weights",
    "choices",
    "choose_blend",
    "distill",
    "economic",
    "load_tagmap",
    "metrics",
    "plants",
    "qp",
    "read_history",
    "run_online",
    "shipped_tagmaps",
    "show_config",
    "transfer",
]
