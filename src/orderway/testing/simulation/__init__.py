"""The simulation: several workers, users and operators in virtual time, under faults drawn from a seed.

One seed is one run, the same each time: who does what when, how long each call takes, which calls fail, which workers
die, freeze and come back, which notifications are lost or come twice, and whose clock is wrong. At the end the faults
stop, and everything must come right::

    result = simulate(seed=7)
    result.check()

    python -m orderway.testing.simulation 7     # the same run, with its trace
"""

from orderway.testing.simulation.run import Result, simulate
from orderway.testing.simulation.weather import FAULTS, Odds

__all__ = ["FAULTS", "Odds", "Result", "simulate"]
