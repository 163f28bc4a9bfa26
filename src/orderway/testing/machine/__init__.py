"""A machine for Hypothesis that does to orders whatever the world may do, in any order, with a model beside it.

Workers share one database; they die, freeze and are buried; hooks fail; payers pay twice, late, or the wrong amount.
After every step the books must balance, and at the end everything must have come to its end.
"""

from orderway.testing.machine.base import rule_names
from orderway.testing.machine.grounds import DatabaseGrounds, Grounds, MemoryGrounds, SqliteGrounds
from orderway.testing.machine.rules import JourneyMachine

__all__ = ["DatabaseGrounds", "Grounds", "JourneyMachine", "MemoryGrounds", "SqliteGrounds", "rule_names"]
