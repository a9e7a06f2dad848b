"""What all kinds of tests share."""

pytest_plugins = ["tests.kafka.plugin"]
