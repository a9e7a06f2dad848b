import subprocess
import sys
from pathlib import Path

import pytest

from relay.journal import files
from relay.journal.errors import JournalRefused
from relay.journal.files import FileLock, Mount, Reserve, check_place, mount_of, read_mounts

ROOT = Mount("/", "ext4")


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalRefused, match=r"there is no directory .*/no; create it or mount"):
        check_place(tmp_path / "no" / "relay.db", [ROOT])


def test_a_local_disk_is_fine(tmp_path: Path) -> None:
    assert check_place(tmp_path / "relay.db", [ROOT]) == []
    assert check_place(tmp_path / "relay.db", []) == [], "a kernel that does not tell"


@pytest.mark.parametrize("fs_type", ["nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "fuse.sshfs", "fuse.s3fs"])
def test_a_network_file_system_is_refused(tmp_path: Path, fs_type: str) -> None:
    with pytest.raises(JournalRefused, match=f"network file system \\({fs_type}\\)"):
        check_place(tmp_path / "relay.db", [ROOT, Mount(str(tmp_path), fs_type)])


@pytest.mark.parametrize("fs_type", ["tmpfs", "overlay", "ramfs", "9p", "fuse.fuse-overlayfs"])
def test_a_place_that_may_not_last_is_warned_about(tmp_path: Path, fs_type: str) -> None:
    (warning,) = check_place(tmp_path / "relay.db", [ROOT, Mount(str(tmp_path), fs_type)])
    assert str(tmp_path) in warning
    assert fs_type in warning


def test_the_deepest_and_the_last_mount_counts(tmp_path: Path) -> None:
    mounts = [Mount(str(tmp_path), "nfs"), ROOT, Mount(str(tmp_path), "xfs"), Mount(f"{tmp_path}-other", "cifs")]
    assert mount_of(tmp_path / "relay.db", mounts) == Mount(str(tmp_path), "xfs")


def test_a_link_is_followed_to_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "share")
    with pytest.raises(JournalRefused, match="network"):
        check_place(tmp_path / "link" / "relay.db", [ROOT, Mount(str(tmp_path / "share"), "nfs")])


def test_the_table_of_mounts(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "36 35 98:0 / / rw,noatime shared:1 - ext4 /dev/root rw\n"
        "37 36 0:20 / /mnt/my\\040share rw master:1 propagate:2 - nfs4 server:/x rw\n"
    )
    assert read_mounts(table) == [Mount("/", "ext4"), Mount("/mnt/my share", "nfs4")]
    assert read_mounts(tmp_path / "none") == []


def test_a_second_lock_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    first = FileLock.acquire(tmp_path / "relay.db")
    with pytest.raises(JournalRefused, match=r"in use by another process \(pid \d+ on "):
        FileLock.acquire(tmp_path / "relay.db")
    first.release()
    first.release()
    FileLock.acquire(tmp_path / "relay.db").release()


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom relay.journal.files import FileLock\n"
        "lock = FileLock.acquire(Path(sys.argv[1]))\nprint('held', flush=True)\nsys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "relay.db")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(JournalRefused, match=f"pid {holder.pid} "):
            FileLock.acquire(tmp_path / "relay.db")
        holder.kill()
    FileLock.acquire(tmp_path / "relay.db").release()


def test_the_reserve_is_real_room(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "relay.db", 1 << 20)
    reserve.hold_at_start()
    held = tmp_path / "relay.db.reserve"
    assert held.stat().st_blocks * 512 >= 1 << 20
    reserve.give_up()
    assert (held.stat().st_size, reserve.needed) == (0, True)
    assert reserve.hold()
    assert (held.stat().st_size, reserve.needed) == (1 << 20, False)


def test_on_a_small_disk_a_part_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "free_bytes", lambda _directory: 5 << 20)
    reserve = Reserve(tmp_path / "relay.db", 8 << 20)
    reserve.hold_at_start()
    assert (tmp_path / "relay.db.reserve").stat().st_size == 2 << 20


def test_without_room_it_is_not_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = Reserve(tmp_path / "relay.db", 1 << 20)
    reserve.hold_at_start()
    reserve.give_up()
    monkeypatch.setattr(files, "free_bytes", lambda _directory: (2 << 20) - 1)
    assert not reserve.hold()
    assert reserve.needed
    monkeypatch.setattr(files, "free_bytes", lambda _directory: 2 << 20)
    assert reserve.hold()
