"""Lists, maps, defaults and types of sprig. The answers are sprig's own."""

from __future__ import annotations

from typing import Any

import pytest

from retrain.expressions.gotemplate import TemplateError, compile_template

DATA: dict[str, Any] = {
    "z": None,
    "arr": [1, 2, 3],
    "l": ["c", "a", "b", None, ""],
    "m": {"k": 1, "j": 2},
    "nested": {"a": {"b": {"c": "deep"}}},
    "dup": [1, 1, "a", "a", None, None, [1], [1], {"a": 1}, {"a": 1}],
}

ANSWERS = [
    ('{{ int64 "12" | kindOf }}', "int64"),
    ("{{ list 1 2 3 | first }}", "1"),
    ("{{ list 1 2 3 | rest }}", "[2 3]"),
    ("{{ list 1 2 3 | last }}", "3"),
    ("{{ list 1 2 3 | initial }}", "[1 2]"),
    ("{{ append (list 1 2) 3 }}", "[1 2 3]"),
    ("{{ prepend (list 1 2) 0 }}", "[0 1 2]"),
    ("{{ concat (list 1) (list 2) .arr }}", "[1 2 1 2 3]"),
    ("{{ reverse (list 1 2 3) }}", "[3 2 1]"),
    ("{{ uniq .dup }}", "[1 a <nil> [1] map[a:1]]"),
    ("{{ without .arr 1.0 }}", "[2 3]"),
    ("{{ without (list 1 2 1) 1 }}", "[2]"),
    ("{{ has 1 (list 1 2) }}", "true"),
    ("{{ has 1 .arr }}", "false"),
    ("{{ has 1.0 .arr }}", "true"),
    ("{{ has 1 nil }}", "false"),
    ("{{ compact .l }}", "[c a b]"),
    ("{{ slice (list 1 2 3 4) 1 3 }}", "[2 3]"),
    ("{{ slice (list 1 2 3) }}", "[1 2 3]"),
    ("{{ slice (list 1 2 3) 1 }}", "[2 3]"),
    ("{{ chunk 2 (list 1 2 3) }}", "[[1 2] [3]]"),
    ("{{ chunk 3 .arr }}", "[[1 2 3]]"),
    ("{{ first (list) }}", "<no value>"),
    ("{{ rest (list) }}", "[]"),
    ("{{ last list }}", "<no value>"),
    ("{{ initial list }}", "[]"),
    ('{{ compact (list 0 1 false "" "a") }}', "[1 a]"),
    ("{{ sortAlpha .l }}", "[ a b c]"),
    ('{{ sortAlpha (list "b" "a" 3 2 "é" "z") }}', "[2 3 a b z é]"),
    ('{{ sortAlpha "x" }}', "[x]"),
    ('{{ dict "a" 1 "b" }}', "map[a:1 b:]"),
    ("{{ dict 1 2 }}", "map[1:2]"),
    ('{{ get .m "k" }}', "1"),
    ('{{ set (dict) "a" 1 }}', "map[a:1]"),
    ('{{ unset (dict "a" 1 "b" 2) "a" }}', "map[b:2]"),
    ('{{ hasKey .m "q" }}', "false"),
    ('{{ pluck "a" (dict "a" 1) (dict "b" 2) (dict "a" 3) }}', "[1 3]"),
    ("{{ keys .m | sortAlpha }}", "[j k]"),
    ('{{ pick .m "k" "zz" }}', "map[k:1]"),
    ('{{ omit .m "k" }}', "map[j:2]"),
    ('{{ dig "a" "b" "c" "def" .nested }}', "deep"),
    ('{{ dig "a" "x" "c" "def" .nested }}', "def"),
    ("{{ deepCopy .nested }}", "map[a:map[b:map[c:deep]]]"),
    (
        '{{ merge (dict "a" 1 "n" (dict "x" 1)) (dict "a" 2 "b" 3 "n" (dict "x" 2 "y" 3)) }}',
        "map[a:1 b:3 n:map[x:1 y:3]]",
    ),
    (
        '{{ mergeOverwrite (dict "a" 1 "n" (dict "x" 1)) (dict "a" 2 "b" 3 "n" (dict "x" 2 "y" 3)) }}',
        "map[a:2 b:3 n:map[x:2 y:3]]",
    ),
    (
        '{{ merge (dict "a" "" "l" (list 1) "z" nil) (dict "a" "x" "l" (list 2) "z" (dict "q" 1)) }}',
        "map[a:x l:[1] z:map[q:1]]",
    ),
    ('{{ mergeOverwrite (dict "a" 1 "l" (list 1)) (dict "a" nil "l" (list)) (dict "a" "" "l" "s") }}', "map[a: l:s]"),
    ('{{ mergeOverwrite (dict "a" (dict "b" 1)) (dict "a" 5) }}', "map[a:5]"),
    ('{{ merge (dict "a" 5) (dict "a" (dict "b" 1)) }}', "map[a:5]"),
    ('{{ mergeOverwrite (dict "a" 5) (dict "a" (dict "b" 1)) }}', "map[a:map[b:1]]"),
    ('{{merge (dict "l" "") (dict "l" (list 1))}}', "map[l:[1]]"),
    ('{{ default "d" "" }}', "d"),
    ('{{ default "d" 0 }}', "d"),
    ('{{ default "d" .nope }}', "d"),
    ('{{ default "d" "x" }}', "x"),
    ('{{ "" | default "d" }}', "d"),
    ("{{ default 1 }}", "1"),
    ('{{ empty "" }}', "true"),
    ("{{ empty 0 }}", "true"),
    ("{{ empty .m }}", "false"),
    ("{{ empty nil }}", "true"),
    ('{{ coalesce 0 "" "x" 2 }}', "x"),
    ("{{ coalesce }}", "<no value>"),
    ('{{ all 1 "" }}', "false"),
    ("{{ any 0 1 }}", "true"),
    ("{{ all }}", "true"),
    ("{{ any }}", "false"),
    ('{{ ternary "y" "n" true }}', "y"),
    ('{{ true | ternary "y" "n" }}', "y"),
    ('{{ ternary "y" "n" (eq 1 2) }}', "n"),
    ("{{empty (list)}}", "true"),
    ('{{ kindOf "a" }}', "string"),
    ("{{ kindOf 1 }}", "int"),
    ("{{ kindOf .arr }}", "slice"),
    ("{{ kindOf .m }}", "map"),
    ("{{ kindOf nil }}", "invalid"),
    ("{{ kindOf true }}", "bool"),
    ("{{ typeOf nil }}", "<nil>"),
    ("{{ typeOf (until 3) }}", "[]int"),
    ('{{ typeOf (splitList "," "a") }}', "[]string"),
    ('{{ typeOf (split "," "a") }}', "map[string]string"),
    ("{{ typeOf (chunk 1 (list 1)) }}", "[][]interface {}"),
    ('{{ kindIs "int" 1 }}', "true"),
    ('{{ kindIs "map" .m }}', "true"),
    ('{{ typeIs "string" "a" }}', "true"),
    ('{{ typeIsLike "semver.Version" (semver "1.2.3") }}', "true"),
    ('{{ typeIs "*semver.Version" (semver "1.2.3") }}', "true"),
    ('{{ kindOf (semver "1.2.3") }}', "ptr"),
    ('{{ kindOf (index "abc" 1) }}', "uint8"),
    ("{{ typeOf (add 1) }}", "int64"),
    ('{{ typeOf (len "a") }}', "int"),
    ("{{ typeOf (keys .m) }}", "[]string"),
    ("{{ deepEqual (list 1 2) (list 1 2) }}", "true"),
    ("{{ deepEqual .arr (list 1 2 3) }}", "false"),
    ("{{ deepEqual .arr .arr }}", "true"),
    ("{{deepEqual nil nil}}", "true"),
    ("{{deepEqual 1 1.0}}", "false"),
    ('{{deepEqual (list "a") (splitList "," "a")}}', "false"),
    ("{{ tuple 1 2 }}", "[1 2]"),
    ("{{ mustAppend (list 1) 2 }}", "[1 2]"),
    ('{{ mustMerge (dict) (dict "a" 1) }}', "map[a:1]"),
    ("{{ mustHas 1 (list 1) }}", "true"),
    ("{{ mustUniq (list 1 1) }}", "[1]"),
    ("{{mustSlice (list 1 2) 1}}", "[2]"),
    ("{{mustChunk 1 (list 1)}}", "[[1]]"),
    ("{{mustDeepCopy (list 1)}}", "[1]"),
    (
        '{{ $d := dict }}{{ range $i := until 3 }}{{ $_ := set $d (printf "k%d" $i) $i }}{{ end }}{{ $d }}',
        "map[k0:0 k1:1 k2:2]",
    ),
    ("{{ sortAlpha .z }}", "[<nil>]"),
]

ERRORS = [
    ('{{ first "abc" }}', "first: Cannot find first on type string"),
    ('{{ append "a" 1 }}', "append: Cannot push on type string"),
    ('{{ concat "a" }}', "concat: Cannot concat type string as list"),
    ("{{ slice (list 1 2) 1 5 }}", "slice: reflect.Value.Slice: slice index out of bounds"),
    ('{{ dig "a" "b" 1 }}', "dig: interface conversion: interface {} is int, not map[string]interface {}"),
    ('{{ dig "a" .nested }}', "dig: dig needs at least three arguments"),
    (
        '{{ dig "a" "b" "c" "d" "x" .nested }}',
        "dig: interface conversion: interface {} is string, not map[string]interface {}",
    ),
    ("{{ ternary 1 2 3 }}", "expected bool; found 3"),
    (
        '{{ hasKey (split "," "a") "_0" }}',
        "wrong type for value; expected map[string]interface {}; got map[string]string",
    ),
]


@pytest.mark.parametrize(("template", "want"), ANSWERS)
def test_values_come_out_as_from_sprig(template: str, want: str) -> None:
    assert compile_template(template).render(DATA) == want


@pytest.mark.parametrize(("template", "message"), ERRORS)
def test_values_that_sprig_refuses_are_refused_in_its_words(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as error:
        compile_template(template).render(DATA)

    assert str(error.value).endswith(message)
