"""OpenAI's API over an executor: /v1/completions, /v1/chat/completions, /v1/models, /health,
/metrics; one token of each prompt.

A client that goes away takes its prompts out of the queue. Where the queue is full the answer
is 429, while the server ends 503; what is not served is refused with 400 and what is allowed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from tiermem.serving.prefill_only import openai_answers as answers
from tiermem.serving.prefill_only.engine_metrics import EngineMetrics
from tiermem.serving.prefill_only.executor import Executor, InputError, Prefilled
from tiermem.serving.prefill_only.openai_requests import (
    BadRequestError,
    ChatRequest,
    CompletionRequest,
    OneToken,
    RequestT,
    read_request,
)
from tiermem.serving.prefill_only.prefill_queue import (
    PrefillQueue,
    QueueClosedError,
    QueueFullError,
)
from tiermem.serving.prefill_only.texts import Texts

_LOG = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# Of a body: so many bytes for each token of the longest input, and this at least.
_TOKEN_BYTES, _BODY_BYTES = 64, 1 << 20


class Server:
    """The API of one model, called `name`."""

    def __init__(
        self, name: str, texts: Texts, executor: Executor, queue: PrefillQueue[Prefilled]
    ) -> None:
        self._name, self._texts, self._executor, self._queue = name, texts, executor, queue
        self._metrics = EngineMetrics(executor, queue)
        self._began_s = int(time.time())

    def app(self) -> web.Application:
        """For aiohttp's runner, with handler_cancellation=True."""
        longest = self._executor.budget.max_input_tokens
        size = max(_BODY_BYTES, _TOKEN_BYTES * longest)
        app = web.Application(client_max_size=size, middlewares=[self._in_openais_format])
        app.router.add_post("/v1/completions", self._complete)
        app.router.add_post("/v1/chat/completions", self._complete_chat)
        app.router.add_get("/v1/models", self._list_models)
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._show_metrics)
        return app

    async def _complete(self, request: web.Request) -> web.Response:
        asked = await self._read(request, CompletionRequest)
        prompts = asked.prompts()
        if len(prompts) > self._queue.limit:
            message = f"prompt: {len(prompts)} of them: at most {self._queue.limit} may wait"
            raise BadRequestError(message, "prompt")
        encoded = [
            one if isinstance(one, list) else await asyncio.to_thread(self._texts.encode, one)
            for one in prompts
        ]
        found = await self._prefill(encoded, asked.cache_salt)
        chosen = await self._choose(found, asked, asked.logprobs or 0)
        body = answers.completion(self._name, found, chosen, asked.logprobs is not None)
        return web.json_response(body)

    async def _complete_chat(self, request: web.Request) -> web.Response:
        asked = await self._read(request, ChatRequest)
        if not self._texts.has_chat:
            raise BadRequestError("messages: this model has no chat template; use /v1/completions")
        messages = [one.plain() for one in asked.messages]
        try:
            tokens = await asyncio.to_thread(self._texts.encode_chat, messages)
        except ValueError as error:
            raise BadRequestError(f"messages: {error}", "messages") from None
        (found,) = await self._prefill([tokens], asked.cache_salt)
        (chosen,) = await self._choose([found], asked, asked.top_logprobs or 0)
        body = answers.chat_completion(self._name, found, chosen, bool(asked.logprobs))
        return web.json_response(body)

    async def _list_models(self, _request: web.Request) -> web.Response:
        model = {
            "id": self._name,
            "object": "model",
            "created": self._began_s,
            "owned_by": "tiermem",
            "max_model_len": self._executor.budget.max_input_tokens,
        }
        return web.json_response({"object": "list", "data": [model]})

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "waiting": len(self._queue)})

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        text, kind = self._metrics.render()
        return web.Response(body=text, headers={"Content-Type": kind})

    async def _read(self, request: web.Request, kind: type[RequestT]) -> RequestT:
        # JSON is UTF-8, whatever charset a client names: some take minutes to decode.
        asked = await asyncio.to_thread(_parse, await request.read(), kind)
        if asked.model != self._name:
            raise web.HTTPNotFound(text=f"model {asked.model!r}: served is {self._name!r}")
        asked.sampling(self._executor.dimensions.vocab)
        return asked

    async def _prefill(self, prompts: Sequence[list[int]], salt: str) -> list[Prefilled]:
        """Of each prompt. All are in the queue, or none."""
        began_s = time.monotonic()
        for prompt in prompts:
            self._executor.check(prompt)

        def with_keys() -> list[tuple[list[int], Sequence[bytes]]]:
            return [(prompt, self._executor.keys(prompt, salt)) for prompt in prompts]

        inputs = await asyncio.to_thread(with_keys)
        waiting = [asyncio.wrap_future(one) for one in self._queue.submit_all(inputs)]
        try:
            found = await asyncio.gather(*waiting)
        except BaseException:
            for one in waiting:
                one.cancel()
            raise
        for each in found:
            self._metrics.answered(each, time.monotonic() - began_s)
        return list(found)

    async def _choose(
        self, found: Sequence[Prefilled], asked: OneToken, tops: int
    ) -> list[answers.Chosen]:
        sampling = asked.sampling(self._executor.dimensions.vocab)

        def choose_all() -> list[answers.Chosen]:
            texts = self._texts
            return [answers.choose(one, sampling, tops, texts.decode, texts.ends) for one in found]

        return await asyncio.to_thread(choose_all)

    @web.middleware
    async def _in_openais_format(self, request: web.Request, handler: Handler) -> Any:
        """Whatever goes wrong becomes an error of OpenAI's; clients that left are counted."""
        try:
            return await handler(request)
        except asyncio.CancelledError:
            self._metrics.ended("dropped")
            raise
        except web.HTTPException as error:
            allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
            message = error.text or error.reason
            return self._error(error.status, message, "invalid_request_error", headers=allowed)
        except (BadRequestError, InputError) as error:
            param = getattr(error, "param", "prompt")
            return self._error(400, str(error), "invalid_request_error", param)
        except (QueueFullError, QueueClosedError) as error:
            is_full = isinstance(error, QueueFullError)
            kind = "rate_limit_error" if is_full else "server_error"
            return self._error(429 if is_full else 503, str(error), kind)
        except Exception:
            _LOG.exception("%s %s", request.method, request.path)
            return self._error(500, "the request failed; the server's log says why", "server_error")

    def _error(
        self,
        status: int,
        message: str,
        kind: str,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> web.Response:
        outcome = {429: "full", 500: "failed", 503: "dropped"}.get(status, "refused")
        self._metrics.ended(outcome)
        body = answers.error(message, kind, param)
        return web.json_response(body, status=status, headers=headers)


def _parse(data: bytes, kind: type[RequestT]) -> RequestT:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise BadRequestError("the body is not JSON") from None
    return read_request(body, kind)
