"""The stage that publishes one stream to Kafka, in order, each entry exactly once.

Owns the stream's position: the last entry that Kafka has committed, as Kafka itself said. Invariant: nothing is sent
before the cursor was read since the producer was opened, and after any error another producer reads it again.
"""

from relay.stages.publish.publisher import Publish

__all__ = ["Publish"]
