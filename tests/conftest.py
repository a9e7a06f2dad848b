"""What all kinds of tests share."""

from signal import SIG_IGN, SIGINT, default_int_handler, getsignal, signal

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.kafka.plugin"]

# A machine that is busy with something else is no fault of what is tested.
settings.register_profile("relay", max_examples=45, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("relay")


if getsignal(SIGINT) is SIG_IGN:
    # As in the background of a shell script; what the tests start would ignore it, too.
    signal(SIGINT, default_int_handler)
