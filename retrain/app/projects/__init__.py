"""What a project is: its documents read and checked, with the kinds that packages bring, taken in anew."""
