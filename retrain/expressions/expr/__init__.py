"""The parts of expr-lang (exprlang.py): text to words, words to a tree, the tree to closures; what can be called."""
