"""The stage that posts a stream's reports to one callback, at least once each, and records how every attempt ended.

Owns what is in memory of a (callback, stream): a bounded window of the stream after the cursor, and some of the stored
deliveries that are due. Invariant: the cursor passes an entry only in the transaction that records what became of it
(delivered, stored for a retry, dead), so that a crash repeats attempts but loses none.
"""

from relay.stages.deliver.control import CallbackControl
from relay.stages.deliver.deliverer import Deliver
from relay.stages.deliver.gate import Gate
from relay.stages.deliver.subscription import subscribes, wanted_by

__all__ = ["CallbackControl", "Deliver", "Gate", "subscribes", "wanted_by"]
