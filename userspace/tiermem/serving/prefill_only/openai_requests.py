"""What OpenAI's API is asked for, as far as it is served: one token of each prompt.

What is not served is refused by name, with what is allowed; nothing is taken and ignored that
would change the answer.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError, model_validator

from tiermem.serving.prefill_only.sampling import Sampling

LOGPROBS_MAX = 20
Zero = Annotated[float, Field(ge=0, le=0)]
TokenIds = Annotated[list[StrictInt], Field(min_length=1)]
Bias = Annotated[float, Field(ge=-100, le=100)]


class BadRequestError(Exception):
    """`param` of a request is wrong: what is allowed."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class OneToken(BaseModel):
    """What both kinds of requests have."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: StrictInt | None = Field(default=None, ge=0, lt=1 << 63)
    logit_bias: dict[int, Bias] | None = None
    allowed_token_ids: TokenIds | None = None
    cache_salt: str = ""
    user: str | None = None
    n: Literal[1] | None = 1
    stream: Literal[False] | None = False
    stop: None = None
    presence_penalty: Zero | None = 0
    frequency_penalty: Zero | None = 0

    def sampling(self, vocab: int) -> Sampling:
        """BadRequestError for tokens that the model has not."""
        named = {
            "logit_bias": list(self.logit_bias or ()),
            "allowed_token_ids": self.allowed_token_ids or [],
        }
        for param, tokens in named.items():
            for token in tokens:
                if not 0 <= token < vocab:
                    raise BadRequestError(
                        f"{param}: token {token}: the model has those from 0 to {vocab - 1}", param
                    )
        return Sampling(
            self.temperature,
            self.top_p,
            self.seed,
            self.logit_bias or {},
            self.allowed_token_ids,
        )


class CompletionRequest(OneToken):
    """POST /v1/completions: a text, tokens, or a list of either."""

    prompt: str | TokenIds | list[str] | list[TokenIds]
    max_tokens: Literal[1]
    logprobs: Annotated[StrictInt, Field(ge=0, le=LOGPROBS_MAX)] | None = None
    echo: Literal[False] | None = False
    best_of: Literal[1] | None = 1
    suffix: None = None

    def prompts(self) -> list[str | list[int]]:
        """At least one."""
        prompt: Any = self.prompt
        if isinstance(prompt, str) or (prompt and isinstance(prompt[0], int)):
            return [prompt]
        if not prompt:
            raise BadRequestError("prompt: is an empty list; at least one is needed", "prompt")
        return list(prompt)


class TextPart(BaseModel):
    """A piece of a message; pictures and sound are not served."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """Of a chat."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["system", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None

    def plain(self) -> dict[str, str]:
        """As chat templates take it."""
        content = self.content
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        return {"role": self.role, "content": text}


class ChatRequest(OneToken):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Literal[1] | None = None
    max_completion_tokens: Literal[1] | None = None
    logprobs: bool | None = False
    top_logprobs: Annotated[StrictInt, Field(ge=0, le=LOGPROBS_MAX)] | None = None

    @model_validator(mode="after")
    def _say_one_token(self) -> ChatRequest:
        if self.max_tokens is None and self.max_completion_tokens is None:
            raise ValueError("max_completion_tokens (or max_tokens) must be 1")
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        return self


RequestT = TypeVar("RequestT", bound=OneToken)


def read_request(body: object, kind: type[RequestT]) -> RequestT:
    """BadRequestError of one line that names the parameter and what is allowed."""
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object")
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = [str(part) for part in first["loc"]]
        param = where[0] if where else None
        if first["type"] == "extra_forbidden":
            allowed = ", ".join(sorted(kind.model_fields))
            message = f"{'.'.join(where)}: is not served; parameters are {allowed}"
        elif first["type"] == "value_error":
            message = first["msg"].removeprefix("Value error, ")
        else:
            message = f"{'.'.join(where)}: {_lower(first['msg'])}"
        raise BadRequestError(message[:500], param) from None


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
