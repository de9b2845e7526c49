#!/usr/bin/env python3
"""Ollama's own Python client against a program that serves: ollama_client.py PROGRAM. Answers are those of the program's command line."""
import asyncio
import importlib.metadata
import json
import sys

import ollama

from served import PICTURE, PICTURE_TEXT, Checks, Server

PROMPT = "What is this?"
SCHEMA = {"type": "object", "properties": {"right": {"type": "boolean"}}, "required": ["right"], "additionalProperties": False}


def user(**more):
    return [{"role": "user", "content": PROMPT, **more}]


def refused(c, what, status, call):
    try:
        call()
    except ollama.ResponseError as error:
        c.equal(error.status_code, status, f"{what}: status ({error.error})")
        c.check(isinstance(error.error, str) and error.error and not error.error.startswith("{"), f"{what}: {error.error!r}")
    else:
        c.check(False, f"{what}: it was not refused")


def models(c, client, server):
    id = server.model()
    listed = client.list().models
    c.equal([x.model for x in listed], [id + ":latest"], "models")
    c.check(listed[0].size > 0 and listed[0].modified_at and len(listed[0].digest) == 64, f"what is listed: {listed[0]}")
    c.equal([x.model for x in client.ps().models], [id + ":latest"], "models in memory")
    shown = client.show(id)
    c.check(shown.modelinfo["general.architecture"] is not None and "completion" in shown.capabilities, f"what is shown: {shown}")
    refused(c, "another model", 404, lambda: client.show("another"))
    return id


def chats(c, client, model, server):
    known = server.said("--prompt", PROMPT, "--max-tokens", "12")
    for name in (model, model + ":latest"):
        answer = client.chat(name, user(), options={"num_predict": 12})
        c.equal(answer.message.content, known["text"], f"a chat with {name}")
    c.equal((answer.message.role, answer.done, answer.done_reason), ("assistant", True, known["finish_reason"]), "how it ended")
    c.equal(answer.eval_count, len(known["tokens"]), "its tokens")
    c.check(answer.total_duration >= answer.prompt_eval_duration + answer.eval_duration > 0, f"times: {answer}")
    parts = list(client.chat(model, user(), options={"num_predict": 12}, stream=True))
    c.equal("".join(x.message.content for x in parts), known["text"], "a stream")
    c.equal([x.done for x in parts], [False] * (len(parts) - 1) + [True], "where it ends")
    c.equal(parts[-1].eval_count, len(known["tokens"]), "tokens of a stream")
    known = server.said("--prompt", PROMPT, "--max-tokens", "12", image=True)["text"]
    for picture in (PICTURE, PICTURE_TEXT):
        c.equal(client.chat(model, user(images=[picture]), options={"num_predict": 12}).message.content, known, "a picture")
    options = {"num_predict": 12, "temperature": 1.2, "seed": 9, "top_k": 30, "top_p": 0.9, "min_p": 0.02, "repeat_penalty": 1.2}
    flags = [w for k, v in options.items() if k != "num_predict" for w in (f"--{k.replace('_', '-')}", str(v))]
    known = server.said("--prompt", PROMPT, "--max-tokens", "12", *flags)["text"]
    c.equal(client.chat(model, user(), options={**options, "num_ctx": 512, "num_thread": 1}).message.content, known, "options")
    stop = known[len(known) // 2:][:2]
    stopped = client.chat(model, user(), options={**options, "stop": [stop]})
    c.equal((stopped.message.content, stopped.done_reason), (known[:known.index(stop)], "stop"), "a stop text")
    logs = client.chat(model, user(), options={"num_predict": 3}, logprobs=True, top_logprobs=2).logprobs
    known = server.said("--prompt", PROMPT, "--max-tokens", "3", "--logprobs", "2")["logprobs"]
    c.check(len(logs) == 3 and all(abs(a.logprob - b["logprob"]) < 1e-4 for a, b in zip(logs, known)), f"log probabilities: {logs}")
    c.equal([len(x.top_logprobs) for x in logs], [2] * 3, "how many likeliest")
    c.equal(client.chat(model, []).done_reason, "load", "nothing asked")


def generations(c, client, model, server):
    known = server.said("--prompt", PROMPT, "--max-tokens", "12")["text"]
    c.equal(client.generate(model, PROMPT, options={"num_predict": 12}).response, known, "a generation")
    c.equal("".join(x.response for x in client.generate(model, PROMPT, options={"num_predict": 12}, stream=True)), known, "a stream of it")
    known = server.said("--prompt", PROMPT, "--max-tokens", "12", image=True)["text"]
    c.equal(client.generate(model, PROMPT, images=[PICTURE], options={"num_predict": 12}).response, known, "a picture of it")
    known = server.said("--raw-prompt", "One", "--max-tokens", "6")["text"]
    c.equal(client.generate(model, "One", raw=True, options={"num_predict": 6}).response, known, "a raw prompt")
    c.equal(client.generate(model, "").done_reason, "load", "nothing asked")


def structures(c, client, model):
    text = client.chat(model, user(), format=SCHEMA, options={"num_predict": 60}).message.content
    c.check(isinstance(json.loads(text)["right"], bool), f"a structured answer: {text}")
    text = client.generate(model, PROMPT, format="json", options={"num_predict": 60}).response
    c.check(text.lstrip().startswith("{"), f"an object of JSON: {text}")


def errors(c, client, model):
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}}
    refused(c, "tools", 400, lambda: client.chat(model, user(), tools=[tool]))
    refused(c, "thinking", 400, lambda: client.chat(model, user(), think=True))
    refused(c, "another model", 404, lambda: client.chat("another", user()))
    refused(c, "a stream of another model", 404, lambda: list(client.chat("another", user(), stream=True)))
    refused(c, "an option", 400, lambda: client.chat(model, user(), options={"temperature": -1}))
    refused(c, "a sampler", 400, lambda: client.chat(model, user(), options={"mirostat": 2}))
    refused(c, "too long", 400, lambda: client.chat(model, [{"role": "user", "content": "word " * 5000}]))
    refused(c, "no picture", 400, lambda: client.chat(model, user(images=["AAAA"])))
    refused(c, "a schema that is none", 400, lambda: client.chat(model, user(), format={"type": "nothing"}))
    refused(c, "a suffix", 400, lambda: client.generate(model, PROMPT, suffix="x"))
    for what, call in (("pulling", lambda: client.pull("another")), ("embedding", lambda: client.embed(model, "x")),
                       ("deleting", lambda: client.delete(model)), ("copying", lambda: client.copy(model, "x"))):
        try:
            call()
            c.check(False, f"{what}: it was not refused")
        except ollama.ResponseError as error:
            c.check(error.status_code in (404, 501) and isinstance(error.error, str), f"{what}: {error.status_code} {error.error!r}")


async def concurrent(c, server, model):
    known = server.said("--prompt", PROMPT, "--max-tokens", "16")["text"]
    client = ollama.AsyncClient(server.address)

    async def one():
        return "".join([x.message.content async for x in await client.chat(model, user(), options={"num_predict": 16}, stream=True)])

    c.equal(set(await asyncio.gather(*(one() for _ in range(12)))), {known}, "twelve at once")


def main():
    checks, server = Checks(f"ollama {importlib.metadata.version('ollama')}"), Server(sys.argv[1])
    client = ollama.Client(server.address)
    model = models(checks, client, server)
    chats(checks, client, model, server)
    generations(checks, client, model, server)
    structures(checks, client, model)
    errors(checks, client, model)
    asyncio.run(concurrent(checks, server, model))
    checks.equal(server.stop(), 0, "exit code")
    checks.end()


if __name__ == "__main__":
    main()
