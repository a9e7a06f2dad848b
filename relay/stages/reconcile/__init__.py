"""The stage that closes a stream's gaps from the logs, and comparisons that somebody asks for.

Owns the walk through the logs. Invariant: a gap ends `closed` only after every row that may belong to it was compared
with the journal; what could not be compared is told, and how far a walk has come is as durable as what it found.
"""

from relay.stages.reconcile.comparison import Comparison
from relay.stages.reconcile.reconciler import Reconcile
from relay.stages.reconcile.recovery import Recovery
from relay.stages.reconcile.runs import ComparisonRuns

__all__ = ["Comparison", "ComparisonRuns", "Reconcile", "Recovery"]
