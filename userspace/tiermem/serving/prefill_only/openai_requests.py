"""What OpenAI's API is asked for, as far as it is served: one token of each prompt.

What is not served is refused by name, with what is allowed; nothing is taken and ignored that
would change the answer. A list is refused at the first wrong element: a body of a mebibyte has
room for hundreds of thousands.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictInt,
    Tag,
    ValidationError,
    model_validator,
)

from tiermem.serving.prefill_only.sampling import Sampling

LOGPROBS_MAX = 20
BIASES_MAX = 1024


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("has half of a surrogate pair: must be Unicode text") from None
    return text


def _few(biases: object) -> object:
    if isinstance(biases, dict) and len(biases) > BIASES_MAX:
        raise ValueError(f"{len(biases)} tokens: at most {BIASES_MAX} are allowed")
    return biases


def _kind_of_prompt(prompt: object) -> str | None:
    if isinstance(prompt, str):
        return "text"
    if not isinstance(prompt, list):
        return None
    first = prompt[0] if prompt else None
    return "texts" if isinstance(first, str) else "inputs" if isinstance(first, list) else "tokens"


Text = Annotated[str, AfterValidator(_whole)]
Zero = Annotated[float, Field(ge=0, le=0)]
TokenIds = Annotated[list[StrictInt], Field(min_length=1, fail_fast=True)]
Bias = Annotated[float, Field(ge=-100, le=100)]
Biases = Annotated[dict[int, Bias], BeforeValidator(_few)]
Prompt = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[TokenIds, Tag("tokens")]
    | Annotated[list[Text], Field(fail_fast=True), Tag("texts")]
    | Annotated[list[TokenIds], Field(fail_fast=True), Tag("inputs")],
    Discriminator(
        _kind_of_prompt,
        custom_error_type="prompt",
        custom_error_message="must be a text, a list of tokens, or a list of either",
    ),
]


class BadRequestError(Exception):
    """`param` of a request is wrong: what is allowed."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class OneToken(BaseModel):
    """What both kinds of requests have."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: Text
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: StrictInt | None = Field(default=None, ge=0, lt=1 << 63)
    logit_bias: Biases | None = None
    allowed_token_ids: TokenIds | None = None
    cache_salt: Text = ""
    user: Text | None = None
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

    prompt: Prompt
    max_tokens: Literal[1]
    logprobs: Annotated[StrictInt, Field(ge=0, le=LOGPROBS_MAX)] | None = None
    echo: Literal[False] | None = False
    best_of: Literal[1] | None = 1
    suffix: None = None

    def prompts(self) -> list[str | list[int]]:
        """At least one."""
        prompt: Any = self.prompt
        is_one = isinstance(prompt, str) or isinstance(prompt[0], int)
        return [prompt] if is_one else list(prompt)


class TextPart(BaseModel):
    """A piece of a message; pictures and sound are not served."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["text"]
    text: Text


class Message(BaseModel):
    """Of a chat."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["system", "user", "assistant"]
    content: Annotated[
        Annotated[Text, Tag("text")]
        | Annotated[list[TextPart], Field(fail_fast=True), Tag("parts")],
        Discriminator(lambda content: "text" if isinstance(content, str) else "parts"),
    ]
    name: Text | None = None

    def plain(self) -> dict[str, str]:
        """As chat templates take it."""
        content = self.content
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        return {"role": self.role, "content": text}


class ChatRequest(OneToken):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True)]
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
    unknown = next((str(name) for name in body if name not in kind.model_fields), None)
    if unknown is not None:
        allowed = ", ".join(sorted(kind.model_fields))
        raise BadRequestError(
            f"{unknown[:80]!r}: is not served; parameters are {allowed}", unknown[:80]
        )
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = [str(part) for part in first["loc"]]
        said = first["msg"].removeprefix("Value error, ")
        message = f"{'.'.join(where)}: {said[:1].lower()}{said[1:]}" if where else said
        raise BadRequestError(message[:500], where[0] if where else None) from None
