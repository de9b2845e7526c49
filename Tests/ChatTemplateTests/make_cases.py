#!/usr/bin/env python3
"""Writes Cases/expected.json: what transformers' apply_chat_template makes of the templates in Cases/*.jinja for one question, and of the
expressions in EXPRESSIONS. Needs transformers and jinja2 (made with 5.23.0 and 3.1.6).

    python make_cases.py

The templates are our own, in the style of Llama 3.1's, Vicuna's, llava-hf's, SmolLM2's and others."""
import glob
import json
import os

from transformers.utils.chat_template_utils import _compile_jinja_template, render_jinja_template

HERE = os.path.dirname(os.path.abspath(__file__))
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
WORDS = ["What is this?", "  spaced\n out \u00a0", "<image> {{ x }}"]
PARTS = {"llava-hf", "parts-or-text"}  # their content is a list of parts

# Conversations of several turns: (role, words, images before them).
CONVERSATIONS = [
    [("user", "What is this?", 0), ("assistant", "A shoe.", 0), ("user", "And that?", 0)],
    [("user", " spaced ", 0), ("assistant", " A\nshoe. ", 0), ("user", "\nAnd that?", 0), ("assistant", "No.", 0), ("user", "Why? ", 0)],
    [("system", "Answer in one word.", 0), ("user", "What is this?", 0)],
    [("system", " Be brief.\n", 0), ("user", "a", 1), ("assistant", "b", 0), ("user", "c", 0)],
    [("user", "What are these?", 2), ("assistant", "Two shoes.", 0), ("user", "And this?", 0)],
    [("user", "What is this?", 1), ("assistant", "A shoe.", 0), ("user", " And this? ", 1), ("assistant", "A hat.", 0), ("user", "Which is larger?", 0)],
    [("user", "Hello", 0), ("assistant", "Hello.", 0), ("user", "What are these?", 2)],
    [("system", "Be kind.", 0), ("user", "Hello", 0), ("assistant", "Hello.", 0), ("user", "What is this?", 1)],
]
# LLaVA's own conversations (its llava/conversation.py): roles, separators, and the system text.
LLAVA = {
    "vicuna_v1": "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite "
    "answers to the user's questions.",
    "llava_v1": "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite "
    "answers to the human's questions.",
}

EXPRESSIONS = r"""
{{ 'a' ~ 1 ~ true ~ none }}
{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 * 3 + 4 }} {{ 2 + 3 * 4 }} {{ (2 + 3) * 4 }} {{ -3 + 1 }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ not 1 == 2 }} {{ 'a' in 'cat' }} {{ 'x' not in ['x', 'y'] }}
{{ 'A' 'b' "c" }} {{ '\n\t\x41\u00e9\'\"\\\q' }} {{ "it's" }}
{{ [1, 2, 3][-1] }} {{ [1, 2, 3][1:] | join(',') }} {{ [1, 2, 3][::-1] | join(',') }} {{ 'hello'[1:3] }} {{ 'hello'[-3:] }} {{ 'hello'[:-3] }} {{ [1,2,3,4][::2]|join }} {{ [1,2,3,4][-1:0:-2]|join }}
{{ {'a': 1, 'b': {'c': 'd'}}.b.c }} {{ {'a': 1}['a'] }} {{ {'a': 1}.get('z', 'none') }} {{ {'a': 1, 'b': 2}.items() | map('join', '=') | join('&') }}
{{ 'a,b,,c'.split(',') | join('|') }} {{ ' a  b '.split() | join('|') }} {{ '  x '.strip() }}| {{ 'xxaxx'.strip('x') }} {{ ' a'.lstrip() }} {{ 'a ' .rstrip() }}|
{{ 'user'.title() }} {{ 'user' | capitalize }} {{ 'uSER' | upper }} {{ 'USER' | lower }} {{ 'user' | title }} {{ 'a-b-c'.replace('-', '+') }} {{ 'aaa' | replace('a', 'b') }}
{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith('bc') }} {{ 'abc' | length }} {{ [1,2] | count }} {{ 'abc' | first }} {{ [1,2] | last }}
{{ missing is defined }} {{ missing is not defined }} {{ tools is none }} {{ tools is not none }} {{ bos_token is string }} {{ messages is iterable }} {{ messages[0] is mapping }} {{ 3 is odd }} {{ 3 is even }} {{ 3 is number }} {{ true is boolean }} {{ 'a' is in ['a'] }} {{ 1 is eq 1 }} {{ 1 is ne 1 }}
{{ missing }}|{{ missing or 'x' }}|{{ missing | default('y') }}|{{ '' | default('z', true) }}|{{ none | default('z') }}
{{ 'yes' if 1 }} {{ 'yes' if 0 }}| {{ 'a' if false else 'b' if false else 'c' }}
{% for x in [3, 1, 2] %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ x }};{% endfor %}
{% for x in [1, 2, 3, 4] if x is even %}{{ loop.index }}{{ x }}{% else %}none{% endfor %}
{% for x in [] %}a{% else %}none{% endfor %}
{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }},{% endfor %}{% for k, v in {'a': 1} | items %}{{ k }}{{ v }}{% endfor %}
{% for k in {'a': 1, 'b': 2} %}{{ k }}{% endfor %}{% for c in 'xyz' %}{{ c }}.{% endfor %}
{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}{% for i in range(3, 0, -1) %}{{ i }}{% endfor %}{% for i in range(1, 3) %}{{ i }}{% endfor %}
{% set x = 1 %}{% for i in [1, 2] %}{% set x = 5 %}{{ x }}{% endfor %}{{ x }}
{% set ns = namespace(n=0) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}
{% set a, b = 1, 2 %}{{ a + b }}{% set t %}in {{ a }}{% endset %}{{ t }}{{ t | upper }}
{% if false %}a{% elif true %}b{% else %}c{% endif %}{% if [] %}a{% else %}d{% endif %}
{{ [{'t': 1}, {'t': 2}] | selectattr('t', 'equalto', 2) | map(attribute='t') | join }} {{ [{'t': 1}, {}] | rejectattr('t') | list | length }} {{ [0, 1, 2] | select | join }} {{ ['a', 'b'] | reject('equalto', 'a') | join }} {{ [{'a': {'b': 7}}] | map(attribute='a.b') | first }}
{{ {'a': [1, true, none, 'q"\n\u00e9\x01']} | tojson }} {{ 'x' | tojson }} {{ [] | tojson }} {{ ['x', 'y'] | join(', ') }} {{ [{'n': 1}, {'n': 2}] | join('+', attribute='n') }}
{{ ('a', 'b') | join }} {{ 'a' ~ 'b' | upper }} {{ ('a' ~ 'b') | upper }} {{ -1 | string }} {{ 'x' | string | length }} {{ [3, 4] | reverse | join }} {{ 'abc' is string and not 'abc' is none }}
a {%- if true -%}  b  {%- endif -%} c
  {% if true %}
  kept
    {% endif %}
x {% if true %} y{% endif %}
{#- comment -#} text {# another #} more
  {%+ if true %} plus{% endif +%}
z {{- ' tight ' -}} z
{{ loop is defined }} {% generation %}{{ 'g' }}{% endgeneration %}
"""


def rendered(text, words, images):
    name = os.path.basename(text)[: -len(".jinja")]
    with open(text, encoding="utf-8", newline="") as file:
        template = file.read()
    if name in PARTS:
        content = [{"type": "image"}] * images + [{"type": "text", "text": words}]
    else:
        content = "<image>\n" * images + words
    prompts, _ = render_jinja_template([[{"role": "user", "content": content}]], chat_template=template, add_generation_prompt=True, **TOKENS)
    return prompts[0]


def messages_of(name, conversation):
    def content(words, images):
        if name in PARTS:
            return [{"type": "image"}] * images + [{"type": "text", "text": words}]
        return "<image>\n" * images + words

    return [{"role": role, "content": content(words, images)} for role, words, images in conversation]


def conversed(path, conversation):
    """What transformers makes of a conversation; None where the template refuses it."""
    with open(path, encoding="utf-8", newline="") as file:
        template = file.read()
    messages = messages_of(os.path.basename(path)[: -len(".jinja")], conversation)
    try:
        return render_jinja_template([messages], chat_template=template, add_generation_prompt=True, **TOKENS)[0][0]
    except Exception:  # a template raises what it likes
        return None


def llava_conversed(system, conversation):
    """Two separators: a blank behind what the user says, and </s> behind an answer."""
    turns = list(conversation)
    if turns[0][0] == "system":
        system = turns.pop(0)[1]
    text = system + " "
    for role, words, images in turns:
        text += ("USER: " if role == "user" else "ASSISTANT: ") + "<image>\n" * images + words + (" " if role == "user" else "</s>")
    return text + "ASSISTANT:"


def conversations():
    for path in sorted(glob.glob(os.path.join(HERE, "Cases", "*.jinja"))):
        for conversation in CONVERSATIONS:
            yield os.path.basename(path), conversation, conversed(path, conversation)
    for name, system in LLAVA.items():
        for conversation in CONVERSATIONS:
            yield name, conversation, llava_conversed(system, conversation)


def main():
    cases = []
    for path in sorted(glob.glob(os.path.join(HERE, "Cases", "*.jinja"))):
        name = os.path.basename(path)
        # Words with a place of their own get no image before them.
        for words in WORDS:
            for images in (0, 1, 3):
                cases.append({"template": name, "words": words, "images": images, "expected": rendered(path, words, images)})
    expressions = []
    # A blank before a tag belongs to the template, so they are cut at line ends, but for the ones that show how lines are handled.
    for text in EXPRESSIONS.strip("\n").split("\n"):
        expressions.append(text)
    joined = "\n".join(expressions[-9:])
    expressions = expressions[:-9] + [joined, joined.replace("\n", "\r\n"), "\n{% if true %}\n\n x\n{% endif %}\n\n", "{{ 1 }}\n"]
    variables = {"messages": [{"role": "user", "content": "words"}], "tools": None, "documents": None, "add_generation_prompt": True, **TOKENS}
    rows = [{"template": e, "expected": _compile_jinja_template(e).render(**variables)} for e in expressions]
    with open(os.path.join(HERE, "Cases", "expected.json"), "w", encoding="utf-8") as file:
        talks = [
            {"template": name, "messages": [{"role": r, "words": w, "images": i} for r, w, i in talk], "expected": expected}
            for name, talk, expected in conversations()
        ]
        json.dump({"cases": cases, "conversations": talks, "expressions": rows}, file, indent=1, ensure_ascii=True)
        file.write("\n")
    print(len(cases), "cases,", len(talks), "conversations,", len(rows), "expressions")


if __name__ == "__main__":
    main()
