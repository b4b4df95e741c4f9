"""Watches data and model: drift, sensors, the envelope of what the model has seen, coverage."""

from __future__ import annotations

from emisopt.monitor.coverage import ConformalCorrector, CoverageMonitor

__all__ = ["ConformalCorrector", "CoverageMonitor"]
