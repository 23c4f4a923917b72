"""What keeps sources running: tasks, delivery to the bus, memory over restarts."""
