#!/usr/bin/env python3
"""OpenAI's own Python client against a program that serves: openai_client.py PROGRAM. Answers are those of the program's command line."""
import asyncio
import base64
import os
import sys
import tempfile

import openai
import pydantic

from served import PICTURE, Checks, Server

URL = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
PROMPT = "What is this?"


class Verdict(pydantic.BaseModel):
    right: bool


def user(content=PROMPT):
    return [{"role": "user", "content": content}]


def with_picture():
    return user([{"type": "text", "text": PROMPT}, {"type": "image_url", "image_url": {"url": URL}}])


def refused(checks, what, kind, call, param=None, code=None):
    try:
        call()
    except openai.APIStatusError as error:
        checks.check(isinstance(error, kind), f"{what}: {type(error).__name__} {error}")
        checks.check(error.message and (param is None or error.param == param), f"{what}: param {error.param!r}: {error}")
        checks.check(code is None or error.code == code, f"{what}: code {error.code!r}")
    else:
        checks.check(False, f"{what}: it was not refused")


def chats(c, client, model, server):
    create = client.chat.completions.create
    known = server.said("--prompt", PROMPT, "--max-tokens", "12")
    answer = create(model=model, messages=user(), max_tokens=12)
    c.equal(answer.choices[0].message.content, known["text"], "a chat")
    c.equal(answer.choices[0].finish_reason, known["finish_reason"], "why it ended")
    c.equal(answer.usage.completion_tokens, len(known["tokens"]), "its tokens")
    c.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens, "all tokens")
    c.equal(create(model=model, messages=user(), max_completion_tokens=12).choices[0].message.content, known["text"], "the newer limit")
    seen = create(model=model, messages=with_picture(), max_tokens=12)
    c.equal(seen.choices[0].message.content, server.said("--prompt", PROMPT, "--max-tokens", "12", image=True)["text"], "a picture")
    c.check(seen.usage.prompt_tokens > answer.usage.prompt_tokens, "a picture has tokens")
    several = create(model=model, messages=user(), max_tokens=8, n=2, temperature=1.5, seed=7)
    known = server.said("--prompt", PROMPT, "--max-tokens", "8", "--n", "2", "--temperature", "1.5", "--seed", "7")
    c.equal([x.message.content for x in several.choices], [x["text"] for x in known["choices"]], "two answers")
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}, {"role": "user", "content": "And?"}]
    c.check(create(model=model, messages=turns, max_tokens=4).choices[0].message.content is not None, "two turns")
    first = server.said("--prompt", PROMPT, "--max-tokens", "1")["tokens"][0]
    barred = create(model=model, messages=user(), max_tokens=1, logit_bias={str(first): -100})
    c.check(barred.choices[0].message.content is not None, "a bias")


def streams(c, client, model, server):
    create = client.chat.completions.create
    known = server.said("--prompt", PROMPT, "--max-tokens", "16", "--temperature", "0.9", "--seed", "5")
    chunks = list(create(model=model, messages=user(), max_tokens=16, temperature=0.9, seed=5, stream=True,
                         stream_options={"include_usage": True}))
    c.equal("".join(x.choices[0].delta.content or "" for x in chunks if x.choices), known["text"], "a stream")
    c.equal([x.choices[0].finish_reason for x in chunks if x.choices][-1], known["finish_reason"], "how it ends")
    c.equal(chunks[-1].usage.completion_tokens, len(known["tokens"]), "its usage")
    c.check(all(x.usage is None for x in chunks[:-1]), "usage comes last")
    c.equal(chunks[0].choices[0].delta.role, "assistant", "its role")
    c.equal(len({x.id for x in chunks}), 1, "one id")
    text = known["text"]
    middle = text[len(text) // 2:][:2]
    stopped = create(model=model, messages=user(), max_tokens=16, temperature=0.9, seed=5, stop=[middle])
    c.equal((stopped.choices[0].message.content, stopped.choices[0].finish_reason), (text[:text.index(middle)], "stop"), "a stop text")
    gone = create(model=model, messages=user(), max_tokens=100, stream=True)
    next(iter(gone))
    gone.close()
    again = create(model=model, messages=user(), max_tokens=16, temperature=0.9, seed=5)
    c.equal(again.choices[0].message.content, text, "behind one who left")
    logs = create(model=model, messages=user(), max_tokens=4, logprobs=True, top_logprobs=2).choices[0].logprobs.content
    known = server.said("--prompt", PROMPT, "--max-tokens", "4", "--logprobs", "2")
    c.check(all(abs(a.logprob - b["logprob"]) < 1e-4 for a, b in zip(logs, known["logprobs"])), "log probabilities")
    c.equal([len(x.top_logprobs) for x in logs], [2] * len(known["tokens"]), "how many likeliest")


def structures(c, client, model):
    verdict = client.chat.completions.parse(model=model, messages=user(), response_format=Verdict, max_tokens=60).choices[0].message.parsed
    c.check(isinstance(verdict, Verdict), f"a structured answer: {verdict!r}")
    with client.chat.completions.stream(model=model, messages=user(), response_format=Verdict, max_tokens=60) as stream:
        c.check(isinstance(stream.get_final_completion().choices[0].message.parsed, Verdict), "a structured stream")
    text = client.chat.completions.create(model=model, messages=user(), response_format={"type": "json_object"}, max_tokens=60)
    c.check(text.choices[0].message.content.lstrip().startswith("{"), "an object of JSON")


def completions(c, client, model, server):
    known = server.said("--raw-prompt", "One", "--max-tokens", "6")
    answer = client.completions.create(model=model, prompt="One", max_tokens=6, logprobs=1)
    c.equal(answer.choices[0].text, known["text"], "a completion")
    c.equal(len(answer.choices[0].logprobs.tokens), len(known["tokens"]), "its tokens")
    stream = client.completions.create(model=model, prompt="One", max_tokens=6, stream=True)
    c.equal("".join(x.choices[0].text for x in stream), known["text"], "a streamed completion")


def errors(c, client, model):
    create = client.chat.completions.create
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    bad = openai.BadRequestError
    refused(c, "tools", bad, lambda: create(model=model, messages=user(), tools=[tool]), "tools")
    refused(c, "no messages", bad, lambda: create(model=model, messages=[]), "messages")
    refused(c, "too hot", bad, lambda: create(model=model, messages=user(), temperature=1000), "temperature")
    refused(c, "too long", bad, lambda: create(model=model, messages=user("word " * 5000)), code="context_length_exceeded")
    for url in ("http://127.0.0.1:1/x.png", "data:image/png;base64,AAAA", "data:image/png;base64,!", "/etc/passwd", "file:///etc/passwd"):
        content = [{"type": "image_url", "image_url": {"url": url}}]
        refused(c, url, bad, lambda content=content: create(model=model, messages=user(content)))
    refused(c, "a schema that is none", bad, lambda: create(model=model, messages=user(), response_format={
        "type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nothing"}}}))
    refused(c, "responses", openai.APIStatusError, lambda: client.responses.create(model=model, input="Hi"))
    refused(c, "embeddings", openai.APIStatusError, lambda: client.embeddings.create(model=model, input="Hi"))
    refused(c, "another model", openai.NotFoundError, lambda: client.models.retrieve("another"))
    refused(c, "a stream", bad, lambda: list(create(model=model, messages=user(), stream=True, top_p=2)), "top_p")


async def concurrent(c, server, model):
    known = server.said("--prompt", PROMPT, "--max-tokens", "16")["text"]
    async with openai.AsyncOpenAI(base_url=server.address + "/v1", api_key="none") as client:

        async def one():
            stream = await client.chat.completions.create(model=model, messages=user(), max_tokens=16, stream=True)
            return "".join([x.choices[0].delta.content or "" async for x in stream if x.choices])

        answers = await asyncio.gather(*(one() for _ in range(12)))
    c.equal(set(answers), {known}, "twelve at once")


def keys(c, program):
    with tempfile.NamedTemporaryFile("w", suffix=".keys") as f:
        f.write("sk-right\n")
        f.flush()
        os.chmod(f.name, 0o600)
        server = Server(program, "--api-key", f.name)
        right = openai.OpenAI(base_url=server.address + "/v1", api_key="sk-right", max_retries=0)
        wrong = openai.OpenAI(base_url=server.address + "/v1", api_key="sk-wrong", max_retries=0)
        c.check(right.models.list().data, "the right key")
        refused(c, "the wrong key", openai.AuthenticationError, wrong.models.list)
        c.equal(server.stop(), 0, "exit code")


def main():
    checks, server = Checks(f"openai {openai.__version__}"), Server(sys.argv[1])
    client = openai.OpenAI(base_url=server.address + "/v1", api_key="none", max_retries=0)
    model = client.models.list().data[0].id
    checks.equal(client.models.retrieve(model).id, model, "the model")
    chats(checks, client, model, server)
    streams(checks, client, model, server)
    structures(checks, client, model)
    completions(checks, client, model, server)
    errors(checks, client, model)
    asyncio.run(concurrent(checks, server, model))
    checks.equal(server.stop(), 0, "exit code")
    keys(checks, sys.argv[1])
    checks.end()


if __name__ == "__main__":
    main()
