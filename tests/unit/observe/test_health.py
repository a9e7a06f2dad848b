"""What is degraded is named until it recovers."""

from relay.observe import Health


def test_a_component_is_degraded_until_it_recovers() -> None:
    health = Health()
    health.degrade("publish acme/sms", "broker away")
    health.degrade("publish acme/sms", "topic missing")
    health.degrade("callback billing", "410")
    assert health.degraded == {"publish acme/sms": "topic missing", "callback billing": "410"}
    health.recover("publish acme/sms")
    health.recover("never degraded")
    assert health.degraded == {"callback billing": "410"}


def test_what_is_told_is_a_copy() -> None:
    health = Health()
    health.degraded["x"] = "y"
    assert health.degraded == {}


def test_reasons_are_masked_and_bounded() -> None:
    health = Health()
    health.degrade("unpack", "ValueError: 41793026727 " + "x" * 1000)
    assert health.degraded["unpack"].startswith("ValueError: ***27 x")
    assert len(health.degraded["unpack"]) == 500
