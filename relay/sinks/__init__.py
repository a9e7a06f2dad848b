"""Where reports go: Kafka in transactions, callbacks by signed POST. A sink says how a try ended, decides nothing."""
