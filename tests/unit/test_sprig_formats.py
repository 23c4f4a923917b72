"""JSON, encodings, digests, paths, URLs and versions of sprig. The answers are sprig's own."""

from __future__ import annotations

from typing import Any

import pytest

from retrain.expressions.gotemplate import TemplateError, compile_template

DATA: dict[str, Any] = {
    "s": "hello world",
    "n": 50,
    "f": 3.14,
    "big": 1000000,
    "t": True,
    "z": None,
    "e": "",
    "arr": [1, 2, 3],
    "obj": {"b": 1, "a": {"x": [1, None, "q"]}},
    "l": ["c", "a", "b", None, ""],
    "m": {"k": 1, "j": 2},
    "nested": {"a": {"b": {"c": "deep"}}},
    "html": "<a&b>\u2028",
    "dup": [1, 1, "a", "a", None, None, [1], [1], {"a": 1}, {"a": 1}],
    "secs": 1700000000,
}

ANSWERS = [
    ("{{ toJson (rest (list)) }}", "null"),
    ("{{ toJson (list) }}", "[]"),
    ("{{ toJson (concat) }}", "null"),
    ("{{ toJson (chunk 2 (list 1 2 3)) }}", "[[1,2],[3]]"),
    ('{{ toJson (regexFindAll "x" "a" -1) }}', "null"),
    ('{{ toJson (splitList "," "") }}', '[""]'),
    ("{{ toPrettyJson .nested }}", '{\n  "a": {\n    "b": {\n      "c": "deep"\n    }\n  }\n}'),
    ("{{ toPrettyJson (list) }}", "[]"),
    ("{{ toPrettyJson (dict) }}", "{}"),
    ("{{ toRawJson .html }}", '"<a&b>\\u2028"'),
    ("{{ toJson .html }}", '"\\u003ca\\u0026b\\u003e\\u2028"'),
    (
        '{{ toJson (list 1 1.5 1e21 1e-7 0.000001 1e20 "a" nil true) }}',
        '[1,1.5,1e+21,1e-7,0.000001,100000000000000000000,"a",null,true]',
    ),
    ("{{ toJson 100000000.0 }}", "100000000"),
    (
        '{{ toPrettyJson (list 1 (list 2 (dict "a" (list)))) }}',
        '[\n  1,\n  [\n    2,\n    {\n      "a": []\n    }\n  ]\n]',
    ),
    ("{{ toJson 1e-10 }}", "1e-10"),
    ("{{toJson -0.0}}", "-0"),
    ('{{ toJson "\\x00\\x1f\\x7f\\b\\f" }}', '"\\u0000\\u001f\x7f\\b\\f"'),
    ('{{ fromJson "{\\"a\\":[1,2.5,null]}" }}', "map[a:[1 2.5 <nil>]]"),
    ('{{ (fromJson "{\\"a\\":5}").a | kindOf }}', "float64"),
    ('{{ fromJson "bad" }}', "<no value>"),
    ('{{ fromJson "1" }}', "1"),
    ('{{ fromJson "NaN" }}', "<no value>"),
    ('{{fromJson "1e999"}}', "<no value>"),
    ('{{ fromJson "[1,]" }}', "<no value>"),
    ('{{ fromJson " [1] " }}', "[1]"),
    ('{{ fromJson "" }}', "<no value>"),
    ('{{ b64enc "hello" }}', "aGVsbG8="),
    ('{{ b64dec "aGVsbG8=" }}', "hello"),
    ('{{ b64dec "aGVsbG8" }}', "illegal base64 data at input byte 4"),
    ('{{ b64dec "a$b" }}', "illegal base64 data at input byte 1"),
    ('{{ b64dec "aGVs\\nbG8=" }}', "hello"),
    ('{{ b64dec "aGVsbG8==" }}', "illegal base64 data at input byte 8"),
    ('{{ b64dec "aGVsbG8=a" }}', "illegal base64 data at input byte 8"),
    ('{{ b64dec "a" }}', "illegal base64 data at input byte 0"),
    ('{{ b64dec "" }}', ""),
    ('{{ b64dec "ab=c" }}', "illegal base64 data at input byte 2"),
    ('{{ b64dec "a===" }}', "illegal base64 data at input byte 1"),
    ('{{ b32enc "hello" }}', "NBSWY3DP"),
    ('{{ b32dec "NBSWY3DP" }}', "hello"),
    ('{{ b32dec "NBSWY3D" }}', "illegal base32 data at input byte 0"),
    ('{{ b32dec "1" }}', "illegal base32 data at input byte 0"),
    ('{{ b32dec "MY======" }}', "f"),
    ('{{ b64dec "/+8=" | printf "%x" }}', "ffef"),
    ('{{ sha1sum "a" }}', "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"),
    ('{{ sha256sum "a" }}', "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
    (
        '{{ sha512sum "a" }}',
        "1f40fc92da241694750979ee6cf582f2d5d7d28e18335de05abc54d0560e0f5302860c652bf08d560252aa5e742105"
        "46f369fbbbce8c12cfc7957b2652fe9a75",
    ),
    ('{{ adler32sum "abc" }}', "38600999"),
    ('{{ base "a/b/c.txt" }}', "c.txt"),
    ('{{ base "/" }}', "/"),
    ('{{ base "" }}', "."),
    ('{{ base "a/" }}', "a"),
    ('{{ dir "a/b/c" }}', "a/b"),
    ('{{ dir "/" }}', "/"),
    ('{{ dir "" }}', "."),
    ('{{ dir "a" }}', "."),
    ('{{ dir "/a" }}', "/"),
    ('{{ dir "a//b//c" }}', "a/b"),
    ('{{ clean "a/../b//c/." }}', "b/c"),
    ('{{ clean "" }}', "."),
    ('{{ clean "//a/../.." }}', "/"),
    ('{{ ext "a.b/c.tar.gz" }}', ".gz"),
    ('{{ ext "a.b/c" }}', ""),
    ('{{ isAbs "/a" }}', "true"),
    ('{{ isAbs "a" }}', "false"),
    ('{{ osBase "a/b" }}', "b"),
    ('{{ osExt "a.b" }}', ".b"),
    ('{{ clean "../../a" }}', "../../a"),
    ('{{ ext ".bashrc" }}', ".bashrc"),
    ('{{ semver "1.2.3-beta.1+sha" }}', "1.2.3-beta.1+sha"),
    ('{{ (semver "1.2.3-beta.1+sha").Prerelease }}', "beta.1"),
    ('{{ (semver "v1.2").Original }}', "v1.2"),
    ('{{ (semver "1.2.3").Compare (semver "1.3") }}', "-1"),
    ('{{ semver "1.2.3" | (semver "1.4.0").Compare }}', "1"),
    ('{{ (semver "1.2.3").IncMinor }}', "1.3.0"),
    ('{{ (semver "1.2.3-a").IncPatch }}', "1.2.3"),
    (
        '{{ urlParse "http://admin:secret@server.com:8080/api/a%20b?list=false&x=1#anchor" }}',
        "map[fragment:anchor host:server.com:8080 hostname:server.com opaque: path:/api/a b query:list="
        "false&x=1 scheme:http userinfo:admin:secret]",
    ),
    (
        '{{ urlParse "mailto:a@b.c" }}',
        "map[fragment: host: hostname: opaque:a@b.c path: query: scheme:mailto userinfo:]",
    ),
    ('{{ urlParse "/a/b?c" }}', "map[fragment: host: hostname: opaque: path:/a/b query:c scheme: userinfo:]"),
    ('{{ urlParse "//h/p" }}', "map[fragment: host:h hostname:h opaque: path:/p query: scheme: userinfo:]"),
    ('{{ urlParse "" }}', "map[fragment: host: hostname: opaque: path: query: scheme: userinfo:]"),
    ('{{ (urlParse "s3://bucket/key/x").host }}', "bucket"),
    (
        '{{ urlJoin (urlParse "http://admin:secret@server.com:8080/api/a%20b?list=false#anchor") }}',
        "http://admin:secret@server.com:8080/api/a%20b?list=false#anchor",
    ),
    (
        '{{ urlJoin (dict "scheme" "http" "host" "host:80" "path" "/path" "query" "query" "opaque" "opa'
        'que" "fragment" "fragment") }}',
        "http:opaque?query#fragment",
    ),
    ('{{ urlJoin (dict "host" "h" "path" "p q") }}', "//h/p%20q"),
    ('{{ urlJoin (dict "path" "a:b/c") }}', "./a:b/c"),
    ('{{ urlJoin (dict "scheme" "http" "userinfo" "a:b@c" "host" "x") }}', "http://a:b%40c@x"),
    (
        '{{urlParse "http://[::1]:80/a"}}',
        "map[fragment: host:[::1]:80 hostname:::1 opaque: path:/a query: scheme:http userinfo:]",
    ),
    ('{{ urlJoin (dict "scheme" "http" "host" "x" "path" "a?#b") }}', "http://x/a%3F%23b"),
    ('{{ urlParse "a:b:c" }}', "map[fragment: host: hostname: opaque:b:c path: query: scheme:a userinfo:]"),
    ('{{ mustToJson "a" }}', '"a"'),
    ('{{mustToRawJson "<"}}', '"<"'),
]

ERRORS = [
    ('{{ semver "x" }}', "semver: Invalid Semantic Version"),
    ('{{ semver "1.2.3-01" }}', "semver: Version segment starts with 0"),
    (
        '{{ urlParse "http://a b/" }}',
        'urlParse: unable to parse url: parse "http://a b/": invalid character " " in host name',
    ),
    ('{{ urlParse ":x" }}', 'urlParse: unable to parse url: parse ":x": missing protocol scheme'),
    ('{{ urlParse "%zz" }}', 'urlParse: unable to parse url: parse "%zz": invalid URL escape "%zz"'),
    (
        '{{ urlParse "http://h:x/" }}',
        'urlParse: unable to parse url: parse "http://h:x/": invalid port ":x" after host',
    ),
    (
        '{{ urlParse "1a:b" }}',
        'urlParse: unable to parse url: parse "1a:b": first path segment in URL cannot contain colon',
    ),
    ('{{ urlJoin (dict "host" 1) }}', "urlJoin: unable to parse host key, must be of type string, but int found"),
]


@pytest.mark.parametrize(("template", "want"), ANSWERS)
def test_formats_come_out_as_from_sprig(template: str, want: str) -> None:
    assert compile_template(template).render(DATA) == want


@pytest.mark.parametrize(("template", "message"), ERRORS)
def test_formats_that_sprig_refuses_are_refused_in_its_words(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as error:
        compile_template(template).render(DATA)

    assert str(error.value).endswith(message)
