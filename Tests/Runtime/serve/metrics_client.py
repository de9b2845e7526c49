#!/usr/bin/env python3
"""What /metrics says, by Prometheus's own parser, before and behind requests: metrics_client.py ADDRESS"""
import json
import sys
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from served import PICTURE_TEXT, Checks

ADDRESS = sys.argv[1]


def read():
    with urllib.request.urlopen(ADDRESS + "/metrics") as reply:
        families = list(text_string_to_metric_families(reply.read().decode()))
    return families, {(s.name, *sorted(s.labels.items())): s.value for f in families for s in f.samples}


def ask(path, body):
    request = urllib.request.Request(ADDRESS + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        return json.load(error)


def main():
    c = Checks("metrics")
    families, before = read()
    names = [f.name for f in families]
    c.equal(len(names), len(set(names)), "names that stand once")
    c.check(all(f.documentation and f.type in ("counter", "gauge", "histogram") for f in families), "what each is")
    model = {"model": json.load(urllib.request.urlopen(ADDRESS + "/v1/models"))["data"][0]["id"]}
    said = ask("/v1/chat/completions", {**model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5})
    for _ in range(2):
        seen = ask("/api/chat", {**model, "messages": [{"role": "user", "content": "Hi", "images": [PICTURE_TEXT]}], "stream": False,
                                 "options": {"num_predict": 5}})
    ask("/v1/chat/completions", {"messages": []})
    _, after = read()

    def grown(name, **labels):
        matching = [k for k in after if k[0] == name and all((a, b) in k[1:] for a, b in labels.items())]
        return sum(after[k] - before.get(k, 0) for k in matching)

    tokens = said["usage"]["completion_tokens"] + 2 * seen["eval_count"]
    c.equal(grown("vllm:generation_tokens_total"), tokens, "tokens of answers")
    c.equal(grown("vllm:prompt_tokens_total"), said["usage"]["prompt_tokens"] + 2 * seen["prompt_eval_count"], "tokens of prompts")
    c.equal(grown("vllm:time_to_first_token_seconds_count"), 3, "first tokens")
    c.equal(grown("vllm:inter_token_latency_seconds_count"), tokens - 3, "tokens behind them")
    c.equal(grown("vllm:request_success_total"), 3, "answers")
    c.equal(grown("vllm:e2e_request_latency_seconds_count"), 3, "answers' times")
    c.equal(grown("gen_ai_server_request_duration_seconds_count", gen_ai_operation_name="chat"), 3, "times by OpenTelemetry's name")
    c.equal(grown("http_requests_total", handler="/v1/chat/completions", status="200"), 1, "requests that were answered")
    c.equal(grown("http_requests_total", handler="/v1/chat/completions", status="400"), 1, "requests that were refused")
    c.equal(grown("http_requests_total", handler="/v1/models", status="200"), 1, "requests that are answered at once")
    c.check(grown("lmmc_vision_tokens_total") > 0, "tokens of pictures")
    c.equal(grown("lmmc_image_cache_misses_total"), 1, "pictures that went through the tower")
    c.equal(grown("lmmc_image_cache_hits_total"), 1, "pictures that did not")
    c.check(grown("vllm:prefix_cache_hits_total") > 0, "tokens that were shared")
    c.check(after[("process_resident_memory_bytes",)] > 1e6, "memory")
    c.end()


if __name__ == "__main__":
    main()
