"""What is looked at in a pushed body before it is committed: almost nothing.

A push that is refused comes again, so refusing garbage loses nothing; but what may hold a report must be taken, as no
later attempt would look different. Parsing is left to unpack.
"""

_SIGNS = (b'"results"', b'"messageId"', b"<result", b":result", b"messageId>")
"""Of a collection, or at least of one report, in JSON or XML."""
_UTF16_STARTS = (b"\xff\xfe", b"\xfe\xff", b"<\x00", b"\x00<", b"{\x00", b"\x00{")
_BLANKS = b"\xef\xbb\xbf \t\r\n"


def refusal(body: bytes) -> str:
    """Why a body is obviously no collection of reports; empty if it may hold one. Linear, and quick."""
    if not body.strip(_BLANKS):
        return "the body is empty"
    if body.startswith(_UTF16_STARTS) or any(sign in body for sign in _SIGNS):
        return ""
    return 'the body holds no reports: neither "results" nor a messageId is in it'
