"""What must not be shown is not shown; what is needed to find a fault is left."""

import pytest

from relay.observe.redact import MAX_CHARACTERS, Redactor, mask, use

PHONES = [
    ("sent to 41793026727", "sent to ***27"),
    ("sent to +41793026727.", "sent to ***27."),
    ("to=41793026727&from=x", "to=***27&from=x"),
    ("tel:41793026727", "tel:***27"),
    ("'41793026727': unknown", "'***27': unknown"),
    ("41793026727-DELIVERED", "***27-DELIVERED"),
    ("0041793026727", "***27"),
    ("+41 79 302 67 27 said", "***27 said"),
    ("+1 (555) 010-9999", "***99"),
    ("?to=%2B41793026727", "?to=***27"),
    ('{"to":"41793026727"}', '{"to":"***27"}'),
    ("41793026727,41793026728", "***27,***28"),
]
KEPT = [
    "id ff4804ef-6ab6-4abd-984d-ab3b1387e852",
    "id 12345678-1234-1234-1234-123456789012",
    "id 31007543212345678901",
    "id msg_0123456789abcdef",
    "abc12345678",
    "2015-02-12T09:58:20.323+0100",
    "2026-08-01 10:00:00",
    "0.12345678901",
    "1700000000.123",
    "seq 1234567",
    "127.0.0.1:9092",
]


@pytest.mark.parametrize(("text", "expected"), PHONES)
def test_phone_numbers_are_masked(text: str, expected: str) -> None:
    assert Redactor().text(text) == expected


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_phone_number_stays(text: str) -> None:
    assert Redactor().text(text) == text


def test_secrets_are_masked_in_every_form() -> None:
    redactor = Redactor(lambda: ['pass"w/rd', "short", "abc"])
    event = redactor.event(
        {
            "plain": 'it is pass"w/rd.',
            "json": '{"password": "pass\\"w/rd"}',
            "url": "https://x/?p=pass%22w%2Frd",
            "basic": "Basic cGFzcyJ3L3Jk",
            "other": "abcdef",
        }
    )
    assert event == {
        "plain": "it is [secret].",
        "json": '{"password": "[secret]"}',
        "url": "https://x/?p=[secret]",
        "basic": "Basic [secret]",
        "other": "abcdef",
    }


def test_a_renewed_secret_is_masked_and_the_old_one_too() -> None:
    current = ["first-secret"]
    redactor = Redactor(lambda: current)
    assert redactor.shown("first-secret second-secret") == "[secret] second-secret"
    current[0] = "second-secret"
    assert redactor.shown("first-secret second-secret") == "[secret] [secret]"


def test_the_longest_secret_wins() -> None:
    assert Redactor(lambda: ["secret", "secret-two"]).shown("secret-two") == "[secret]"


@pytest.mark.parametrize("key", ["to", "from", "text", "callbackData", "TO", "sender", "destination"])
def test_contents_of_messages_are_never_logged(key: str) -> None:
    redactor = Redactor()
    assert redactor.event({key: "Hello", "report": {key: ["Hello"]}}) == {key: "[hidden]", "report": {key: "[hidden]"}}


def test_values_under_names_of_secrets_are_hidden() -> None:
    event = Redactor().event({"headers": {"Authorization": "App x"}, "token": "x", "password": "configured"})
    assert event == {"headers": {"Authorization": "[secret]"}, "token": "[secret]", "password": "configured"}


def test_bytes_objects_and_depth() -> None:
    nested: list[object] = []
    nested.append(nested)
    event = Redactor().event(
        {"body": b"41793026727", "error": ValueError("41793026727"), "nested": nested, "n": 10**20}
    )
    assert event["body"] == "<11 bytes>"
    assert event["error"] == "***27"
    assert event["n"] == 10**20
    assert "[hidden]" in str(event["nested"])


def test_an_object_without_text_costs_no_line() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert Redactor().event({"x": Broken()}) == {"x": "<Broken: RuntimeError>"}


def test_long_values_are_cut() -> None:
    shown = Redactor().text("x" * (MAX_CHARACTERS + 1))
    assert shown == "x" * MAX_CHARACTERS + f"… ({MAX_CHARACTERS + 1} characters)"


def test_the_process_masks_by_the_redactor_in_use() -> None:
    use(Redactor(lambda: ["canary-one"]))
    try:
        assert mask("canary-one 41793026727") == "[secret] ***27"
    finally:
        use(Redactor())
    assert mask("canary-one") == "canary-one"
