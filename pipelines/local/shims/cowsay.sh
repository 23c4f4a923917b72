#!/bin/sh
# Prints its arguments, or what it reads, as `cowsay` does: in a balloon, without the animal's many shapes.
if [ $# -gt 0 ]; then text=$*; else text=$(cat); fi
line=$(printf '%s' "$text" | tr -c '\n' '-' | head -n 1)
printf ' -%s-\n< %s >\n -%s-\n' "$line" "$text" "$line"
printf '    \\\n     \\   (oo)\n         (__)\n'
