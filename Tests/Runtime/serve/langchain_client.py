#!/usr/bin/env python3
"""LangChain's ChatOpenAI against a program that serves: langchain_client.py PROGRAM. Answers are those of the program's command line."""
import asyncio
import base64
import importlib.metadata
import sys

import openai
import pydantic
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

from served import PICTURE, Checks, Server

PROMPT = "What is this?"


class Verdict(pydantic.BaseModel):
    """What is thought of it."""

    right: bool


def main():
    c, server = Checks(f"langchain-openai {importlib.metadata.version('langchain-openai')}"), Server(sys.argv[1])
    model = server.model()
    chat = ChatOpenAI(model=model, base_url=server.address + "/v1", api_key="none", max_retries=0, max_tokens=12, temperature=0)
    known = server.said("--prompt", PROMPT, "--max-tokens", "12")
    answer = chat.invoke(PROMPT)
    c.equal(answer.content, known["text"], "an answer")
    c.equal(answer.usage_metadata["output_tokens"], len(known["tokens"]), "its tokens")
    c.equal(answer.response_metadata["finish_reason"], known["finish_reason"], "why it ended")
    parts = list(chat.stream(PROMPT, stream_usage=True))
    c.equal("".join(x.content for x in parts), known["text"], "a stream")
    c.equal(sum(x.usage_metadata["output_tokens"] for x in parts if x.usage_metadata), len(known["tokens"]), "tokens of a stream")
    url = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
    seen = server.said("--prompt", PROMPT, "--max-tokens", "12", image=True)["text"]
    content = [{"type": "text", "text": PROMPT}, {"type": "image_url", "image_url": {"url": url}}]
    c.equal(chat.invoke([HumanMessage(content)]).content, seen, "a picture")
    content = [{"type": "text", "text": PROMPT}, {"type": "image", "base64": base64.b64encode(PICTURE).decode(), "mime_type": "image/png"}]
    c.equal(chat.invoke([HumanMessage(content)]).content, seen, "a picture in LangChain's own form")
    c.check(isinstance(chat.invoke([HumanMessage("Hi"), AIMessage("Yes"), HumanMessage("And?")]).content, str), "two turns")
    c.equal([x.content for x in chat.batch([PROMPT] * 6)], [known["text"]] * 6, "a batch")
    c.equal(asyncio.run(chat.ainvoke(PROMPT)).content, known["text"], "an awaited answer")
    c.equal((ChatPromptTemplate.from_messages([("user", "{what}")]) | chat).invoke({"what": PROMPT}).content, known["text"], "a chain")
    longer = ChatOpenAI(model=model, base_url=server.address + "/v1", api_key="none", max_retries=0, max_tokens=60, temperature=0)
    c.check(isinstance(longer.with_structured_output(Verdict, method="json_schema").invoke(PROMPT), Verdict), "a structured answer")
    logs = chat.bind(max_tokens=3, logprobs=True, top_logprobs=2).invoke(PROMPT).response_metadata["logprobs"]["content"]
    c.equal([len(x["top_logprobs"]) for x in logs], [2] * 3, "log probabilities")
    try:
        chat.bind_tools([Verdict]).invoke(PROMPT)
        c.check(False, "tools: they were not refused")
    except openai.BadRequestError as error:
        c.equal(error.param, "tools", "tools")
    c.equal(server.stop(), 0, "exit code")
    c.end()


if __name__ == "__main__":
    main()
