"""Records what Jinja2 in Python renders for expressions that chat templates use, as `testdata/expressions.json`.

    python3 tests/jinja2/record_expressions.py

needs `pip install jinja2`. The environment is that of transformers' `apply_chat_template`. Each vector is a template, and
either what it renders or that it fails.
"""

import json
import pathlib
import random

from environment import environment

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Why, \"it's\" 5 % é?"},
    {"role": "assistant", "content": "<think>a</think>\n\n b "},
]

VALUES = {
    "s": "héllo", "q": "it's", "d": 'a "b"', "e": "", "i": 42, "n": -7, "z": 0, "f": 3.14159, "g": -0.5, "big": 1e16,
    "t": True, "x": None, "l": [1, "a", None, 2.5], "m": {"a": 1, "b": "x", "c d": [1]},
}

# By reason: expressions, which are written with `{{ }}`, or templates.
EXPRESSIONS = {
    "% formats one value": [
        "'<%s>' % s", "'%s' % i", "'%s' % f", "'%s' % t", "'%s' % x", "'%s' % big", "'%s' % missing", "'%d items' % i",
        "'%d' % f", "'%d' % t", "'%i' % n", "'%u' % i", "'100%%' % ()", "'%s%%' % i", "'%c' % 'a'", "'%c' % 97",
    ],
    "% formats a tuple, in order": [
        "'<%s>-%s' % (s, i)", "'%s %r %s' % (s, s, x)", "'%s' % (s,)", "'%s' % ((1, 2),)", "'%s-%s' % (1, (2, 'a'))",
        "'%s' % [1, 2]", "'%s %s' % ([1, 'a'], m)",
    ],
    "% takes named values of a mapping": [
        "'%(a)s and %(b)s' % m", "'%(a)d%(a)d' % m", "'%(c d)s' % m", "'%(a)5.1f|' % m", "'%(a)s %%' % {'a': s}",
        "'no field' % m", "'%s' % m",
    ],
    "% has flags, a width and a precision": [
        "'%5d|%-5d|%05d|%+d|% d' % (i, i, i, i, i)", "'%+d %+d' % (i, n)", "'%5s|%-5s|' % (s, s)", "'%.2s|%6.3s|' % (s, s)",
        "'%.2f' % f", "'%8.3f|' % f", "'%-8.3f|' % f", "'%08.3f' % g", "'%e %E' % (f, f)", "'%g %g %g' % (f, big, 1e-5)",
        "'%G' % 1e-7", "'%x %X %o %#x %#o' % (255, 255, 8, 255, 8)", "'%*d|%-*d|' % (5, i, 5, i)", "'%.*f' % (1, f)",
        "'%.3d' % 5", "'%ld %hd' % (i, i)", "'%#.3g' % 1.0", "'%5c|' % 'a'", "'%05s|' % 'a'", "'%.0f %.0f' % (0.5, 1.5)",
        "'%5%|' % ()", "'%*d|' % (-5, i)", "'%-05d|' % i", "'%+.1e' % 12345.678", "'%x' % n", "'%o' % n",
    ],
    "% writes representations": [
        "'%r' % s", "'%r' % q", "'%r' % d", "'%a' % s", "'%r' % i", "'%r' % x", "'%r' % l", "'%r' % m", "'%10r|' % 'a'",
        "'%.3r' % 'abcdef'", "'%a' % '\\u20ac'",
    ],
    "% fails as in Python": [
        "'%d' % s", "'%s %s' % s", "'%s' % (1, 2)", "'abc' % 1", "'%(a)s' % 1", "'%(zz)s' % m", "'%' % 1", "'%5' % 1",
        "'%y' % 1", "'%x' % f", "'%c' % 'ab'", "'%f' % s", "'%(a' % m", "5 % 'a'", "none % 2", "'abc' % (1,)", "'%*d' % m",
    ],
    "% of numbers is the remainder": [
        "i % 5", "n % 5", "i % -5", "n % -5", "f % 2", "g % 2", "-f % 2", "t % 2", "i % 1.5", "7 % 7.0", "z % 3", "i % z",
        "i % 0.0", "10 * 7 % 4", "10 % 7 * 4", "10 % 4 % 3", "-7 % 3", "2 ** 3 % 5", "10 // 3 % 2", "-2 ** 2", "10 / 4 % 2",
    ],
    "% binds like *, tighter than + and ~": [
        "'a' ~ '%s' % s ~ 'b'", "'%s' % s + '!'", "'%s' % s ~ '%s' % i", "'%s' % s == 'héllo'", "'%s' % (s ~ '-' ~ i)",
        "'%s' % s | upper", "('%s' % s) | upper", "'%s' % l[0]", "'%s' % m.b", "'%s' % s.upper()", "'%s' % -i",
        "'%s' % (i if t else z)", "'a' if '%s' % x == 'None' else 'b'", "not '%s' % e", "'%s' % s in ['héllo']",
        "'%s' % s is string", "['%s' % s, '%d' % i]", "{'k': '%s' % s}", "f'x' if false else '%s' % s",
        "'%s, %s' % (('%s' % i), '%s' % n)", "'%s' * 2 % (1, 2)", "('%s' ~ '%s') % (1, 2)", "'%d%%' % (i * 100 / 84)",
    ],
    "% works in all tags": [
        "{% if '%s' % i == '42' %}yes{% else %}no{% endif %}", "{% set a = '%s!' % s %}{{ a }}",
        "{% for v in ['%s' % s, '%s' % i] %}[{{ '%s' % v }}]{% endfor %}",
        "{% macro g(a, b='%s' % 1) %}<{{ '%s:%s' % (a, b) }}>{% endmacro %}{{ g('x') }}{{ g('%s' % s, b=2) }}",
        "{% set ns = namespace(a='%s' % 1) %}{% set ns.a = '%s-%s' % (ns.a, 2) %}{{ ns.a }}",
        "{% if loop is defined or '%s' % 1 == '1' %}a{% endif %}", "{{- '%s' % s -}}", "{%- set a = '%d' % 3 -%}{{ a }}",
        "{% raw %}{{ '%s' % s }}{% endraw %}", "{# '%s' % s #}x", "{% for m2 in messages %}{{ '%s: %s\n' % (m2.role, m2['content']) }}{% endfor %}",
        "{% set a, b = '%s' % 1, '%s' % 2 %}{{ a }}{{ b }}", "{% set a %}{{ '%s' % s }}{% endset %}{{ a }}",
        "{{ '%s' % ('a'\n ~ 'b') }}", "{% filter upper %}{{ '%s' % s }}{% endfilter %}",
        "{% with a = '%s' % s, b = '%d' % 2 %}{{ a }}{{ b }}{% endwith %}",
        "{% call(v) g2('%s' % 1) %}x{% endcall %}",
        "{% macro w() %}<{{ caller('%s' % 1) }}>{% endmacro %}{% call(v) w() %}{{ '%s' % v }}{% endcall %}",
    ],
    "~ joins what str() writes": [
        "s ~ i ~ f ~ t ~ x", "'' ~ l", "'' ~ m", "1 ~ 2 + 3", "'a' ~ 1 + 2", "1 + 2 ~ 'a'", "missing ~ 'a'", "'a' ~ 2 * 3", "'a' ~ (1, 'b')",
        "-1 ~ 'a'", "'a' ~ -1", "true ~ none", "'a' ~ 'b' == 'ab'", "'a' ~ 'b' in ['ab']", "1.0 ~ 1e20", "'a' ~ big",
    ],
    "+ and * are as in Python": [
        "1 + 2 - 3 + 4", "1 - 2 + 3 - 4", "'a' + 'b' + 'c'", "[1] + [2] + [3]", "(1,) + (2,)", "1 + 2.5", "t + 1", "'a' + 1",
        "[1] + (2,)", "1 + none", "'ab' * 3", "3 * 'ab'", "'ab' * 0", "'ab' * -1", "[1, 2] * 2", "2 * [1]", "2 * 3.5", "t * 3",
        "'a' * 'b'", "'a' * 1.5", "2 * 3 * 4", "2 * 3 / 4 * 2", "2 + 3 * 4 - 1", "(2 + 3) * 4", "2 * -3", "-2 * 3", "1 - -1",
        "'-' * 10 ~ '|'", "m + m", "'a' + missing", "2 ** 3 ** 2", "7 // 2 * 2", "(1, 2) * 2",
    ],
    "comparisons": [
        "1 < 2 < 3", "1 < 2 > 3", "s == 'héllo'", "l == [1, 'a', none, 2.5]", "m == {'a': 1}", "1 == 1.0", "true == 1", "'a' < 'b'",
        "[1, 2] < [1, 3]", "(1, 2) == (1, 2)", "1 in [1, 2]", "3 not in [1, 2]", "'a' in m", "'zz' not in m", "'ll' in s", "x == none",
        "i > 5 and i < 50", "not i == 42", "i != 42 or t", "'a' in 'abc' and 'b' not in 'xyz'", "messages[0] in messages",
        "messages[0].role == messages[1]['role']", "i + 1 == 43", "i % 2 == 0 and n % 2 == 1", "'x' ~ i == 'x42'", "[1] == [1.0]",
        "i is divisibleby 2", "i is eq 42", "(i is odd) == false", "i is divisibleby 3 or i is even", "i is in [42, 1]", "i is not in [42]",
        "l[0] in l", "l[1:] == ['a', none, 2.5]", "1 == 1 == 1",
    ],
    "subscripts and slices": [
        "s[0]", "s[-1]", "s[1:3]", "s[::-1]", "s[:-1]", "l[0]", "l[-1]", "l[1:]", "l[::2]", "l[::-1]", "l[5:]", "l[-2:]", "m['a']", "m.b",
        "m['c d'][0]", "messages[0]['content'][:2]", "messages[-1].content[-3:]", "(l + l)[4]", "('a' ~ 'b')[1]", "[1, 2, 3][1]",
        "{'a': [1, 2]}['a'][1]", "-l[0]", "l[i - 42]", "m['a' if t else 'b']", "messages[1:][0].role", "messages[::-1][0].role", "l[1:][1:]|length",
        "(1, 2, 3)[1:]", "messages[0:2]|length", "s[1:][1:]", "m[s]", "l[99]", "'abc'[1]", "(messages|length - 1) - 1",
    ],
    "methods of texts": [
        "s.upper()", "'A b'.lower()", "s.title()", "'abc'.capitalize()", "' a '.strip()", "'xxaxx'.strip('x')", "'  a'.lstrip()", "'a\n\n'.rstrip('\n')",
        "'a,b,,c'.split(',')", "' a  b '.split()", "'a,b,c'.split(',', 1)", "'a</think>b'.split('</think>')[-1]", "'a\nb\n'.splitlines()",
        "'abc'.startswith('a')", "'abc'.startswith(('x', 'a'))", "'abc'.endswith('c')", "'abab'.replace('a', 'x')", "'abab'.replace('a', 'x', 1)",
        "'abab'.find('b')", "'abab'.rfind('b')", "'abab'.count('ab')", "','.join(['a', 'b'])", "'abc'.isalpha()", "'12'.isdigit()", "' '.isspace()",
        "'abc'.removeprefix('a')", "'abc'.removesuffix('c')", "'{} {}'.format(1, 'a')", "'{0} {1} {0}'.format(1, 2)", "'{a}'.format(a=s)",
        "'{:>5}|{:<5}|{:^5}|'.format(1, 'a', 'b')", "'{:.2f}'.format(f)", "'{:05d}'.format(i)", "'{:,}'.format(1234567)", "'a' 'b'", "'abc'.upper().lower()",
        "'a-b'.partition('-')", "'a-b-c'.rpartition('-')", "'a-b-c'.rsplit('-', 1)", "'5'.zfill(3)", "'a'.center(5)", "'a'.ljust(3) ~ '|'", "'a'.rjust(3)",
        "'abc'.index('b')", "'aBc'.swapcase()", "'a\tb'.expandtabs(4)",
    ],
    "methods of maps and lists": [
        "m.keys()|list", "m.values()|list", "m.items()|list", "m.get('a')", "m.get('zz')", "m.get('zz', 5)", "m.get('a', 5)", "l.count(1)", "l.index('a')",
        "{% for k, v in m.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in m|items %}{{ k }}={{ v }};{% endfor %}", "{% for k in m %}{{ k }};{% endfor %}",
        "m|dictsort", "m.items()|map('first')|list", "m|length", "m|list", "m.copy()",
    ],
    "filters": [
        "l|length", "s|length", "messages|map(attribute='role')|join(', ')", "messages|selectattr('role', 'equalto', 'user')|list|length",
        "messages|rejectattr('role', '==', 'system')|map(attribute='role')|list", "[3, 1, 2]|sort", "['b', 'A']|sort", "[3, 1]|max", "[3, 1]|min", "[1, 2]|sum",
        "[1, 1, 2]|unique|list", "l|first", "l|last", "l|reverse|list", "'abc'|reverse", "[1, 2, 3]|batch(2)|list", "' a '|trim", "'xax'|trim('x')", "s|upper|lower",
        "missing|default('d')", "e|default('d', true)", "none|default('d')", "'a b'|title", "'a\nb'|indent(2)", "'a\nb'|indent(2, true)", "'a\nb'|indent(2, first=true)",
        "3.7|int", "'5'|int", "'x'|int", "'2.5'|float", "2.567|round(1)", "2|round", "-3|abs", "i|string ~ 'a'", "l|string", "m|string",
        "'%s %s'|format(1, 'a')", "'%(a)s'|format(a=1)", "'a,b'|replace(',', ';')", "[['a', 1], ['b', 2]]|map('first')|list", "['a', 'b']|map('upper')|list",
        "[1, 0, 2]|select|list", "[1, 2, 3]|reject('odd')|list", "messages|map(attribute='content')|map('length')|list", "'a'|e", "'<a>'|escape", "'<a>'|safe",
        "'{\n'|indent(2, first=true) ~ '|'", "'a\n\nb'|indent(2, blank=true)", "'a\n\nb\n'|indent(2)", "'a\nb'|indent('> ')", "'<'|safe + '<'", "'<' + '&\"'|safe", "'<'|safe ~ '<'", "'<'|safe + '<'|safe", "'<' + '<'", "'<'|e + '<'",
        "messages|groupby('role')|length", "(messages|selectattr('role', 'eq', 'user')|first).content", "'a b c'|wordcount",
    ],
    "tojson": [
        "l|tojson", "m|tojson", "m|tojson(indent=2)", "m|tojson(indent=4)", "s|tojson", "'<a>&\\'\"'|tojson", "f|tojson", "x|tojson", "big|tojson", "[]|tojson(indent=2)",
        "{}|tojson(indent=2)", "m|tojson(separators=(',', ':'))", "m|tojson(ensure_ascii=false)", "m|tojson(ensure_ascii=true)", "{'b': 1, 'a': 2}|tojson(sort_keys=true)",
        "'é€'|tojson(ensure_ascii=true)", "(1, 2)|tojson", "{'a': {'b': [1, {}]}}|tojson(indent=2)", "messages[1].content|tojson", "'a' ~ (l|tojson)", "1e5|tojson", "{1: 2}|tojson",
    ],
    "tests": [
        "s is string", "i is string", "l is sequence", "s is sequence", "m is mapping", "m is iterable", "i is number", "f is float", "i is integer", "t is boolean", "t is number",
        "x is none", "x is not none", "missing is defined", "s is defined", "missing is undefined", "i is odd", "n is odd", "t is true", "t is false", "'A' is upper", "'a' is lower",
        "i is sameas 42", "x is sameas none", "l is iterable", "i is iterable", "none is iterable", "i is even and n is odd", "messages[0].content is string and true", "m.a is defined",
        "m.zz is defined", "i is not defined or true", "i is gt 3", "i is lt(3)", "not missing is defined", "'a' is in 'abc'",
    ],
    "statements": [
        "{% for a in [1, 2, 3] %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }};{% endfor %}",
        "{% for a in [1, 2, 3] %}{{ loop.previtem }}-{{ loop.nextitem }};{% endfor %}", "{% for a in [1, 2] %}{{ loop.cycle('x', 'y') }}{% endfor %}",
        "{% for a in [1, 1, 2] %}{{ loop.changed(a) }};{% endfor %}", "{% for a in [1, 2, 3] if a > 1 %}{{ a }}{% endfor %}", "{% for a in [] %}x{% else %}empty{% endfor %}",
        "{% for a in range(5) %}{% if a == 3 %}{% break %}{% endif %}{% if a == 1 %}{% continue %}{% endif %}{{ a }}{% endfor %}",
        "{% for (a, b) in [(1, 2), (3, 4)] %}{{ a + b }};{% endfor %}", "{% for a, b in [[1, 2]] %}{{ a }}{{ b }}{% endfor %}",
        "{% set ns = namespace(n=0, l=[]) %}{% for a in [1, 2] %}{% set ns.n = ns.n + a %}{% set ns.l = ns.l + [a] %}{% endfor %}{{ ns.n }}{{ ns.l }}",
        "{% set ns = namespace() %}{% set ns.x = 'a', 'b' %}{{ ns.x }}", "{% set a = [1, 2] %}{% set b = a + [3] %}{{ a }}{{ b }}", "{% set a = 1 if i > 3 else 2 %}{{ a }}",
        "{% if i == 42 and (n < 0 or t) %}a{% elif t %}b{% else %}c{% endif %}", "{% if not x and e == '' %}a{% endif %}",
        "{% macro f(a, b=2, c=[1]) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }}{{ f(1, c=3) }}", "{% set a = messages|length %}{{ a }}",
        "{% set x2 = {'a': 1, 'b': [1, 2]} %}{{ x2.a }}{{ x2['b'][1] }}", "{% generation %}x{% endgeneration %}", "{{ raise_exception('no') }}", "{% if false %}{{ raise_exception('no') }}{% endif %}a",
        "  {% if t %}\n  a\n  {% endif %}\nb\n", "{%- if t -%}\n  a\n{%- endif -%}\n b", "{{ range(3)|list }}{{ range(1, 7, 3)|list }}{{ range(3, 0, -1)|list }}", "{{ dict(a=1, b='x') }}",
        "{% set a = dict(m, zz=1) %}{{ a.zz }}{{ a.a }}", "{% for m2 in messages[1:] %}{{ m2.role }}{% if not loop.last %},{% endif %}{% endfor %}", "{{ strftime_now('%d %b %Y') }}",
        "{% set ns = namespace(a=1) %}{{ ns }}", "{{ ns2.a }}", "{{ [1, 2,] }}{{ (1,) }}{{ () }}{{ {} }}{{ [] }}", "{{ 1 if false }}", "{{ '\\n' }}|{{ '\\t' }}|{{ '\\u00e9' }}|{{ '\\\\' }}",
        "{{ messages[0].content if messages[0].role == 'system' else '' }}", "{% do l %}", "{{ l is defined and l is not none and l|length > 0 }}", "{{ none }}{{ true }}{{ False }}{{ None }}",
        "{{ i / 2 }}{{ i // 5 }}{{ 7 / 2 }}{{ 2 ** 10 }}{{ 2 ** -1 }}", "{{ lipsum is defined }}", "{{ 'a' if missing else 'b' }}", "{{ missing.foo is defined }}", "{{ missing['a'] }}",
    ],
}


def random_formats(count):
    """Formats of random flags, widths, precisions and values."""
    rng = random.Random(15)
    values = ["0", "1", "-1", "42", "-7", "255", "123456789", "0.0", "1.0", "-0.5", "3.14159", "1e16", "1e-7", "12345.678", "2.5", "'a'", "'héllo'", "''", "none", "true", "[1, 'a']", "('x', 2)"]
    for _ in range(count):
        fields, arguments = "", []
        for _ in range(rng.randint(1, 3)):
            conversion = rng.choice("sssrddixXoeEfFgGca%")
            flags = "".join(rng.sample("-+ #0", rng.randint(0, 2)))
            width = rng.choice(["", "", "1", "5", "12"])
            precision = rng.choice(["", "", ".", ".0", ".1", ".3", ".8"])
            fields += rng.choice(["", "a", " "]) + "%" + flags + width + precision + conversion
            if conversion != "%":
                arguments.append(rng.choice(values))
        right = arguments[0] if len(arguments) == 1 and rng.random() < 0.5 else "(" + "".join(a + ", " for a in arguments) + ")"
        yield f"'{fields}' % {right}"


def random_operators(count):
    """Expressions of random operators, which are right only if all precedences are."""
    rng = random.Random(16)

    def expression(depth):
        if depth == 0 or rng.random() < 0.25:
            return rng.choice(["i", "n", "2", "3", "-1", "t", "l[0]", "m.a", "s|length", "-i", "messages|length", "(1 if t else 2)", "[4, 5][1]"])
        choice = rng.random()
        left, right = expression(depth - 1), expression(depth - 1)
        if choice < 0.55:
            return f"{left} {rng.choice(['+', '-', '*', '%', '//', '+', '-', '%'])} {right}"
        if choice < 0.7:
            return f"({left}) {rng.choice(['+', '*', '%', '-'])} {right}"
        if choice < 0.8:
            return f"({left} {rng.choice(['<', '==', '!=', '>=', 'in', 'not in'])} {'[' + right + ', 1]' if rng.random() < 0 else right})"
        if choice < 0.9:
            return f"({left} if {right} else {expression(depth - 1)})"
        return f"({left} ~ {right})|length"

    for _ in range(count):
        text = " ~ '|' ~ ".join(expression(3) for _ in range(2))
        yield text


def record(env, source):
    template = source if "{{" in source or "{%" in source or "{#" in source else "{{ " + source + " }}"
    vector = {"template": template}
    try:
        vector["rendered"] = env.from_string(template).render(messages=MESSAGES, tools=None, add_generation_prompt=True, **VALUES)
    except Exception as error:
        vector["fails"] = type(error).__name__
    return vector


def main():
    env = environment()
    groups = [{"why": why, "expressions": [record(env, source) for source in sources]} for why, sources in EXPRESSIONS.items()]
    formats = [record(env, source) for source in random_formats(300)]
    groups.append({"why": "% with random flags and values", "expressions": formats})
    operators = [record(env, source) for source in random_operators(300)]
    groups.append({"why": "random operators, which are right only if all precedences are", "expressions": operators})
    path = pathlib.Path(__file__).parent / "../../testdata/expressions.json"
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"messages": ' + json.dumps(MESSAGES, ensure_ascii=False) + ',\n "values": ' + json.dumps(VALUES, ensure_ascii=False) + ',\n "groups": [\n')
        for at, group in enumerate(groups):
            lines = ",\n".join("   " + json.dumps(vector, ensure_ascii=False) for vector in group["expressions"])
            end = "," if at + 1 < len(groups) else ""
            file.write('  {"why": ' + json.dumps(group["why"]) + ', "expressions": [\n' + lines + "]}" + end + "\n")
        file.write("]}\n")


main()
