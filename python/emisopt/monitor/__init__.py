"""Watches data and model: drift, sensors, the envelope of what the model has seen, coverage."""

from __future__ import annotations

from emisopt.monitor.envelope import Envelope
from emisopt.monitor.process import ProcessMonitor
from emisopt.monitor.sensors import SensorMonitor, SensorStream, without_ranges

__all__ = ["Envelope", "ProcessMonitor", "SensorMonitor", "SensorStream", "without_ranges"]
