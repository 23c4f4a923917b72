"""Models and their promotions as people ask for them, what is done to them, and what gates and checks ask with."""
