"""Watches data and model: drift, sensors, the envelope of what the model has seen, coverage."""

from __future__ import annotations

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

__all__ = [
    "DETECTORS",
    "Calibration",
    "DriftBank",
    "DriftMonitor",
    "calibrate",
    "chart_limit",
    "chart_run_length",
    "detect_drift",
    "false_discoveries",
]
