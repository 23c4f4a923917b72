"""Steps on this machine: where they live on disk, what they see, how their processes start, are found again and end."""
