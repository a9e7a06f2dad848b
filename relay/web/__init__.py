"""The HTTP service: health, metrics, the operators' API and page.

Invariant: nothing here can stop or slow the relay's work, and without the token it tells names and counts, no more.
"""

from relay.web.callbacks import CallbackRoutes
from relay.web.cursors import CursorRoutes
from relay.web.dead_letters import DeadLetterRoutes
from relay.web.history import HistoryRoutes
from relay.web.push import Push, PushEndpoint
from relay.web.quarantine import QuarantineRoutes
from relay.web.reconcile import ReconcileRoutes
from relay.web.recordings import RecordingRoutes
from relay.web.replays import ReplayRoutes
from relay.web.service import HttpService, Routes, make_push_web, make_web
from relay.web.token import TOKEN_FILE, api_token

__all__ = [
    "TOKEN_FILE",
    "CallbackRoutes",
    "CursorRoutes",
    "DeadLetterRoutes",
    "HistoryRoutes",
    "HttpService",
    "Push",
    "PushEndpoint",
    "QuarantineRoutes",
    "ReconcileRoutes",
    "RecordingRoutes",
    "ReplayRoutes",
    "Routes",
    "api_token",
    "make_push_web",
    "make_web",
]
