"""Which turns are understood without the turns before them."""

from archrouter.domain.conversation import Role
from data.records import Turn
from data.texts import words

_MIN_WORDS = 9
_CONNECTING_TEXT = """
actually again also alright and another anyway because but by can could do does he her his hm hmm how if in instead
is it its like makes no nope not now oh ok okay one or plus same she should so still that the then there these they
this those too wait well what why with would yeah yep yes you
"""
_CONNECTING = frozenset(_CONNECTING_TEXT.split())
"""First words after which a turn often leans on what was said before."""


def stands_alone(turn: Turn) -> bool:
    """Judge by length and first word whether a turn is understood wherever it is put.

    That is a user's turn of at least nine words that does not begin like a continuation. Crude on purpose: a turn that
    it holds back is only not used.
    """
    said = words(turn.text)
    return turn.role is Role.USER and len(said) >= _MIN_WORDS and said[0] not in _CONNECTING
