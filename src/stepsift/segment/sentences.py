"""Whether a terminator that white space follows ends a sentence: abbreviations, initials, ellipses, factorials."""

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ALWAYS = _words("""
    Dr Mr Mrs Ms Prof Rev Hon St Mt Gen Capt Lt Col Sgt Gov Sen Rep e.g E.g i.e I.e eg ie cf Cf vs Vs viz ca resp
    approx Approx wrt w.r.t s.t a.k.a Fig Figs fig figs Eq Eqs Eqn Eqns eq eqs eqn eqns Ref Refs Tab Thm Lem Cor Def
    Defn Prop
""")
"""Abbreviations after which a sentence goes on, whatever follows."""

BEFORE_NUMBER = _words("""
    No Nos no nos p pp Vol vol Ch ch Sec sec Art art Ex ex al Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec
""")
"""Abbreviations after which a sentence goes on when a number or a bracket follows."""

OPENERS = _words("""
    A Actually Add After Ah All Also Alternatively Although An And Another Answer Any Applying Are As Assume At
    Because Besides Both But By Calculate Can Check Choice Choose Compute Consequently Consider Correct Could Did
    Divide Do Does Each Either Even Every Finally Find First Firstly For From Given Good Great Has Have He Hence
    Here Hmm How However I If In Indeed Instead Is It Its Just Last Lastly Let Likewise Looking Maybe Moreover
    Multiply My Neither Next No None Not Note Nothing Notice Now Observe Of Oh Ok Okay On Once One Only Option
    Options Or Other Otherwise Our Perhaps Plugging Rearranging Recall Remember Right Same Second Secondly Set She
    Should Similarly Simplify Since So Solve Solving Some Sorry Specifically Starting Statement Step Still
    Substituting Subtract Such Suppose Sure Taking That The Their Then There Therefore These They Third This Those
    Though Thus To Try Under Unless Until Use Using Wait Was We Well Were What When Where Whereas Which While Who
    Why With Would Write Yes Yet You Your
""")
"""Words that open a sentence, so that the single letter or the acronym before them ended one."""

_CONTINUING = frozenset("=+/×·÷^<>≤≥≠≈→&,;:)]}%.?!…")
_BRACKETS = "([{\"'“‘*_~"
_LONGEST_WORD = 8
_WORD = re.compile(r"[^\W\d_]+")
_FORMULA = re.compile(r"\w{1,4}+(?: ?[=<>≤≥≈]|[\^(\[])|[^\W\d_]\d")


def ends_sentence(text: str, begin: int, at: int, following: int) -> bool:
    """Whether the terminators that begin at `at` end a sentence.

    `begin` is the first character of the sentence and `following` the first after the white space behind it.
    """
    mark, after, follows = text[at], text[at + 1], text[following]
    if follows in _CONTINUING:
        return False
    if mark == "…" or (mark == "." and after == "."):
        return not (follows.islower() or follows.isdigit())
    lone = after.isspace() and at > begin
    if mark == "." and lone and _is_abbreviated(text, begin, at, following):
        return False
    if follows.islower():
        set_apart = mark == "." and text[at - 1].isspace()
        return set_apart or (mark in ".?" and _FORMULA.match(text, following) is not None)
    factorial = mark == "!" and lone and (text[at - 1].isdigit() or text[at - 1] in "n)")
    return follows.isupper() if factorial else True


def _is_abbreviated(text: str, begin: int, at: int, following: int) -> bool:
    """Whether the full stop at `at` belongs to an abbreviation, an initial or an enumerator."""
    if not text[at - 1].isalpha():
        return False
    word = text[max(begin, at - _LONGEST_WORD) : at].rsplit(maxsplit=1)[-1].lstrip(_BRACKETS)
    if word in ALWAYS:
        return True
    if word in BEFORE_NUMBER:
        return text[following].isdigit() or text[following] in "(#"
    if len(word) == 1:
        return word.isupper() and _is_initial(text, begin, at - 1) and not _opens(text, following)
    if "." in word:
        return all(part.isalpha() and len(part) <= 2 for part in word.split(".")) and not _opens(text, following)
    return False


def _is_initial(text: str, begin: int, letter: int) -> bool:
    """Whether a single capital stands where a name's initial may: first, or after a word, an initial or a bracket."""
    if letter == begin or not text[letter - 1].isspace():
        return True
    before = text[letter - 2]
    return before.isalpha() or before in ".,"


def _opens(text: str, following: int) -> bool:
    """Whether what follows cannot be the rest of a name: no word, or a word that opens sentences."""
    word = _WORD.match(text, following)
    return word is None or word.group() in OPENERS
