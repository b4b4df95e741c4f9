"""emisopt.energy: counters of a made-up processor, their overflow, and the estimate where there are none."""

import time

import pytest

import emisopt
from emisopt.energy import EnergyMeter


def package(folder, number, microjoules, full=1_000_000_000):
    place = folder / f"intel-rapl:{number}"
    place.mkdir(exist_ok=True)
    (place / "energy_uj").write_text(f"{microjoules}\n")
    (place / "max_energy_range_uj").write_text(f"{full}\n")
    part = folder / f"intel-rapl:{number}:0"  # cores of the package: counted within it
    part.mkdir(exist_ok=True)
    (part / "energy_uj").write_text("0\n")
    return place


def test_packages_are_added_and_an_overflow_is_made_good(tmp_path):
    package(tmp_path, 0, 5_000_000)
    package(tmp_path, 1, 999_000_000)
    meter = EnergyMeter(powercap=tmp_path)
    package(tmp_path, 0, 8_000_000)
    package(tmp_path, 1, 1_000_000)  # began again
    used = meter.read()
    assert used.measured and used.source == "measured (RAPL)"
    assert used.joules == pytest.approx(3.0 + 2.0)


@pytest.mark.parametrize("spoil", ["absent", "unreadable", "gone"])
def test_without_counters_the_cpu_time_is_priced_and_marked(tmp_path, spoil):
    if spoil != "absent":
        place = package(tmp_path, 0, 5)
        if spoil == "unreadable":
            (place / "energy_uj").write_text("no number")
    meter = EnergyMeter(watts_per_core=20, powercap=tmp_path / "none" if spoil == "absent" else tmp_path)
    if spoil == "gone":
        (place / "energy_uj").unlink()
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    used = meter.read()
    assert not used.measured and used.source == "estimated at 20 W per busy core"
    assert used.cpu_seconds >= 0.05
    assert used.joules == pytest.approx(20 * used.cpu_seconds)


@pytest.mark.parametrize("watts", [0.0, -1.0, float("nan"), float("inf")])
def test_a_power_that_is_none_is_refused(watts):
    with pytest.raises(emisopt.InputError, match="positive number of watts"):
        EnergyMeter(watts_per_core=watts)
