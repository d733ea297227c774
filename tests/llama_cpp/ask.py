"""Run by llama.cpp's own environment: how it splits texts, and which tokens it finds most probable after prompts.

Reads `{"file", "texts", "prompts"}` from standard input, prompts as token ids; writes `{"tokens", "probable"}`: of each
text its tokens, and of each prompt the five most probable next tokens with the logarithms of their probabilities.
"""

import json
import sys
import urllib.request

import xllamacpp  # type: ignore[import-not-found, unused-ignore]

MOST_PROBABLE = 5


def main() -> None:
    asked = json.load(sys.stdin)
    params = xllamacpp.CommonParams()
    params.model.path = asked["file"]
    params.n_ctx, params.n_parallel, params.n_gpu_layers = 1024, 1, 0
    params.warmup = False
    params.hostnames, params.port = ["127.0.0.1"], 0
    server = xllamacpp.Server(params)

    def post(path: str, body: object) -> dict[str, object]:
        request = urllib.request.Request(
            f"{server.listening_address}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: dict[str, object] = json.load(response)
            return answer

    tokens = [post("/tokenize", {"content": text, "add_special": False})["tokens"] for text in asked["texts"]]
    probable = []
    for prompt in asked["prompts"]:
        body = {"prompt": prompt, "n_predict": 1, "n_probs": MOST_PROBABLE, "temperature": 0, "cache_prompt": False}
        (position,) = post("/completion", body)["completion_probabilities"]  # type: ignore[misc]
        probable.append([[each["id"], each["logprob"]] for each in position["top_logprobs"]])  # type: ignore[index]
    json.dump({"tokens": tokens, "probable": probable}, sys.stdout)


if __name__ == "__main__":
    main()
