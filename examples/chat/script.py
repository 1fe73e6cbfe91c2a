"""What the users say: each has an errand of their own, and comes back to it turn after turn."""

from __future__ import annotations

from dataclasses import dataclass

_OPENINGS = (
    (
        "the night train",
        "I am planning a journey by train across the mountains in late autumn. We are three "
        "people, one of us is seventy-four and does not like stairs, and we carry a cello in a "
        "hard case. We leave from the coast on a Thursday evening and want to see the lake in "
        "the morning light. ",
    ),
    (
        "the old bakery",
        "I have taken over a bakery that was closed for two years. The oven is a brick one from "
        "the thirties, the flour comes from a mill nine kilometres away, and the town has about "
        "four thousand people. I would like to bake one bread that they talk about. ",
    ),
    (
        "the school garden",
        "At our school we want to turn the car park into a garden with the children. It is "
        "twenty by thirty metres, half of it is in the shade of a lime tree, and below the "
        "asphalt there is clay. The caretaker is for it, the director wants to see a plan. ",
    ),
    (
        "the radio play",
        "I write a radio play for four voices about a lighthouse whose lamp goes out in the "
        "night in which the last ferry is late. There is no narrator. Everything has to be "
        "heard: the wind, the stairs, the telephone that nobody picks up. ",
    ),
)
_DETAILS = (
    "I have to say how I think about it, so that you can help me. First comes what cannot be "
    "changed, then what I could do without, then what I only dream of. ",
    "My neighbour had a similar plan last year and gave it up after a month, because nobody had "
    "told her what it costs in hours. I keep a diary of the hours, and I will not do that. ",
    "There is some money, not much; what matters more is that people can join in on a Saturday "
    "without knowing anything before, and go home in the evening with something done. ",
    "I have drawn it on paper three times. On the first sheet everything is too large, on the "
    "second one everything is too neat, and the third is the one that I show to others. ",
)
_FOLLOWING = (
    "Thank you. Let me add what I forgot to say about {subject}. ",
    "I have thought about your answer, and talked with the others about {subject}. ",
    "We have begun, and it is not what I thought. This is how it stands with {subject}. ",
    "It is almost done. Before the last step I want to look at {subject} once more. ",
)
_QUESTIONS = (
    "What should I do first?",
    "What would you leave out?",
    "Who should I ask for help?",
    "What is most likely to go wrong?",
    "How do I know that it is good?",
)

USERS_MAX = len(_OPENINGS)


@dataclass(frozen=True)
class User:
    """number: from 0 on, below USERS_MAX."""

    number: int

    @property
    def subject(self) -> str:
        """In a word or two."""
        return _OPENINGS[self.number][0]

    def says(self, turn: int) -> str:
        """A paragraph and a question, the same in every run."""
        begin = (
            _OPENINGS[self.number][1]
            if turn == 0
            else _FOLLOWING[(turn - 1) % len(_FOLLOWING)].format(subject=self.subject)
        )
        many = len(_DETAILS) if turn == 0 else 2
        places = range(self.number + turn, self.number + turn + many)
        details = "".join(_DETAILS[place % len(_DETAILS)] for place in places)
        return begin + details + _QUESTIONS[(self.number + turn) % len(_QUESTIONS)]
