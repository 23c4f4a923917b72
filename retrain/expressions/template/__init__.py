"""The parts of Go's text/template (gotemplate.py): text to words, words to a tree, the tree to closures; Go's values
and how Go prints them."""
