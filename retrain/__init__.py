"""The ground that all stages stand on, and the programs that put them together.

Imports nothing: `retrain.errors` and `retrain.events` are at the bottom of the house, and everything may import them.
"""

__version__ = "0.1.0"
