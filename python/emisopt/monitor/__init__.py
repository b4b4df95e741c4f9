"""Watches data and model: drift, sensors, the envelope of what the model has seen, coverage."""

from __future__ import annotations

from emisopt.monitor.coverage import ConformalCorrector, CoverageMonitor
from emisopt.monitor.distances import distances
from emisopt.monitor.drift import (
    DETECTORS,
    Calibration,
    DriftBank,
    calibrate,
    chart_limit,
    chart_run_length,
    detect_drift,
    false_discoveries,
)
from emisopt.monitor.drift_monitor import DriftMonitor
from emisopt.monitor.envelope import Envelope
from emisopt.monitor.process import ProcessMonitor
from emisopt.monitor.sensors import SensorMonitor, SensorStream, without_ranges

__all__ = [
    "DETECTORS",
    "Calibration",
    "ConformalCorrector",
    "CoverageMonitor",
    "DriftBank",
    "DriftMonitor",
    "Envelope",
    "ProcessMonitor",
    "SensorMonitor",
    "SensorStream",
    "calibrate",
    "chart_limit",
    "chart_run_length",
    "detect_drift",
    "distances",
    "false_discoveries",
    "without_ranges",
]
