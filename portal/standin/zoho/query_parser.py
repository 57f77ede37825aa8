"""COQL: text to a parsed query. The grammar is the part of COQL that a select without aggregates needs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from portal.standin.messages import Refusal
from portal.standin.zoho.errors import not_built, refuse

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>'(?:[^']|'')*')
      | (?P<number>-?\d+(?:\.\d+)?(?![\w.]))
      | (?P<name>[$A-Za-z_][\w$]*(?:\.[A-Za-z_$][\w$]*)*(?:\#\d+)?)
      | (?P<sign><=|>=|!=|<>|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE,
)
_SIGNS = {"=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    position: int

    @property
    def word(self) -> str:
        """A keyword is a bare name in any case."""
        return self.text.lower() if self.kind == "name" else ""


@dataclass(frozen=True)
class Term:
    """`path operator values`, the values still as text."""

    path: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Chain:
    operator: str
    terms: tuple[Expression, ...]


Expression = Term | Chain


@dataclass(frozen=True)
class Query:
    columns: tuple[str, ...]
    module: str
    cvid: str | None
    where: Expression
    order_by: tuple[tuple[str, bool], ...]
    """Path and whether it descends."""
    limit: int
    offset: int


def tokens_of(text: str) -> list[Token]:
    tokens, position = [], 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if found is None:
            raise syntax_error(text[position:].strip()[:20], position)
        kind = str(found.lastgroup)
        tokens.append(Token(kind, found[kind], found.start(kind)))
        position = found.end()
    return tokens


def syntax_error(near: str, position: int) -> Refusal:
    return refuse(400, "SYNTAX_ERROR", "error occured while parsing the query", near=near, line=1, column=position + 1)


class Parser:
    def __init__(self, text: str) -> None:
        self._tokens = tokens_of(text)
        self._end = Token("end", "", len(text))
        self._next = 0

    def parse(self) -> Query:
        self._expect("select")
        columns = self._columns()
        self._expect("from")
        module, _, cvid = self._name().partition("#")
        if self._word() != "where":
            raise refuse(400, "SYNTAX_ERROR", "missing clause", clause="where")
        self._advance()
        where = self._either()
        order_by = self._order_by()
        limit, offset = self._limit()
        if self._token() is not self._end:
            raise self._error()
        return Query(columns, module, cvid or None, where, order_by, limit, offset)

    # Tokens

    def _token(self) -> Token:
        return self._tokens[self._next] if self._next < len(self._tokens) else self._end

    def _word(self) -> str:
        return self._token().word

    def _advance(self) -> Token:
        token = self._token()
        self._next += 1
        return token

    def _error(self) -> Refusal:
        token = self._token()
        return syntax_error(token.text or "end of query", token.position)

    def _expect(self, text: str) -> None:
        token = self._token()
        if token.word != text and not (token.kind == "sign" and token.text == text):
            raise self._error()
        self._advance()

    def _is_sign(self, text: str) -> bool:
        token = self._token()
        return token.kind == "sign" and token.text == text

    def _name(self) -> str:
        if self._token().kind != "name":
            raise self._error()
        return self._advance().text

    # Clauses

    def _columns(self) -> tuple[str, ...]:
        columns = [self._column()]
        while self._is_sign(","):
            self._advance()
            columns.append(self._column())
        return tuple(dict.fromkeys(columns))

    def _column(self) -> str:
        name = self._name()
        if self._is_sign("("):
            raise not_built(f"the COQL function {name}")
        if self._word() == "as":
            raise not_built("COQL aliases")
        return name

    def _either(self) -> Expression:
        terms = [self._both()]
        while self._word() == "or":
            self._advance()
            terms.append(self._both())
        return terms[0] if len(terms) == 1 else Chain("or", tuple(terms))

    def _both(self) -> Expression:
        terms = [self._condition()]
        while self._word() == "and":
            self._advance()
            terms.append(self._condition())
        return terms[0] if len(terms) == 1 else Chain("and", tuple(terms))

    def _condition(self) -> Expression:
        if self._is_sign("("):
            self._advance()
            inside = self._either()
            self._expect(")")
            return inside
        path = self._name()
        token = self._token()
        if token.kind == "sign" and token.text in _SIGNS:
            self._advance()
            return Term(path, _SIGNS[token.text], (self._literal(),))
        if token.word == "is":
            return self._null(path)
        negated = token.word == "not"
        if negated:
            self._advance()
        return self._worded(path, "not " if negated else "")

    def _null(self, path: str) -> Term:
        self._advance()
        negated = self._word() == "not"
        if negated:
            self._advance()
        self._expect("null")
        return Term(path, "is not null" if negated else "is null", ())

    def _worded(self, path: str, prefix: str) -> Term:
        word = self._word()
        if word == "in":
            self._advance()
            return Term(path, f"{prefix}in", self._list())
        if word == "like":
            self._advance()
            return Term(path, f"{prefix}like", (self._literal(),))
        if word == "between":
            self._advance()
            low = self._literal()
            self._expect("and")
            return Term(path, f"{prefix}between", (low, self._literal()))
        raise self._error()

    def _list(self) -> tuple[str, ...]:
        self._expect("(")
        values = [self._literal()]
        while self._is_sign(","):
            self._advance()
            values.append(self._literal())
        self._expect(")")
        return tuple(values)

    def _literal(self) -> str:
        token = self._token()
        if token.kind == "string":
            self._advance()
            return token.text[1:-1].replace("''", "'")
        if token.kind == "number" or token.word in ("true", "false"):
            self._advance()
            return token.text
        raise self._error()

    def _order_by(self) -> tuple[tuple[str, bool], ...]:
        if self._word() == "group":
            raise not_built("COQL group by")
        if self._word() != "order":
            return ()
        self._advance()
        self._expect("by")
        order = [self._ordering()]
        while self._is_sign(","):
            self._advance()
            order.append(self._ordering())
        return tuple(order)

    def _ordering(self) -> tuple[str, bool]:
        path, word = self._name(), self._word()
        if word in ("asc", "desc"):
            self._advance()
        return path, word == "desc"

    def _limit(self) -> tuple[int, int]:
        """`limit n`, `limit n offset m` and `limit m, n`."""
        if self._word() != "limit":
            return 200, 0
        self._advance()
        first = self._whole()
        if self._is_sign(","):
            self._advance()
            return self._whole(), first
        if self._word() == "offset":
            self._advance()
            return first, self._whole()
        return first, 0

    def _whole(self) -> int:
        token = self._token()
        if token.kind != "number" or not token.text.isdigit():
            raise self._error()
        self._advance()
        return int(token.text)
