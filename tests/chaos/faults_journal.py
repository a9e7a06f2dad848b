"""What is done to the journal and its disk. Each returns when it is over, not healed."""

import asyncio
import errno
import random
import shutil
from contextlib import suppress
from pathlib import Path

from tests.chaos.arena import KINDS, Arena
from tests.chaos.evidence import JournalFacts, read_cursors, read_journal
from tests.scene.processes import until

DIES_SECONDS = 30.0
NOTICE_SECONDS = 10.0
QUIET_SECONDS = 40.0


async def fill_disk(arena: Arena, chance: random.Random) -> None:
    """Not a byte is left, then all is well again."""
    if arena.disk.mounted:
        await asyncio.to_thread(arena.disk.fill)
    else:
        arena.shim.order(write_errno=errno.ENOSPC)
    await arena.notices("full disk", "full", NOTICE_SECONDS)
    await asyncio.sleep(chance.uniform(0, 4))
    arena.shim.order()
    await asyncio.to_thread(arena.disk.free)
    await _up_again(arena, "full disk")


async def fail_writes(arena: Arena, _chance: random.Random) -> None:
    """The relay must end and say so: what it has not written it may not act upon."""
    arena.shim.order(write_errno=errno.EIO)
    await _ends(arena, "write error")


async def fail_fsyncs(arena: Arena, _chance: random.Random) -> None:
    arena.shim.order(fsync_errno=errno.EIO)
    await _ends(arena, "fsync error")


async def _ends(arena: Arena, what: str) -> None:
    try:
        await arena.relay_ends(what, DIES_SECONDS)
    except TimeoutError:
        arena.broken_promises.append(f"{what}: the relay goes on:\n{arena.relay.tail()}")
        await arena.kill_relay(f"kill after {what}")
    finally:
        arena.shim.order()
    await arena.start_relay()


async def _up_again(arena: Arena, what: str) -> None:
    """Ended by what it could not write it is started again, as its supervisor does; that is no broken promise."""
    with suppress(TimeoutError):
        await arena.relay_ends(what, 1.0)
        await arena.start_relay()


async def damage(arena: Arena, chance: random.Random) -> None:
    """The file is refused and left as it is; its operator puts back the sound one."""
    await arena.terminate_relay()
    kept = arena.journal.with_suffix(".kept")
    await asyncio.to_thread(shutil.copyfile, arena.journal, kept)
    await asyncio.to_thread(chance.choice((_spoil_header, _halve)), arena.journal)
    damaged = await asyncio.to_thread(arena.journal.read_bytes)
    code, output = await arena.relay.run_beside()
    if code != 1 or "relay.db" not in output:
        arena.broken_promises.append(f"a damaged journal was not refused: exit code {code}:\n{output[-1000:]}")
    if await asyncio.to_thread(arena.journal.read_bytes) != damaged:
        arena.broken_promises.append("a damaged journal was changed")
    await asyncio.to_thread(shutil.move, kept, arena.journal)
    await arena.start_relay()


def _spoil_header(journal: Path) -> None:
    with journal.open("r+b") as file:
        file.write(b"this was a journal once")


def _halve(journal: Path) -> None:
    with journal.open("r+b") as file:
        file.truncate(journal.stat().st_size // 2)


async def second_process(arena: Arena, _chance: random.Random) -> None:
    code, output = await arena.relay.run_beside()
    if code != 1 or "another process" not in output:
        arena.broken_promises.append(f"a second process was not refused: exit code {code}:\n{output[-1000:]}")


async def take_backup(arena: Arena, _chance: random.Random) -> None:
    """A snapshot of the files, as of a machine that runs."""
    backup = arena.directory / "backup"
    async with arena.standing_still("pause for a snapshot"):
        await asyncio.to_thread(_copy_journal, arena.journal.parent, backup)
    arena.backup = backup


async def restore_backup(arena: Arena, chance: random.Random) -> None:
    """An older journal in place of one that had published all it held."""
    await _restore(arena, chance, kafka_up=True)


async def restore_backup_without_kafka(arena: Arena, chance: random.Random) -> None:
    """The same, and for a while nobody tells how far behind it is."""
    await _restore(arena, chance, kafka_up=False)


async def _restore(arena: Arena, chance: random.Random, *, kafka_up: bool) -> None:
    if arena.backup is None:
        await take_backup(arena, chance)
        await asyncio.sleep(chance.uniform(2, 6))
    await arena.clear_faults()
    await arena.flows_again()
    with suppress(AssertionError):
        await until(lambda: _has_no_gaps(arena), QUIET_SECONDS, "gaps stay open")
    await arena.terminate_relay()
    facts = await asyncio.to_thread(read_journal, arena.journal)
    # Else the backup loses something by its nature: this is about what it must not lose.
    if await asyncio.to_thread(_has_told_all, arena, facts):
        arena.past_journals.append(facts)
        assert arena.backup is not None
        await asyncio.to_thread(_put_back, arena.backup, arena.journal.parent)
        arena.backup = None
        arena.noticed["backups restored"] += 1
    else:
        arena.noticed["backups not restored, something was unpublished"] += 1
    if not kafka_up:
        await asyncio.to_thread(arena.kafka.kill)
    try:
        await arena.start_relay()
        await asyncio.sleep(0 if kafka_up else chance.uniform(2, 6))
    finally:
        await asyncio.to_thread(arena.kafka.start_brokers)


def _has_no_gaps(arena: Arena) -> bool:
    with suppress(OSError):
        return arena.relay.metric("relay_gaps_open") == 0
    return False


def _has_told_all(arena: Arena, facts: JournalFacts) -> bool:
    cursors = read_cursors(arena.kafka.bootstrap_servers, arena.prefix, arena.journal_id(), KINDS)
    published = all(cursors[kind] == seq + 1 for kind, seq in facts.last_seqs.items())
    return published and not facts.fetches and all(gap.state == 1 for gap in facts.gaps)


def _copy_journal(directory: Path, to: Path) -> None:
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir()
    for name in ("relay.db", "relay.db-wal"):
        with suppress(FileNotFoundError):
            shutil.copyfile(directory / name, to / name)


def _put_back(backup: Path, directory: Path) -> None:
    for name in ("relay.db", "relay.db-wal", "relay.db-shm"):
        (directory / name).unlink(missing_ok=True)
    for file in backup.iterdir():
        shutil.copyfile(file, directory / file.name)
