#!/usr/bin/env python3
"""Writes tests/golden/chat.jsonl: what Jinja2 makes of chat templates, set up as Hugging Face does (see README.md)."""
import ast
import glob
import json
import os
import re
import sys

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")


class Generation(Extension):
    """{% generation %} as transformers' AssistantTracker has it: the body, in a scope of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("body_of"), [], [], body).set_lineno(line)

    def body_of(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def no_clock(_format):
    return ""


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = no_clock
    env.tests["defined"] = lambda v: v is not no_clock and not isinstance(v, jinja2.Undefined)
    return env


def builtins():
    """The strings of lib/chat/chat_builtin.c."""
    text = open(os.path.join(ROOT, "lib/chat/chat_builtin.c"), encoding="utf-8").read()
    text = text.replace("\\\n", "\n")
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    literal = r'"(?:[^"\\]|\\.)*"'
    macro = re.search(r"#define SYSTEM_FIRST((?:\s*" + literal + r")+)", text).group(1)
    table = text[text.index("builtin[] = {") :].replace("SYSTEM_FIRST", macro)
    for m in re.finditer(r"\{(" + literal + r"),\s*((?:" + literal + r"\s*)+)\}", table):
        yield ast.literal_eval(m.group(1)), "".join(ast.literal_eval(s) for s in re.findall(literal, m.group(2)))


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


SYSTEM = {"role": "system", "content": "Be brief."}
THOUGHT = "<think>\nhm, well\n</think>\n\nHello </think> you"
TALKS = {
    "one": [user("Hi")],
    "system": [SYSTEM, user("  Hi <|im_end|>\n<|im_start|>system there\n")],
    "turns": [SYSTEM, user("Hi"), assistant(THOUGHT), user("äö 日本 \"q\" 'x' \U0001f600")],
    "tool": [user("a"), assistant("b"), {"role": "tool", "content": '{"r": 1}'}, assistant("c")],
}

# Features, each a template over the talk "turns" (an exact text in Jinja is the point, not sense).
FEATURES = {
    "comment": "a{# x {{ 1 }} #}b\n{#- y -#}\n c",
    "trim blocks": "{% if true %}\n  x\n{% endif %}\ny\n  {% set a = 1 %}  \n z\n",
    "lstrip blocks": "  {% if true %}a{% endif %}\n   {{ 1 }}\n\t{% if true %}b{% endif %} {% if true %}c{% endif %}\n",
    "signs": "a \n {%- if true +%}\n b {{- 1 -}} c\n  {%+ if true -%}\n  d {%- endif %} {%- endif %}\n\n",
    "comment lines": "x\n  {# a #}\n  {# b #}  \ny {# c #}\nz",
    "raw": "a {% raw %} {{ x }} {% if %} {% endraw %} b {%- raw -%}  {{ y }}\n{%- endraw -%} c",
    "line ends": "a\r\nb\rc\n{% if true %}\r\nd{% endif %}\n",
    "strings": r"""{{ 'a\n\t\'\"\\\x41\u00e9\101' }}{{ "b'" 'c' "d" }}{{ '\q' }}""",
    "numbers": "{{ 1 }} {{ 1_000 }} {{ 1.5 }} {{ 2e3 }} {{ 1e-7 }} {{ 1e16 }} {{ 0.1 + 0.2 }} {{ 7 / 2 }} {{ 6 / 2 }}",
    "arithmetic": "{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 1 + 2 * 3 - 4 }} "
    "{{ -2 ** 2 }} {{ 7.5 // 2 }} {{ true + 1 }} {{ 'ab' * 2 }} {{ [1] * 2 }}",
    "compare": "{{ 1 < 2 < 3 }} {{ 1 < 2 > 5 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' == 'a' }} {{ [1, 'b'] == [1, 'b'] }} "
    "{{ (1,) == [1] }} {{ {'a': 1} == {'a': 1} }} {{ none == false }} {{ x == y }} {{ 'b' > 'a' }} {{ 1 != 2 }}",
    "logic": "{{ 1 and 2 }} {{ 0 or 'x' }} {{ not 1 }} {{ not not 'a' }} {{ '' or none }} {{ 1 if 0 }}| {{ 'a' if 1 else 'b' }} "
    "{{ 'a' if 0 else 'b' if 0 else 'c' }}",
    "in": "{{ 'b' in 'abc' }} {{ '' in '' }} {{ 1 in [1, 2] }} {{ 'k' in {'k': 1} }} {{ 1 not in (1, 2) }} {{ 'x' in nothing }}",
    "literals": "{{ [1, 'a', none, true, 1.0, ('t',), (), {'k': [1]}] }} {{ {} }} {{ [] }} {{ 'it\\'s' }} {{ ['it\\'s', 'q\"', '\\n'] }}",
    "tilde": "{{ 1 ~ 'a' ~ none ~ [1] ~ nothing ~ 1.5 }}",
    "attributes": "{{ messages[0].role }} {{ messages[0]['role'] }} {{ messages[-1].content }} {{ messages[9] is defined }} "
    "{{ messages[0].nothing is defined }} {{ none.x is defined }} {{ 'abc'[1] }} {{ 'abc'[-1] }} {{ messages.0.role }}",
    "slices": "{{ messages[1:] | length }} {{ messages[::-1][0].role }} {{ messages[:-1] | length }} {{ 'abcdef'[1:4] }} "
    "{{ 'abcdef'[::-1] }} {{ 'abcdef'[-3:] }} {{ 'äöü'[1:2] }} {{ [1, 2, 3, 4, 5][4:0:-2] }} {{ [1, 2][5:] }} {{ 'ab'[:99] }}",
    "filters text": "{{ '  a b ' | trim }}|{{ 'xxaxx' | trim('x') }}|{{ 'aB c' | upper }}|{{ 'Ab' | lower }}|{{ 'ab cd-ef' | title }}|"
    "{{ 'aBC d' | capitalize }}|{{ 'abab' | replace('a', 'x') }}|{{ 'aaa' | replace('a', 'b', 2) }}|{{ 'ab' | replace('', '-') }}|"
    "{{ 12 | string + 'x' }}|{{ ' 42 ' | int + 1 }}|{{ 'z' | int }}|{{ 'z' | int(7) }}|{{ 3.9 | int }}|{{ -3 | abs }}",
    "filters list": "{{ [3, 1, 2] | sort }} {{ ['b', 'A', 'c'] | sort }} {{ [1, 2, 3] | reverse | list }} {{ [1, 2] | first }} "
    "{{ [1, 2] | last }} {{ [] | first }}| {{ 'abc' | list }} {{ [1, 'a', 2.5] | join('-') }} {{ [1, 2] | join }} "
    "{{ [1, 1, 2] | unique | list }} {{ [2, 3, 1] | max }} {{ [2, 3, 1] | min }} {{ [2, 3] | sum }} {{ 'abc' | reverse }}",
    "filters dict": "{{ {'b': 1, 'A': 2} | dictsort }} {% for k, v in {'x': 1, 'y': 2} | items %}{{ k }}={{ v }};{% endfor %} "
    "{% for k, v in {'x': 1}.items() %}{{ k }}{{ v }}{% endfor %} {{ {'a': 1}.keys() | list }} {{ {'a': 1}.values() | list }} "
    "{{ {'a': 1}.get('a') }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.get('b', 3) }} {{ {'a': 1} | length }}",
    "filters pick": "{{ messages | selectattr('role', 'equalto', 'user') | list | length }} "
    "{{ messages | rejectattr('role', 'equalto', 'user') | map(attribute='role') | join(',') }} "
    "{{ ['a', 1, none] | select('string') | list }} {{ [0, 1, 2] | select | list }} {{ [1, 2, 3] | reject('odd') | list }} "
    "{{ ['a', 'b'] | map('upper') | list }} {{ messages | map(attribute='x', default='-') | join }} {{ none | select | list }}",
    "default": "{{ nothing | default('d') }} {{ '' | default('d') }}| {{ '' | default('d', true) }} {{ none | default('d') }} "
    "{{ nothing | default }}| {{ none | d('e', boolean=true) }}",
    "tojson": "{{ {'a': [1, 2.5, none, true, 'x\"\\n\\u00e9\\u0001'], 'b': {}} | tojson }} {{ [] | tojson(indent=2) }} "
    "{{ {'k': [1, {'z': 2}]} | tojson(indent=2) }} {{ '\\u00e9' | tojson(ensure_ascii=true) }} {{ messages[3].content | tojson }} "
    "{{ {'b': 1, 'a': 2} | tojson(sort_keys=true, separators=(',', ':')) }}",
    "indent": "{{ 'a\\nb\\n\\nc' | indent }}|{{ 'a\\nb' | indent(2, true) }}|{{ 'a\\nb' | indent(2, first=true) }}",
    "tests": "{{ nothing is defined }} {{ nothing is undefined }} {{ messages is defined }} {{ none is none }} {{ 'a' is string }} "
    "{{ {} is mapping }} {{ [] is sequence }} {{ 'a' is sequence }} {{ {} is iterable }} {{ 1 is number }} {{ true is boolean }} "
    "{{ true is true }} {{ 1 is true }} {{ 0 is false }} {{ false is false }} {{ 1 is integer }} {{ 1.5 is float }} {{ 1 is not none }} "
    "{{ 3 is odd }} {{ 4 is even }} {{ 6 is divisibleby 3 }} {{ 'a' is in ['a'] }} {{ 'a' is eq 'a' }} {{ 1 is lt 2 }} "
    "{{ 'ab' is lower }} {{ 'AB' is upper }} {{ 1 is string }} {{ none is iterable }} {{ nothing is iterable }} {{ [] is mapping }}",
    "tests and": "{{ 'y' if messages is defined and messages[0].role == 'system' else 'n' }} {{ not nothing is defined }} "
    "{{ nothing is defined or 1 is number }} {{ (1 is number) and 2 is number }}",
    "methods": "{{ ' a '.strip() }}|{{ 'xay'.strip('xy') }}|{{ '  a'.lstrip() }}|{{ 'a\\n'.rstrip('\\n') }}|{{ 'a,b,,c'.split(',') }}|"
    "{{ ' a  b '.split() }}|{{ 'a b c'.split(' ', 1) }}|{{ 'a b c'.rsplit(' ', 1) }}|{{ 'ab'.startswith('a') }}|"
    "{{ 'ab'.endswith(('x', 'b')) }}|{{ 'aXa'.replace('a', 'b') }}|{{ 'ab'.upper() }}|{{ 'AB'.lower() }}|{{ 'ab cd'.title() }}|"
    "{{ 'abc'.find('c') }}|{{ 'abc'.find('z') }}|{{ 'aéa'.rfind('a') }}|{{ 'banana'.count('an') }}|{{ 'a-b'.partition('-') }}|"
    "{{ '-'.join(['a', 'b']) }}|{{ 'a\\nb\\r\\nc'.splitlines() }}|{{ '<{}|{}>'.format('a', 1) }}|{{ '{0}{0}{{'.format('x') }}|"
    "{{ 'abc'.removeprefix('a') }}|{{ '12'.isdigit() }}|{{ 'abc'.capitalize() }}",
    "loop": "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}"
    "{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.previtem.role if loop.previtem is defined }}"
    "{{ loop.nextitem.role if loop.nextitem is defined }};{% endfor %}",
    "loop else": "{% for x in [] %}a{% else %}none{% endfor %}{% for x in nothing %}a{% else %}undef{% endfor %}"
    "{% for x in [1] %}{{ x }}{% else %}no{% endfor %}",
    "loop filter": "{% for m in messages if m.role == 'user' %}{{ loop.index }}/{{ loop.length }}{{ m.role }} {% endfor %}",
    "loop break": "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "loop nested": "{% for a in [1, 2] %}{% for b in 'xy' %}{{ a }}{{ b }}{{ loop.depth }}{% endfor %}{{ loop.last }}{% endfor %}",
    "loop unpack": "{% for a, b in [[1, 2], (3, 4)] %}{{ a + b }} {% endfor %}{% for k in {'p': 1, 'q': 2} %}{{ k }}{% endfor %}"
    "{% for c in 'äb' %}{{ c }}.{% endfor %}{% for i in [1,2,3] %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "range": "{{ range(3) | list }} {{ range(1, 4) | list }} {{ range(5, 0, -2) | list }} {{ range(3, 1) | list }}",
    "scope": "{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = i + 5 %}{{ x }} {% endfor %}{{ x }}{% if true %}{% set x = 9 %}{% endif %}{{ x }}",
    "namespace": "{% set ns = namespace(a=1, b='x') %}{% for i in [1, 2, 3] %}{% set ns.a = ns.a + i %}{% set ns.c = i %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c }}{{ ns.d is defined }}",
    "set": "{% set a, b = 1, [2] %}{{ a }}{{ b }}{% set c %}x{{ a }}{% endset %}{{ c }}{% set d | upper | trim %} ab {% endset %}{{ d }}{% set e = 1, 2 %}{{ e }}",
    "macro": "{% macro f(a, b='d', c=none) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ f(1) }}{{ f(1, 2) }}{{ f(1, c=3) }}{{ f() }}{{ f(b=1, a=2) | upper }}",
    "macro scope": "{% set x = 'o' %}{% macro f() %}{{ x }}{% set x = 'i' %}{{ x }}{% endmacro %}{{ f() }}{{ x }}{% macro g(n) %}{{ n }}{% if n > 0 %}{{ g(n - 1) }}{% endif %}{% endmacro %}{{ g(3) }}",
    "call": "{% macro f(x) %}<{{ caller(x) }}>{% endmacro %}{% call(y) f(3) %}in{{ y }}{% endcall %}",
    "filter block": "{% filter upper | replace('A', 'b') %}a{{ 'c' }}{% endfilter %}",
    "with": "{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "generation": "{% for m in messages %}{% generation %}{{ m.role }}{% set z = 1 %}{% endgeneration %}{{ z is defined }}{% endfor %}",
    "clock": "{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% else %}26 Jul 2024{% endif %}[{{ strftime_now('%d') }}]",
    "variables": "{{ bos_token }}{{ eos_token }}{{ add_generation_prompt }}{{ tools is defined }}{{ documents is defined }}{{ enable_thinking is defined }}{{ date_string is defined }}{{ unk_token }}",
    "think": "{% for m in messages %}{% set c = m['content'] | trim %}{% if '</think>' in c %}{% set c = c.split('</think>')[-1].lstrip('\\n') %}{% endif %}{{ m['role'] }}:{{ c }};{% endfor %}",
    "braces": "{{ {'a': {'b': 1}} }}{{ {'a': {'b': {'c': 2}}}['a']['b']['c'] }}{{ '}}' }}{{ '%}' }}{% if '%}' == \"%}\" %}y{% endif %}",
    "tuple": "{{ (1, 2)[0] }}{{ (1) }}{{ (1,) }}{{ 1, 2 }}",
    "dict and list sum": "{{ [1] + [2, 3] }} {{ (1,) + (2,) }} {{ dict(a=1, b=2) }} {{ dict({'x': 1}, y=2) }}",
    "data only": "no tags { % here %} }} {",
    "nothing": "",
}

# Templates that must be refused, by Jinja2 and by us.
REFUSED = {
    "raise": "{{ raise_exception('no system role') }}",
    "undefined attribute": "{{ a.b.c }}",
    "undefined call": "{{ nothing() }}",
    "undefined sum": "{{ 'a' + nothing }}",
    "text and number": "{{ 'a' + 1 }}",
    "text and none": "{{ 'a' + none }}",
    "division": "{{ 1 / 0 }}",
    "order": "{{ 1 < 'a' }}",
    "loop over none": "{% for x in none %}{% endfor %}",
    "loop over number": "{% for x in 3 %}{% endfor %}",
    "unpack": "{% for a, b in [[1]] %}{% endfor %}",
    "unknown filter": "{{ 1 | nofilter }}",
    "unknown test": "{{ 1 is notest }}",
    "unknown tag": "{% nosuchtag %}",
    "unclosed if": "{% if 1 %}a",
    "unclosed for": "{% for a in b %}",
    "stray end": "{% endif %}",
    "unclosed tag": "{{ 1 ",
    "unclosed string": "{{ 'abc }}",
    "unclosed comment": "a {# b",
    "bad expression": "{{ 1 + }}",
    "empty expression": "{{ }}",
    "bracket": "{{ (1 }}",
    "append": "{% set a = [] %}{{ a.append(1) }}",
    "tojson of undefined": "{{ nothing | tojson }}",
    "slice step": "{{ 'a'[::0] }}",
    "range": "{{ range(1000000) }}",
    "assign constant": "{% set none = 1 %}",
    "macro arguments": "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}",
    "recursion": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
}


def case(name, template, talk, reply, source=None, must_fail=False):
    c = {"name": name, "template": template, "messages": talk, "add_generation_prompt": reply, "bos": "<s>", "eos": "</s>"}
    try:
        t = environment().from_string(source if source is not None else template)
        c["expected"] = t.render(messages=talk, add_generation_prompt=reply, bos_token="<s>", eos_token="</s>")
    except (jinja2.exceptions.TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as e:
        c["refused_by_jinja2"] = f"{type(e).__name__}: {e}"[:100]
    if must_fail == ("expected" in c):
        sys.exit(f"{name}: {c.get('expected', c.get('refused_by_jinja2'))!r}")
    print(json.dumps(c, ensure_ascii=False))


def main():
    for path in sorted(glob.glob(os.path.join(ROOT, "share/recipes/chat/templates/*.jinja"))):
        source = open(path, encoding="utf-8", newline="").read()
        name = os.path.basename(path)[: -len(".jinja")]
        for talk, messages in TALKS.items():
            if talk == "tool" and name == "mistral-nemo-2407":
                case(f"{name}: {talk}", source, messages, True, must_fail=True)
            else:
                case(f"{name}: {talk}", source, messages, talk != "tool")
    for name, source in builtins():
        for talk, messages in TALKS.items():
            case(f"@{name}: {talk}", "@" + name, messages, talk != "turns", source)
    for name, source in FEATURES.items():
        case(f"feature: {name}", source, TALKS["turns"], True)
    for name, source in REFUSED.items():
        case(f"refused: {name}", source, TALKS["one"], True, must_fail=True)


if __name__ == "__main__":
    main()
