"""What the tiers have for each request of an engine, and what its steps are to copy.

The engine's scheduler asks, for a request that waits, how much of it can be restored;
then either has blocks for it in this very step, or asks again later. Nothing stays
pinned for a request that did not get its blocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tiermem.serving.kv.cost import Choice
from tiermem.serving.kv.counters import NEAR, Blocks, TierName
from tiermem.serving.kv.keys import KeyChain, renewed
from tiermem.serving.kv.memory_tier import Block
from tiermem.serving.kv.steps import Load, Plan
from tiermem.serving.kv.store import KvStore, Staging

# A request whose blocks left memory again before it had its turn waits no third time.
_STAGINGS_MAX = 2
# Where nobody computes meanwhile, an engine would ask without end.
_IDLE_WAIT_S = 0.002


@dataclass(frozen=True, slots=True)
class Match:
    """How many blocks can be restored; None: ask again, they are on their way."""

    blocks: int | None
    is_background: bool = False


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A request's part in a step: tokens that it had before, and new ones.

    known: all of its tokens that are certain; block_ids: the engine's blocks for them.
    """

    request_id: str
    computed: int
    new: int
    known: Sequence[int]
    block_ids: Callable[[], Sequence[int]]


@dataclass(slots=True)
class _Session:
    salt: str
    chain: KeyChain
    saved: int = 0
    begin: int = 0
    pins: list[Block] = field(default_factory=list)
    staging: Staging | None = None
    staged_now: int = 0
    staged: dict[bytes, TierName] = field(default_factory=dict)
    stagings: int = 0
    missed: int = 0
    restored: Blocks = field(default_factory=dict)
    passed: Blocks = field(default_factory=dict)
    is_background: bool = False
    # What was chosen of what: asked again in every step, it is not chosen again.
    chosen_of: tuple[object, ...] = ()
    choice: Choice | None = None


class Sessions:
    """One thread, the scheduler's, uses it."""

    def __init__(self, store: KvStore, identity: bytes, *, always_restore: bool) -> None:
        self._store, self._identity = store, identity
        self._always_restore = always_restore
        self._sessions: dict[str, _Session] = {}
        self._matched: set[str] = set()
        self._loads: list[Load] = []
        # Those that the last step only decoded, if it did nothing else.
        self._decoding: set[str] = set()
        self._is_saving = True

    def match(
        self, request_id: str, salt: str, tokens: Sequence[int], computed: int, live: int
    ) -> Match:
        """What can be restored of a request behind its `computed` tokens; never its last token.

        live: requests that the engine has, this one included.
        """
        session = self._session(request_id, salt)
        self._unpin(session)
        keys = self._keys(session, tokens, computed)
        choice = self._bring_near(session, keys, live)
        if choice is None:
            return Match(None)
        session.pins = self._store.near.pin_prefix(keys[: choice.near_blocks])
        self._end_staging(session)
        self._matched.add(request_id)
        session.missed = len(keys) - len(session.pins)
        session.is_background = bool(self._decoding)
        return Match(len(session.pins), session.is_background and bool(session.pins))

    def begin(self, request_id: str, salt: str) -> None:
        """A request to which nothing is restored, and whose blocks are saved."""
        self._session(request_id, salt)

    def bring_near(
        self, request_id: str, salt: str, tokens: Sequence[int], computed: int, live: int
    ) -> int | None:
        """Stage what a `match` of the same would need; how many blocks it would find now."""
        session = self._session(request_id, salt)
        keys = self._keys(session, tokens, computed)
        choice = self._bring_near(session, keys, live)
        return None if choice is None else choice.near_blocks

    def admit(self, request_id: str, block_ids: Sequence[int], blocks: int) -> None:
        """The request has its blocks, `block_ids` from its first token on; `blocks` of those
        that matched are to be restored, 0 of them also where nothing is."""
        session = self._sessions.get(request_id)
        if session is None:
            return
        session.saved = 0
        if request_id in self._matched:
            self._count(session, blocks)
        pins, session.pins = session.pins, []
        self._matched.discard(request_id)
        self._store.near.unpin(pins[blocks:])
        if not blocks:
            return
        ids = tuple(block_ids[session.begin : session.begin + blocks])
        self._loads.append(Load(request_id, ids, tuple(pins[:blocks]), session.is_background))

    def sources(self, request_id: str) -> Blocks:
        """By the tiers that had them, the blocks that the request was last admitted with."""
        session = self._sessions.get(request_id)
        return dict(session.restored) if session else {}

    def plan(self, scheduled: Iterable[Scheduled]) -> Plan:
        """What the step that was just put together copies."""
        for request_id in self._matched:
            self._unpin(self._sessions[request_id])
        self._matched.clear()
        plan = Plan(loads=self._loads)
        self._loads = []
        parts = list(scheduled)
        for part in parts:
            self._plan_saves(plan, part)
        is_decoding = all(part.new == 1 for part in parts)
        self._decoding = {part.request_id for part in parts} if is_decoding else set()
        if len(parts) == 1 and parts[0].new >= self._store.block_tokens:
            plan.prefill = (parts[0].computed + parts[0].new, parts[0].new)
        return plan

    def spoilt(self) -> None:
        """Blocks were restored that are bad: what was made of them is to be saved again."""
        for session in self._sessions.values():
            session.saved = 0

    def renew(self, *, is_empty: bool = True) -> None:
        """KV is not what it was (other weights): from now on by keys that nobody has seen.

        So nobody finds there what is made from now on by what the engine was, nor this engine
        what others had made. is_empty: the engine holds no KV of before, neither of requests
        nor in a cache of its own; where it does, nothing is saved until it is renewed without.
        Between steps only.
        """
        self._identity = renewed(self._identity)
        self._is_saving = is_empty
        for session in self._sessions.values():
            self._end_staging(session)
            session.chain, session.saved = self._chain(session.salt), 0

    def finish(self, request_id: str) -> None:
        """The request is over."""
        session = self._sessions.pop(request_id, None)
        self._matched.discard(request_id)
        self._decoding.discard(request_id)
        if session is not None:
            self._unpin(session)
            self._end_staging(session)

    def _session(self, request_id: str, salt: str) -> _Session:
        session = self._sessions.get(request_id)
        if session is None:
            session = self._sessions[request_id] = _Session(salt, self._chain(salt))
        return session

    def _keys(self, session: _Session, tokens: Sequence[int], computed: int) -> list[bytes]:
        """Of what may be restored behind `computed` tokens: all full blocks but the last
        token's."""
        size = self._store.block_tokens
        session.begin = computed // size
        return session.chain.extend(tokens)[session.begin : (len(tokens) - 1) // size]

    def _bring_near(self, session: _Session, keys: Sequence[bytes], live: int) -> Choice | None:
        """What to restore; None while some of it is being staged."""
        # Where nobody else computes, asking again at once would only be a spin.
        idle_s = _IDLE_WAIT_S if live == 1 else 0
        if session.staging is not None and not session.staging.wait(idle_s):
            return None
        choice = self._choose(session, keys, live)
        if not choice.staged_blocks or session.stagings >= _STAGINGS_MAX:
            return choice
        # While others have all the room, it waits for them.
        if room := self._staging_room(session):
            self._stage(session, keys[: choice.near_blocks + min(room, choice.staged_blocks)])
        return None

    def _chain(self, salt: str) -> KeyChain:
        return KeyChain(self._identity, self._store.block_tokens, salt)

    def _choose(self, session: _Session, keys: Sequence[bytes], live: int) -> Choice:
        near, behind = self._store.look_up(keys)
        if self._always_restore:
            choice = Choice(sum(near.values()), sum(behind.values()))
        else:
            choice = self._worth(session, near, behind, live)
        if session.staging is None:
            passed = Counter({} if choice.staged_blocks else behind)
            passed.update({} if choice.near_blocks else near)
            session.passed = dict(passed)
        return choice

    def _worth(self, session: _Session, near: Blocks, behind: Blocks, live: int) -> Choice:
        # Whichever of near memory has them, for they move.
        far = [item for item in behind.items() if item[0] not in NEAR]
        counts = sum(near.values()), sum(behind.values())
        chosen_of = (session.begin, *counts, *far, live > 1)
        if session.choice is None or session.chosen_of != chosen_of:
            session.choice = self._store.cost.choose(
                session.begin, near, behind, is_hidden=live > 1
            )
            session.chosen_of = chosen_of
        return session.choice

    def _staging_room(self, session: _Session) -> int:
        taken = sum(
            one.staged_now for one in self._sessions.values() if one.staging and one is not session
        )
        return max(0, self._store.staging_max - taken)

    def _stage(self, session: _Session, keys: Sequence[bytes]) -> None:
        self._end_staging(session)
        session.stagings += 1
        session.staging = self._store.stage(keys)
        session.staged_now = len(session.staging.sources)
        session.staged.update(session.staging.sources)

    def _end_staging(self, session: _Session) -> None:
        if session.staging is not None:
            self._store.release(session.staging)
            session.staging = None

    def _unpin(self, session: _Session) -> None:
        pins, session.pins = session.pins, []
        self._store.near.unpin(pins)

    def _count(self, session: _Session, blocks: int) -> None:
        counters = self._store.counters
        tiers = (session.staged.get(block.key, block.tier) for block in session.pins[:blocks])
        session.restored = dict(Counter(tiers))
        for tier, count in session.restored.items():
            counters.add(tier, "hits", count)
        for tier, count in session.passed.items():
            counters.add(tier, "recomputed", count)
        passed = sum(session.passed.values())
        counters.add("memory", "misses", max(0, session.missed - passed))
        session.passed, session.staged, session.stagings = {}, {}, 0
        session.choice = None

    def _plan_saves(self, plan: Plan, part: Scheduled) -> None:
        session = self._sessions.get(part.request_id)
        if session is None or not self._is_saving:
            return
        size = self._store.block_tokens
        full = min(part.computed + part.new, len(part.known)) // size
        if full <= session.saved:
            return
        keys = session.chain.extend(part.known)
        wanted = [
            (depth, block)
            for depth in range(session.saved, full)
            if (block := self._reserve(keys[depth], depth, part)) is not None
        ]
        session.saved = full
        if wanted:
            ids = part.block_ids()
            plan.save_ids.extend(ids[depth] for depth, _ in wanted)
            plan.save_blocks.extend(block for _, block in wanted)

    def _reserve(self, key: bytes, depth: int, part: Scheduled) -> Block | None:
        is_computed = (depth + 1) * self._store.block_tokens > part.computed
        return self._store.near.reserve(key, depth, is_computed=is_computed)
