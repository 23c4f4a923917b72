"""Sources that read from message brokers and queues."""
