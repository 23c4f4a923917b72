"""Files that go from step to step: where they are kept, how they are packed, fetched and unpacked safely."""
