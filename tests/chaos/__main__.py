"""``python -m tests.chaos``: break everything around the relay for some minutes, then count.

Prints the seed, the faults by kind, counts, recovery times and the verdict; exit code 0 if it is green.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.chaos.campaign import Plan, run
from tests.chaos.checker import judge
from tests.chaos.evidence import kept
from tests.chaos.faults import FAULTS
from tests.kafka.broker import Cluster


def main() -> int:
    parser = _parser()
    arguments = parser.parse_args()
    faults = arguments.faults.split(",") if arguments.faults else list(FAULTS)
    if unknown := set(faults).difference(FAULTS):
        parser.error(f"there is no fault {', '.join(sorted(unknown))}")
    if arguments.judge:
        return _judge(Path(arguments.judge))
    plan = Plan(
        seed=arguments.seed,
        seconds=arguments.seconds,
        rate=arguments.rate,
        kills=arguments.kills,
        every=arguments.every,
        faults=faults,
    )
    directory = Path(arguments.directory or tempfile.mkdtemp(prefix="relay-chaos-"))
    print(f"chaos: seed {plan.seed}, everything is kept in {directory}", flush=True)
    settings = {"min.insync.replicas": str(min(arguments.brokers, 2))}
    kafka = Cluster(directory / "kafka", brokers=arguments.brokers, settings=settings, proxied="SASL_PLAINTEXT")
    try:
        kafka.start()
        outcome = asyncio.run(run(plan, directory, kafka))
    finally:
        kafka.kill()
    print(outcome.told())
    return 0 if outcome.green else 1


def _judge(directory: Path) -> int:
    verdict = judge(kept(directory))
    print("\n".join(verdict.objections) or "no objections")
    return 0 if verdict.green else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="so long faults are injected (default: 300)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="repeats an order of faults")
    parser.add_argument("--kills", type=int, default=0, help="and on, until the relay was killed so often")
    parser.add_argument("--every", action="store_true", help="and on, until each kind of fault was there")
    parser.add_argument("--rate", type=int, default=60, help="reports a second, of each of two kinds")
    parser.add_argument("--faults", help=f"some of: {','.join(FAULTS)}")
    parser.add_argument("--brokers", type=int, default=1, help="3: replication 3, min.insync.replicas 2")
    parser.add_argument("--judge", metavar="DIRECTORY", help="the evidence of a run that is over, once more")
    parser.add_argument("--directory", help="where journal, logs and ledgers stay")
    return parser


if __name__ == "__main__":
    sys.exit(main())
