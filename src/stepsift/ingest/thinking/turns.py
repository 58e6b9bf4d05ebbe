"""Tokens that open and end a model's turn, off a response.

Only what stands at the very beginning or end is taken, and nothing that the text only speaks of: "the token is
<|im_end|>" keeps its last word.
"""

import re

from stepsift.ingest.thinking.families import ENDS, STARTS

_TAIL_CHARS = 120
"""Longer than any token that ends a turn, with white space."""


def _any(tokens: tuple[str, ...]) -> str:
    return "|".join(re.escape(token) for token in sorted(tokens, key=len, reverse=True))


_START = re.compile(rf"\s*(?:{_any(STARTS)})\s*", re.IGNORECASE)
_GENERIC = r"<[|｜](?![^<>]{0,40}th(?:ink|ought))[\w▁]{0,30}(?:end|eos|eot|eod|stop)[\w▁]{0,30}[|｜]>"
"""A token of a family that is not in the table: one that calls itself an end, but none that ends the reasoning."""
_END = re.compile(rf"({_any(ENDS)}|{_GENERIC})\s{{0,40}}\Z", re.IGNORECASE)
_END_WORD = re.compile("end", re.IGNORECASE)
_KNOWN = {token.lower() for token in ENDS}
_ENDS_ALONE = re.compile(rf"(?:(?>{_any(ENDS)}|{_GENERIC})|\s)++", re.IGNORECASE)
"""Without a way back: a token may be of the table and generic, so a text of n of them would be tried in 2^n ways."""
_USERS = ("<|im_start|>user", "<|start_header_id|>user", "<start_of_turn>user", "<｜User｜>", "<|turn>user")
_INST = "[INST]"
_ANSWERS = ("<|im_start|>", "<|start_header_id|>", "<start_of_turn>", "<｜Assistant｜>", "<|turn>")
_USERS_TURN = re.compile(
    rf"(?:<\|(?:im_end|eot_id|endoftext)\|>|<end_of_turn>|<｜end▁of▁sentence｜>|<turn\|>)\s{{0,9}}(?:{_any(_USERS)})"
    r"|</s>\s{0,9}(?:<s>\s{0,9})?\[INST\]"
)
_FIRST, _LAST = ({token[place].lower() for token in tokens} for place, tokens in ((0, STARTS), (-1, (*ENDS, ">"))))
"""Characters that a token which opens, or ends, a turn begins, or ends, with: most texts have neither."""
_NAMED = re.compile(
    r"\b(?:is|are|be|tokens?|markers?|tags?|uses?|with|by|and|or|the|an?|emits?|called|named|after|before)\Z",
    re.IGNORECASE,
)


def bare(response: str) -> str:
    """A response without white space around it and without tokens that open or end its turn."""
    response = response.strip()
    if response[:1].lower() not in _FIRST and response[-1:].lower() not in _LAST:
        return response
    start, end = 0, len(response)
    struck_out = _strikes_out(response)
    while (match := _START.match(response, start, end)) and not (struck_out and match[0].strip() == "<s>"):
        start = match.end()
    last_open = response.rfind("<s>")
    ends_nothing_within: set[str] = set(_KNOWN)
    while match := _END.search(response, max(start, end - _TAIL_CHARS), end):
        before = response[max(start, match.start() - _TAIL_CHARS) : match.start()]
        token = match[1].lower()
        if (match[1] == "</s>" and last_open >= start) or _is_named(before):
            break
        if token not in ends_nothing_within:
            if _began_within(response, match[1]):
                break
            ends_nothing_within.add(token)
        end = match.start()
    return response[start:end].strip()


def first_turn(response: str) -> str:
    """A response up to where its model, which was not stopped, went on with the user's next turn.

    A turn that has an end is the response's own if none began in it, as examples of a chat template do.
    """
    if not any(token in response for token in (*_USERS, _INST)):
        return response
    following = _USERS_TURN.search(response)
    if following is None:
        return response
    start = _START.match(response)
    own = response[start.end() if start else 0 : following.start()]
    shown = (*_USERS, *_ANSWERS, _INST) if following[0].endswith(_INST) else (*_USERS, *_ANSWERS)
    is_example = own.count("```") % 2 == 1 or any(token in own for token in shown)
    return response if is_example else response[: following.start()]


def _strikes_out(response: str) -> bool:
    """Whether `<s>` begins a text that is struck out, as in HTML, and not a sequence: its end is within the text."""
    close = response.find("</s>") if "<s>" in response else -1
    return close >= 0 and _ENDS_ALONE.fullmatch(response, close) is None


def _began_within(response: str, token: str) -> bool:
    """Whether what a token calls the end of began in the response: the box of `<|begin_of_box|>7<|end_of_box|>`."""
    return any(_END_WORD.sub(word, token) in response for word in ("begin", "start"))


def _is_named(before: str) -> bool:
    """Whether a text goes on with the token that follows it: "the turn ends with <|im_end|>"."""
    return before[-1:].isspace() and _NAMED.search(before.rstrip()) is not None
