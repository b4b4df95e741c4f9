"""emisopt: forecast a plant's stack emissions and choose setpoints by model-predictive control.

The public names, in the order in which data flows: tag maps and tables, plants to learn on, the forecaster,
limits and objective, the controller, scores.
"""

from __future__ import annotations

from emisopt import metrics, plants, qp
from emisopt._core import Error, FileError, InputError, ShapeError, StateError, __version__
from emisopt.beside import Blend
from emisopt.climatology import Climatology
from emisopt.config import show_config
from emisopt.control import Controller, Decision
from emisopt.corrector import Corrector, blend_weights
from emisopt.distillation import distill
from emisopt.ensemble import EnsembleForecaster
from emisopt.errors import ConfigError, DataError, EmisoptError
from emisopt.forecaster import Forecaster
from emisopt.io import read_history
from emisopt.objective import Limit, Objective, Setpoint, economic
from emisopt.online import OnlineLearner
from emisopt.prequential import choose_blend, run_online
from emisopt.prior import FunctionPrior, TablePrior
from emisopt.risk import BreakRisk
from emisopt.sensitivity import Sensitivity
from emisopt.tags import Tag, TagMap, load_tagmap, shipped_tagmaps
from emisopt.teacher import TeacherForecasts
from emisopt.transfer import Transfer, transfer

__all__ = [
    "Blend",
    "BreakRisk",
    "Climatology",
    "ConfigError",
    "Controller",
    "Corrector",
    "DataError",
    "Decision",
    "EmisoptError",
    "EnsembleForecaster",
    "Error",
    "FileError",
    "Forecaster",
    "FunctionPrior",
    "InputError",
    "Limit",
    "Objective",
    "OnlineLearner",
    "Sensitivity",
    "Setpoint",
    "ShapeError",
    "StateError",
    "TablePrior",
    "Tag",
    "TagMap",
    "TeacherForecasts",
    "Transfer",
    "__version__",
    "blend_weights",
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
