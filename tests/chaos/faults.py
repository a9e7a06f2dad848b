"""All that may happen, by name."""

from typing import NamedTuple

from tests.chaos.faults_api import (
    Do,
    api,
    callback,
    garbage,
    logs,
    other_answer,
    oversized_record,
    redirect,
    retry_after,
)
from tests.chaos.faults_clock import jump_clock, refuse_timestamps
from tests.chaos.faults_journal import (
    damage,
    fail_fsyncs,
    fail_writes,
    fill_disk,
    restore_backup,
    restore_backup_without_kafka,
    second_process,
    take_backup,
)
from tests.chaos.faults_kafka import (
    cursor_unreadable,
    cut_connections,
    delay_connections,
    delete_cursor,
    delete_topic,
    freeze_broker,
    kill_broker,
    late_commit,
    lose_commit_answer,
    one_way,
    other_cluster,
    revoke_credentials,
    revoke_permission,
    silence,
    steal_id,
)
from tests.chaos.faults_relay import kill, kill_at_point, kill_early, pause, restart
from tests.receivers.callback import Behaviour


class Fault(NamedTuple):
    """`slow`: what follows takes the relay half a minute or more, by design; left out of short runs. `needs`: what not
    every machine has, see `Arena.lacks`."""

    do: Do
    slow: bool = False
    weight: int = 1
    """So many times among one of each of the others."""
    needs: str = ""


FAULTS: dict[str, Fault] = {
    "kill": Fault(kill),
    "kill-early": Fault(kill_early),
    "kill-at-point": Fault(kill_at_point, weight=6),
    "restart": Fault(restart),
    "pause": Fault(pause),
    "second-process": Fault(second_process),
    "broker-kill": Fault(kill_broker),
    "broker-freeze": Fault(freeze_broker),
    "cut": Fault(cut_connections),
    "delay": Fault(delay_connections),
    "silence": Fault(silence),
    "one-way": Fault(one_way),
    "commit-unheard": Fault(lose_commit_answer),
    "commit-late": Fault(late_commit),
    "cursor-unreadable": Fault(cursor_unreadable),
    "cursor-deleted": Fault(delete_cursor),
    "id-stolen": Fault(steal_id),
    "topic-deleted": Fault(delete_topic),
    "timestamps-refused": Fault(refuse_timestamps, needs="shim"),
    "permission-revoked": Fault(revoke_permission, needs="users"),
    "credentials-revoked": Fault(revoke_credentials, needs="users"),
    "other-cluster": Fault(other_cluster),
    "disk-full": Fault(fill_disk, needs="disk"),
    "write-error": Fault(fail_writes, needs="shim"),
    "fsync-error": Fault(fail_fsyncs, needs="shim"),
    "damaged-file": Fault(damage),
    "backup-taken": Fault(take_backup),
    "backup-restored": Fault(restore_backup),
    "backup-restored-without-kafka": Fault(restore_backup_without_kafka),
    "clock-jump": Fault(jump_clock, needs="shim"),
    "oversized": Fault(oversized_record),
    "garbage": Fault(garbage),
    "api-reset": Fault(api(what="reset_in_body")),
    "api-reset-before": Fault(api(what="reset_before", consumes=True, times=1)),
    "api-close": Fault(api(what="close_in_body")),
    "api-gzip": Fault(api(what="truncated_gzip")),
    "api-close-before": Fault(api(what="close_before", consumes=True, times=1)),
    "api-500": Fault(api(what="status", status=500, consumes=True)),
    "api-504": Fault(api(what="status", status=504, consumes=True)),
    "api-502": Fault(api(what="status", status=502, consumes=True)),
    "api-retry-after": Fault(retry_after),
    "api-400": Fault(api(what="status", status=400, times=1)),
    "api-html": Fault(api(what="html", consumes=True)),
    "api-401": Fault(api(what="status", status=401, times=1), slow=True),
    "api-403": Fault(api(what="status", status=403, times=1), slow=True),
    "api-redirect": Fault(redirect),
    "api-other-answer": Fault(other_answer, weight=2),
    "api-hang": Fault(api(what="hang", consumes=True, times=1)),
    "api-drip": Fault(api(what="drip", seconds=2, times=1)),
    "api-drip-too-long": Fault(api(what="drip", seconds=20, times=1)),
    "logs-503": Fault(logs(what="status", status=503)),
    "logs-reset": Fault(logs(what="reset_in_body")),
    "logs-html": Fault(logs(what="html")),
    "api-late": Fault(api(what="delay", seconds=7, times=1)),
    "callback-500": Fault(callback(Behaviour(status=500))),
    "callback-429": Fault(callback(Behaviour(status=429)), slow=True),
    "callback-hang": Fault(callback(Behaviour(delay_seconds=4))),
    "callback-close": Fault(callback(Behaviour(mode="close"))),
}
