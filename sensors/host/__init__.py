"""The loop from the log to the store: `loop`. One reader for all sensors, one transaction for each batch."""
