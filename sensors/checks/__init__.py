"""What is wrong with a Sensor of the right shape: said with its place, before anything starts. `sensor` begins."""
