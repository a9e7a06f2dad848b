"""What all kinds of tests share."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.kafka.plugin"]

# A machine that is busy with something else is no fault of what is tested.
settings.register_profile("relay", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("relay")
