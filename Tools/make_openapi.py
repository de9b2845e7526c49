#!/usr/bin/env python3
"""Writes Runtime/serve/formats/openapi_content.c: the description of the server's API that it serves at /openapi.json, as C.

    make_openapi.py              writes the file
    make_openapi.py --check      exit code 1 where it is not what this script gives, or paths are not those of Runtime/serve/routes.c
    make_openapi.py --print      prints the document, but for what a server puts in front

What a server knows alone (its version, the model's name, whether it wants a key) stands in front of this text, which goes on inside of
`components.schemas`. A member of a request that the server reads has its kind and its bounds here; all others it passes over."""
import json
import os
import re
import sys

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Runtime", "serve")
OUTPUT = os.path.join(FOLDER, "formats", "openapi_content.c")
COLUMNS = 140
INT32_MAX, INT64_MAX = 2**31 - 1, 2**63 - 1
OPENAI, OLLAMA, SERVER = "OpenAI", "Ollama", "Server"


def ref(name):
    return {"$ref": f"#/components/schemas/{name}"}


def described(text, schema):
    return {"description": text, **schema}


def optional(kind, **bounds):
    return {"type": [kind, "null"], **bounds}


def whole(least, most):
    return optional("integer", minimum=least, maximum=most)


def real(least, most):
    return optional("number", minimum=least, maximum=most)


def thing(required, **members):
    return {"type": "object", "required": required, "properties": members}


def answer(**members):
    """An object of a reply, all of whose members are there."""
    return thing(sorted(members), **members)


def list_of(items, **bounds):
    return {"type": "array", "items": items, **bounds}


TEXT, COUNT, FLAG, NUMBER = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}, {"type": "number"}
WORDS = {"type": "string", "minLength": 1}
NOTHING = ref("Nothing")
SAMPLING = {
    "temperature": described("0 takes the likeliest token.", real(0, 100)),
    "top_p": optional("number", exclusiveMinimum=0, maximum=1),
    "top_k": whole(0, INT32_MAX),
    "min_p": real(0, 1),
    "seed": optional("integer", minimum=-INT64_MAX - 1, maximum=INT64_MAX),
    "repeat_penalty": real(1e-3, 1e3),
    "presence_penalty": ref("Penalty"),
    "frequency_penalty": ref("Penalty"),
    "stop": ref("Stops"),
}
OPENAI_COMMON = {
    "model": described("Passed over: there is one.", {}),
    **SAMPLING,
    "n": whole(1, 32),
    "max_tokens": whole(1, INT32_MAX),
    "logit_bias": optional("object", propertyNames={"pattern": "^[0-9]{1,9}$"}, maxProperties=1024,
                           additionalProperties={"type": "number", "minimum": -100, "maximum": 100}),
    "response_format": {"anyOf": [
        {"type": "null"},
        thing(["type"], type={"enum": ["text", "json_object"]}),
        thing(["type", "json_schema"], type={"const": "json_schema"}, json_schema=thing(["schema"], schema={"type": "object"})),
    ]},
    "stream": optional("boolean"),
    "stream_options": {"properties": {"include_usage": optional("boolean")}},
}
PART = {"anyOf": [
    thing(["type", "text"], type={"enum": ["text", "input_text"]}, text=TEXT),
    thing(["type", "image_url"], type={"const": "image_url"}, image_url={"anyOf": [
        described("`data:image/png;base64,...`, JPEG and WebP too, or a path below `--media-path`.", TEXT), thing(["url"], url=TEXT)]}),
]}
CALLS = {"tool_calls": NOTHING, "function_call": NOTHING, "audio": NOTHING}
TEXT_PART = thing(["type", "text"], type={"enum": ["text", "input_text"]}, text=TEXT)
CHAT_MESSAGE = {"anyOf": [
    thing(["role", "content"], role={"const": "user"}, content={"anyOf": [TEXT, list_of(PART)]}, **CALLS),
    thing(["role", "content"], role={"enum": ["system", "developer", "assistant"]}, content={"anyOf": [TEXT, list_of(TEXT_PART)]}, **CALLS),
]}
BASE64 = described("The bytes of a JPEG, PNG or WebP file in base64.", TEXT)
TAG = described("The model's name, with or without the tag `:latest`.", ref("Model"))
OLLAMA_OPTIONS = optional("object", properties={
    **SAMPLING,
    "num_predict": described("Below 1: as many as there is room for.", whole(-2, INT32_MAX)),
    "repeat_last_n": described("0 turns `repeat_penalty` off; else it looks at prompt and answer.", whole(-1, INT32_MAX)),
    "mirostat": {"enum": [None, 0]}, "tfs_z": {"enum": [None, 1]}, "typical_p": {"enum": [None, 1]},
})
OLLAMA_COMMON = {
    "model": TAG,
    "stream": described("True where it is left out.", optional("boolean")),
    "format": {"anyOf": [{"enum": [None, "", "json"]}, described("A JSON Schema.", {"type": "object"})]},
    "options": ref("OllamaOptions"),
    "logprobs": optional("boolean"),
    "top_logprobs": whole(0, 20),
    "keep_alive": described("Passed over.", {}),
    "think": NOTHING,
}
NO_TEXT = {"enum": [None, False, [], {}, "none", ""]}
OLLAMA_MESSAGE = {"anyOf": [
    thing(["role"], role={"const": "user"}, content=optional("string"), images=optional("array", items=BASE64), tool_calls=NOTHING),
    thing(["role"], role={"enum": ["system", "assistant"]}, content=optional("string"), images=optional("array", maxItems=0),
          tool_calls=NOTHING),
]}
DETAILS = answer(parent_model=TEXT, format=TEXT, family=TEXT, families=list_of(TEXT), parameter_size=TEXT, quantization_level=TEXT)
LISTED = {"name": TEXT, "model": TEXT, "digest": TEXT, "size": COUNT, "details": ref("OllamaDetails")}
TOKEN_LOG = answer(token=TEXT, logprob=NUMBER, bytes=list_of(COUNT))
OLLAMA_LOG = thing(["token", "logprob"], token=TEXT, logprob=NUMBER, bytes=list_of(COUNT), top_logprobs=list_of(ref("TokenLog")))
OLLAMA_ENDED = {
    "done_reason": TEXT, "total_duration": COUNT, "load_duration": COUNT, "prompt_eval_count": COUNT, "prompt_eval_duration": COUNT,
    "eval_count": COUNT, "eval_duration": COUNT, "logprobs": list_of(ref("OllamaLog")),
}
FINISH = {"enum": ["stop", "length"]}
CHAT_LOG = answer(token=TEXT, logprob=NUMBER, bytes=list_of(COUNT), top_logprobs=list_of(ref("TokenLog")))
CHAT_LOGS = {"anyOf": [{"type": "null"}, thing(["content"], content=list_of(CHAT_LOG))]}
COMPLETION_LOGS = {"anyOf": [{"type": "null"}, answer(
    tokens=list_of(TEXT), token_logprobs=list_of(NUMBER), top_logprobs=list_of({"type": "object", "additionalProperties": NUMBER}),
    text_offset=list_of(COUNT))]}

SCHEMAS = {
    "Nothing": described("Not supported: it may be left out, or say nothing.", {"enum": [None, False, [], {}, "none"]}),
    "Penalty": real(-100, 100),
    "Stops": {"anyOf": [{"type": "null"}, WORDS, list_of(WORDS, maxItems=16)]},
    "OllamaOptions": OLLAMA_OPTIONS,
    "OllamaDetails": DETAILS,
    "TokenLog": TOKEN_LOG,
    "OllamaLog": OLLAMA_LOG,
    "OpenAIError": answer(error=answer(message=TEXT, type=TEXT, param=optional("string"), code=optional("string"))),
    "OllamaError": answer(error=TEXT),
    "Usage": thing(["prompt_tokens", "completion_tokens", "total_tokens"], prompt_tokens=COUNT, completion_tokens=COUNT, total_tokens=COUNT,
                   prompt_tokens_details=answer(cached_tokens=COUNT, image_tokens=COUNT)),
    "Timings": described("Milliseconds, and tokens a second.", {"type": "object", "additionalProperties": NUMBER}),
    "ChatRequest": thing(["messages"], messages=list_of(CHAT_MESSAGE, minItems=1, maxItems=1024), **OPENAI_COMMON,
                         max_completion_tokens=whole(1, INT32_MAX), logprobs=optional("boolean"),
                         top_logprobs=described("Above 0 it wants `logprobs`.", whole(0, 20)), modalities={"items": {"const": "text"}},
                         **{key: NOTHING for key in ("tools", "functions", "function_call", "audio", "prediction", "web_search_options")}),
    "ChatAnswer": thing(["id", "object", "created", "model", "choices", "usage"], id=TEXT, object={"const": "chat.completion"},
                        created=COUNT, model=TEXT, usage=ref("Usage"), timings=ref("Timings"),
                        choices=list_of(thing(["index", "message", "finish_reason"], index=COUNT, finish_reason=FINISH, logprobs=CHAT_LOGS,
                                              message=thing(["role", "content"], role={"const": "assistant"}, content=TEXT)))),
    "CompletionRequest": thing(["prompt"], prompt=described("Read verbatim, its special tokens too.", {
        "anyOf": [TEXT, list_of(TEXT, minItems=1, maxItems=1)]}), **OPENAI_COMMON, logprobs=whole(0, 20),
        best_of=described("At most `n`.", whole(1, 32)), suffix=NOTHING, echo=NOTHING),
    "CompletionAnswer": thing(["id", "object", "created", "model", "choices", "usage"], id=TEXT, object={"const": "text_completion"},
                              created=COUNT, model=TEXT, usage=ref("Usage"), timings=ref("Timings"),
                              choices=list_of(thing(["index", "text", "finish_reason"], index=COUNT, text=TEXT, finish_reason=FINISH,
                                                    logprobs=COMPLETION_LOGS))),
    "OpenAIModel": thing(["id", "object", "created", "owned_by"], id=TEXT, object={"const": "model"}, created=COUNT, owned_by=TEXT,
                         max_model_len=COUNT),
    "OllamaChatRequest": thing(["model"], messages=optional("array", items=OLLAMA_MESSAGE, maxItems=1024), **OLLAMA_COMMON, tools=NOTHING),
    "OllamaChatAnswer": thing(["model", "created_at", "message", "done"], model=TEXT, created_at=TEXT, done=FLAG, **OLLAMA_ENDED,
                              message=answer(role={"const": "assistant"}, content=TEXT)),
    "OllamaGenerateRequest": thing(["model"], prompt=optional("string"), system=optional("string"), raw=optional("boolean"),
                                   images=optional("array", items=BASE64), **OLLAMA_COMMON, suffix=NO_TEXT, template=NO_TEXT,
                                   context=NOTHING),
    "OllamaGenerateAnswer": thing(["model", "created_at", "response", "done"], model=TEXT, created_at=TEXT, response=TEXT, done=FLAG,
                                  **OLLAMA_ENDED),
    "OllamaTags": answer(models=list_of(answer(**LISTED, modified_at=TEXT))),
    "OllamaRunning": answer(models=list_of(answer(**LISTED, expires_at=TEXT, size_vram=COUNT, context_length=COUNT))),
    "OllamaModel": answer(modelfile=TEXT, parameters=TEXT, template=TEXT, details=ref("OllamaDetails"), model_info={"type": "object"},
                          capabilities=list_of(TEXT), modified_at=TEXT),
}


def content(schema, kind="application/json"):
    return {"content": {kind: {"schema": schema}}}


REFUSALS = {
    400: "The request is none, or cannot be answered by this model.", 401: "A key is wanted.", 404: "There is no such thing.",
    408: "It took too long.", 411: "It has no body.", 413: "The body is larger than the server takes.", 415: "The body is no JSON.",
    421: "The name in `Host` is not this machine's.",
    503: "Too many wait: ask again after `Retry-After` seconds.",
}
RESPONSES = {f"{form}{status}": {"description": text, **content(ref(form + "Error"))}
             for form in (OPENAI, OLLAMA) for status, text in REFUSALS.items()}


def refusals(statuses, form):
    return {str(s): {"$ref": f"#/components/responses/{form}{s}"} for s in statuses}


def get(summary, tag, schema, kind="application/json", more=(), is_open=False, **members):
    form = OLLAMA if tag == OLLAMA else OPENAI
    if is_open:
        members["security"] = []
    return {"get": {"summary": summary, "tags": [tag], **members, "responses": {
        "200": {"description": "It.", **content(schema, kind)}, **refusals([*([] if is_open else [401]), 421, *more], form)}}}


def post(summary, tag, request, schema, stream=None, more=(), example=None):
    form = OLLAMA if tag == OLLAMA else OPENAI
    found = content(schema)
    if stream == "text/event-stream":
        found["content"][stream] = {"schema": described("An event; the last has `[DONE]`.", thing(["data"], data=TEXT))}
    elif stream:
        found["content"][stream] = {"schema": described("A line for each part, an object as above.", TEXT)}
    body = {"schema": request if isinstance(request, dict) else ref(request)}
    if example:
        body["example"] = example
    return {"post": {"summary": summary, "tags": [tag], "requestBody": {"required": True, "content": {"application/json": body}},
                     "responses": {"200": {"description": "It.", **found},
                                   **refusals([400, 401, 408, 411, 413, 415, 421, 503, *more], form)}}}


PATHS = {
    "/v1/chat/completions": post("Answers a conversation", OPENAI, "ChatRequest", ref("ChatAnswer"), "text/event-stream",
                                 example={"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}),
    "/v1/completions": post("Goes on with a text", OPENAI, "CompletionRequest", ref("CompletionAnswer"), "text/event-stream",
                            example={"prompt": "Hi", "max_tokens": 4}),
    "/v1/models": get("Lists the model", OPENAI, answer(object={"const": "list"}, data=list_of(ref("OpenAIModel")))),
    "/v1/models/{model}": get("Tells of the model", OPENAI, ref("OpenAIModel"), more=[404], parameters=[
        {"name": "model", "in": "path", "required": True, "schema": ref("Model")}]),
    "/api/chat": post("Answers a conversation; without messages, says that the model is there", OLLAMA, "OllamaChatRequest",
                      ref("OllamaChatAnswer"), "application/x-ndjson", more=[404]),
    "/api/generate": post("Answers a question; without one, says that the model is there", OLLAMA, "OllamaGenerateRequest",
                          ref("OllamaGenerateAnswer"), "application/x-ndjson", more=[404]),
    "/api/show": post("Tells of the model", OLLAMA, thing(["model"], model=TAG), ref("OllamaModel"), more=[404]),
    "/api/tags": get("Lists the model", OLLAMA, ref("OllamaTags")),
    "/api/ps": get("Lists the model as being in memory", OLLAMA, ref("OllamaRunning")),
    "/api/version": get("Says which version of Ollama's API this is", OLLAMA, answer(version=TEXT, lmmc=TEXT)),
    "/": get("The page", SERVER, TEXT, kind="text/html", is_open=True),
    "/health": get("Whether it answers", SERVER, answer(status={"enum": ["ok", "stopping"]}, answering=COUNT, waiting=COUNT), is_open=True),
    "/props": get("Tells of the program and of what requests mean that say nothing", SERVER,
                  thing(["model", "version", "context", "slots", "queue", "defaults", "program"], model=TEXT, version=TEXT, context=COUNT,
                        slots=COUNT, queue=COUNT, vision_tokens=COUNT, most_images=COUNT, most_body_bytes=COUNT, most_image_pixels=COUNT,
                        media_path=FLAG, defaults={"type": "object"}, program={"type": "object"})),
    "/tokenize": post("Makes tokens of a text", SERVER, {"anyOf": [
        thing(["content"], content=TEXT), thing(["prompt"], content={"type": "null"}, prompt=TEXT)]},
        answer(tokens=list_of(COUNT), count=COUNT), example={"content": "Hi"}),
    "/detokenize": post("Makes a text of tokens", SERVER, thing(["tokens"], tokens=list_of(COUNT)), answer(content=TEXT),
                        example={"tokens": [5, 6]}),
    "/metrics": get("Counts, in Prometheus's text format", SERVER, TEXT, kind="text/plain"),
    "/openapi.json": get("This description", SERVER, {"type": "object"}),
}


def document():
    return {"components": {"schemas": SCHEMAS, "responses": RESPONSES}, "paths": PATHS}


def text():
    """What follows the opening of `components.schemas` and a schema in it."""
    def compact(value):
        return json.dumps(value, separators=(",", ":"))

    return f',{compact(SCHEMAS)[1:]},"responses":{compact(RESPONSES)}}},"paths":{compact(PATHS)}}}\n'


def literal(data):
    lines, line = [], ""
    for character in data:
        word = {"\n": "\\n", '"': '\\"', "\\": "\\\\"}.get(character, character)
        assert 0x20 <= ord(character) < 0x7F or character == "\n", "the document is ASCII"
        if 4 + 2 + len(line) + len(word) + 1 > COLUMNS:
            lines.append(line)
            line = ""
        line += word
    return "\n".join(f'    "{line}"' for line in [*lines, line])


def c_source():
    return f"""// The description of the server's API, from inside of its schemas on. Written by Tools/make_openapi.py.
#include "openapi.h"

// clang-format off
const char lmmc_openapi_content[] =
{literal(text())};
"""


def routes():
    """The methods and paths of the server's table, but for those that it only refuses by name."""
    with open(os.path.join(FOLDER, "routes.c"), encoding="ascii") as f:
        table = f.read().split("lmmc_route table[] = {")[1].split("\n};")[0]
    rows = re.findall(r"\{\.methods = LMMC_(\w+),\s*\.path = \"([^\"]*)\",([^}]*)\}", table)
    return {(method.lower(), re.sub("^/v1/models/$", "/v1/models/{model}", path)) for method, path, rest in rows if ".missing" not in rest}


def check():
    described = {(method, path) for path, operations in PATHS.items() for method in operations}
    with open(OUTPUT, encoding="ascii") as f:
        if f.read() != c_source():
            return "Runtime/serve/formats/openapi_content.c is not the output of Tools/make_openapi.py"
    if described != routes():
        return f"Tools/make_openapi.py and Runtime/serve/routes.c do not have the same paths: {sorted(described ^ routes())}"
    return None


def main():
    if sys.argv[1:] == ["--print"]:
        print(json.dumps(document(), indent=2))
    elif sys.argv[1:] == ["--check"]:
        if wrong := check():
            print(f"error: {wrong}", file=sys.stderr)
            return 1
    else:
        with open(OUTPUT, "w", encoding="ascii", newline="") as f:
            f.write(c_source())
    return 0


if __name__ == "__main__":
    sys.exit(main())
