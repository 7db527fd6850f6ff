"""Random HogQL texts: whole queries from a grammar of texts, and mutations of given ones.

Everything is drawn from one `random.Random`, so a seed gives the same texts again. The grammar
here is written from the language reference, independently of both parsers.
"""

import re

NAMES = ["a", "b", "c", "x", "y", "event", "timestamp", "distinct_id", "$session_id", "properties"]
TABLES = ["events", "persons", "t", "u", "db.tbl", "numbers(10)", "`odd name`", '"quoted"', "key"]
# Words of the grammar that read as names in most places.
SOFT_WORDS = [
    "date", "day", "id", "key", "first", "last", "name", "time", "timestamp", "rows", "range", "top",
    "sets", "step", "fill", "array", "any", "left", "right", "filter", "row", "week", "year", "zone",
    "final", "totals", "values", "current", "columns", "replace", "exclude", "cohort", "cube",
    "interval", "trim", "substring", "extract", "truncate", "recursive", "local", "offset", "sample",
]  # fmt: skip
FUNCTIONS = [
    "count", "sum", "uniq", "f", "toDate", "if", "left", "right", "replace", "any", "date", "not",
    "and", "or", "countIf", "quantile", "arrayMap", "COUNT", "now",
]  # fmt: skip
COMPARISONS = [
    "=", "==", "!=", "<>", "<", "<=", ">", ">=", "like", "not like", "ilike", "not ilike", "~", "=~",
    "!~", "~*", "=~*", "!~*", "in", "not in", "in cohort", "not in cohort",
]  # fmt: skip
BINARY = ["+", "-", "*", "/", "%", "||", "??", "and", "or", "<=>"] + COMPARISONS
NUMBERS = [
    "0", "1", "42", "007", "1.", ".5", "1.5", "1e3", "1.5E-3", ".5e2", "0x1F", "0x1e5", "0b101",
    "0x1p3", "0x1.8p1", "inf", "nan", "-inf", "9223372036854775807", "9223372036854775808", "-1", "+1",
    "- 1", "-9223372036854775808", "1e400",
]  # fmt: skip
STRINGS = [
    "''", "'a'", "'it''s'", r"'it\'s'", r"'\\'", r"'\n\t\r\b\f\a\v'", r"'\0'", r"'\x41'", "'/* -- */'",
    "'ünï'", "'a\nb'", "'{}'", r"'\N'",
]  # fmt: skip
TYPES = [
    "int", "String", "Nullable(String)", "Array(Int)", "Decimal(10, 2)", "double precision", "int[]",
    "DateTime('UTC')", "Enum8('a' = 1, 'b' = 2)", "Tuple(a Int, b String)", "timestamp with time zone",
    "int[3]", "date", "interval", "bigint[][]",
]  # fmt: skip
UNITS = ["second", "minute", "hour", "day", "week", "month", "quarter", "year", "DAY"]
VOCABULARY = (
    "select from where prewhere group by order limit offset with as case when then else end not and or "
    "in is null between like interval day cast try_cast array columns lambda distinct union all "
    "intersect except join on using left right full inner outer cross any asof semi anti positional "
    "natural sample pivot unpivot include for values window over partition rows range preceding "
    "following unbounded current row filter within having qualify recursive materialized cohort ignore "
    "nulls first last top totals cube rollup grouping sets ties final id date key exclude replace "
    "interpolate fill step to collate settings true false inf trim both leading substring "
    "( ) [ ] { } , ; . ?. ? ?? : :: := -> + - * / % || = == != <> < <= > >= <=> ~ =~ !~ ~* # #1 "
    "'s' `q` \"d\" 1 1.5 .5 0x1F 1e3 $x a b t u f( f' /* -- // <A/> @ ! ^ & | \\"
).split(" ")

TOKEN = re.compile(r"""'(?:\\.|''|[^'\\])*'|`[^`]*`|"[^"]*"|[A-Za-z_$][\w$]*|\d[\w.]*|\s+|<=>|=~\*|!~\*|::|:=|->|\?\?|\?\.|\|\||[=!<>]=|<>|=~|!~|~\*|.""", re.S)


class Texts:
    """A source of random texts."""

    def __init__(self, random):
        self.random = random

    def chance(self, probability):
        return self.random.random() < probability

    def pick(self, items):
        return self.random.choice(items)

    def some(self, make, most, least=1):
        return ", ".join(make() for _ in range(self.random.randint(least, most)))

    def maybe(self, text, probability=0.3):
        return text() if self.chance(probability) else ""

    # ----- expressions ------------------------------------------------------------------------

    def name(self):
        return self.pick(SOFT_WORDS) if self.chance(0.1) else self.pick(NAMES)

    def field(self):
        parts = [self.name() for _ in range(self.pick([1, 1, 1, 2, 2, 3]))]
        if self.chance(0.1):
            parts[-1] = self.pick(["`odd name`", '"dou""ble"', "`tick``ed`", r"`new\nline`"])
        return ".".join(parts)

    def leaf(self):
        kind = self.random.randrange(12)
        if kind < 5:
            return self.field()
        if kind < 8:
            return self.pick(NUMBERS)
        if kind < 10:
            return self.pick(STRINGS)
        return self.pick(["null", "true", "FALSE", "NULL", "[]", "{}", "{filters}", "{variables.a}", "#1", "#23"])

    def expr(self, depth=3):
        if depth <= 0 or self.chance(0.15):
            return self.leaf()
        below = lambda: self.expr(depth - 1)  # noqa: E731
        makers = [
            lambda: f"{below()} {self.pick(BINARY)} {below()}",
            lambda: f"{below()} {self.pick(BINARY)} {below()} {self.pick(BINARY)} {below()}",
            lambda: f"{below()}{self.pick(BINARY[:7])}{below()}",
            lambda: f"({below()})",
            lambda: f"{self.pick(['not ', 'not(', 'NOT '])}{below()}".replace("not(", "not (") + "",
            lambda: f"not ({below()})",
            lambda: f"-{below()}" if self.chance(0.5) else f"-({below()})",
            lambda: f"{below()} is {self.pick(['', 'not '])}null",
            lambda: f"{below()} is {self.pick(['', 'not '])}distinct from {below()}",
            lambda: f"{below()} {self.pick(['', 'not '])}between {below()} and {below()}",
            lambda: f"{below()} ? {below()} : {below()}",
            lambda: self.call(depth - 1),
            lambda: self.call(depth - 1),
            lambda: self.call(depth - 1),
            lambda: self.case(depth - 1),
            lambda: f"({below()}, {self.some(below, 2)})",
            lambda: f"({below()},)",
            lambda: f"[{self.some(below, 3)}{self.maybe(lambda: ',', 0.2)}]",
            lambda: f"array[{self.some(below, 2)}]",
            lambda: f"{{'k': {below()}, {self.pick(STRINGS)}: {below()}}}",
            lambda: f"{self.target(depth)}[{below()}]",
            lambda: f"{self.target(depth)}[{self.maybe(below, 0.6)}:{self.maybe(below, 0.6)}]",
            lambda: f"{self.target(depth)}.{self.pick(['1', '2', 'name', 'a.b', '1.2'])}",
            lambda: f"{self.target(depth)}?.{self.pick(['name', '1', '[1]'])}",
            lambda: f"{self.target(depth)}::{self.pick(['int', 'String', 'date', 'timestamp with time zone', 'float'])}",
            lambda: f"{self.pick(['cast', 'CAST', 'try_cast'])}({below()} as {self.pick(TYPES)})",
            lambda: f"interval {self.pick(['1', '5', self.pick(NAMES), '(' + below() + ')', 'a + 1'])} {self.pick(UNITS)}",
            lambda: self.pick(["interval '5 minutes'", "interval '1 day'", "interval '2 years'", "interval '1.5 day'"]),
            lambda: f"{below()} in ({self.some(below, 3)})",
            lambda: f"{below()} in (select {below()} from {self.pick(TABLES)})",
            lambda: f"({self.select(depth - 2)})",
            lambda: f"f'{self.pick(['', 'text ', 'it' + chr(92) + chr(39) + 's ', chr(92) + '{'])}{{{below()}}}{self.pick(['', ' end', ' {b}'])}'",
            lambda: f"trim({self.pick(['both', 'leading', 'trailing'])} 'c' from {below()})",
            lambda: f"columns({self.pick([chr(39) + 'a.*' + chr(39), 'a, b', '* exclude (a)', 't.*', '* replace (b + 1 as b)'])})",
            lambda: f"{below()} as {self.pick(NAMES)}",
            lambda: f"({below()} as {self.pick(NAMES)})",
            lambda: f"{below()} ignore nulls",
            lambda: f"<A b='c' d={{{below()}}} e/>",
            lambda: f"<A>text {{{below()}}}<B/></A>",
        ]
        return self.pick(makers)()

    def target(self, depth):
        """Something that postfix forms follow."""
        kind = self.random.randrange(6)
        if kind < 3:
            return self.field()
        if kind == 3:
            return f"({self.expr(depth - 2)})"
        if kind == 4:
            return f"f({self.expr(depth - 2)})"
        return f"[{self.expr(depth - 2)}]"

    def call(self, depth):
        below = lambda: self.expr(depth)  # noqa: E731
        name = self.pick(FUNCTIONS)
        args = self.pick([
            lambda: "",
            lambda: self.some(below, 3),
            lambda: self.some(below, 3) + ",",
            lambda: f"distinct {self.some(below, 2)}",
            lambda: f"{below()} order by {self.order_item(depth - 1)}",
            lambda: "*",
            lambda: f"x -> {below()}",
            lambda: f"(x, y) -> {below()}, {below()}",
            lambda: f"x, y -> {below()}",
            lambda: f"() -> {below()}",
            lambda: f"lambda x, y: {below()}",
            lambda: f"n := {below()}",
            lambda: self.select(depth - 1),
            lambda: f"({self.select(depth - 1)})",
            lambda: "*columns('a')",
            lambda: f"{below()}, {below()}",
        ])()  # fmt: skip
        params = f"({self.pick(['0.5', '0.5, 0.9', 'a', ''])})" if self.chance(0.12) else ""
        after = ""
        if self.chance(0.1):
            after += f" filter (where {below()})"
        if self.chance(0.05):
            after = f" within group (order by {below()})"
        if self.chance(0.15):
            after += " over " + self.pick(["w", self.window()])
        return f"{name}{params}({args}){after}"

    def case(self, depth):
        operand = self.maybe(lambda: self.expr(depth) + " ", 0.4)
        branches = "".join(
            f"when {self.expr(depth)} then {self.expr(depth)} " for _ in range(self.random.randint(1, 3))
        )
        return f"case {operand}{branches}{self.maybe(lambda: 'else ' + self.expr(depth) + ' ', 0.6)}end"

    def window(self):
        parts = []
        if self.chance(0.6):
            parts.append(f"partition by {self.some(lambda: self.expr(1), 2)}")
        if self.chance(0.6):
            parts.append(f"order by {self.order_item(1)}")
        if self.chance(0.4):
            bound = lambda: self.pick([  # noqa: E731
                "current row", "unbounded preceding", "unbounded following", "1 preceding", "2 following",
                "interval 1 day preceding", "a + 1 following",
            ])  # fmt: skip
            frame = f"between {bound()} and {bound()}" if self.chance(0.7) else bound()
            parts.append(f"{self.pick(['rows', 'range'])} {frame}")
        return f"({' '.join(parts)})"

    # ----- queries ----------------------------------------------------------------------------

    def column(self, depth):
        return self.pick([
            lambda: self.expr(depth),
            lambda: self.expr(depth),
            lambda: f"{self.expr(depth)} as {self.pick(NAMES)}",
            lambda: f"{self.expr(depth)} as 'text'",
            lambda: f"{self.expr(depth)} {self.pick(['z', '`z z`', 'id', 'date', 'cohort', 'totals'])}",
            lambda: f"{self.pick(NAMES)}: {self.expr(depth)}",
            lambda: self.pick(["*", "t.*", "* exclude (a, t.b)", "(* replace (a + 1 as a))"]),
        ])()  # fmt: skip

    def order_item(self, depth):
        item = self.expr(depth)
        item += self.maybe(lambda: " " + self.pick(["asc", "desc", "ascending", "DESCENDING"]), 0.5)
        item += self.maybe(lambda: " nulls " + self.pick(["first", "last"]), 0.15)
        item += self.maybe(lambda: " collate 'en'", 0.05)
        if self.chance(0.08):
            item += " with fill" + self.maybe(lambda: " from 1") + self.maybe(lambda: " to 10") + self.maybe(lambda: " step 2")
        return item

    def source(self, depth):
        table = self.pick([
            lambda: self.pick(TABLES),
            lambda: self.pick(TABLES),
            lambda: self.pick(TABLES),
            lambda: f"({self.query(depth - 1)})",
            lambda: "{table}",
            lambda: f"(values (1, {self.expr(1)}), (2, 'b'))",
            lambda: f"({self.join(depth - 1)})",
            lambda: "<Query kind='a'/>",
        ])()  # fmt: skip
        joined = table.startswith("(") and not re.match(r"\((select|with|values|\(select|\(with|\{)", table)
        if not joined:
            table += self.maybe(lambda: self.pick([" as s", " s", " as s(c, d)", " id", " as `odd`"]), 0.4)
            table += self.maybe(lambda: " sample " + self.pick(["0.1", "1/10", "1/10 offset 1/2", "{ratio}", "10%"]), 0.1)
        if self.chance(0.05):
            table += f" pivot (sum(a){self.pick(['', ' as s', ', count() as n'])} for b in (1, 2 as two){self.pick(['', ' c in (3)', ' group by d'])})"
            table += self.maybe(lambda: " as p")
        elif self.chance(0.05):
            table += f" unpivot {self.pick(['', 'include nulls '])}({self.pick(['v for n in (a, b)', '(v, w) for n in ((a, b), (c, d))', 'v for n in (a as x, b)'])})"
        return table

    def join(self, depth):
        text = self.source(depth)
        for _ in range(self.pick([0, 0, 0, 1, 1, 2])):
            side = self.pick([
                "join", "inner join", "left join", "right join", "full join", "left outer join",
                "full outer join", "any left join", "left any join", "all inner join", "asof join",
                "asof left join", "left asof join", "semi left join", "left anti join", "anti join",
                "right semi join", "asof semi left join", "natural join", "any join",
            ])  # fmt: skip
            if self.chance(0.2):
                text += self.pick([", ", " cross join ", " positional join "]) + self.source(depth)
                continue
            text += f" {side} {self.source(depth)}"
            text += self.pick([
                lambda: f" on {self.expr(depth - 1)}",
                lambda: f" on {self.expr(depth - 1)}",
                lambda: " using (a, b)",
                lambda: " using a, b",
                lambda: "",
            ])()  # fmt: skip
        return text

    def limits(self):
        n = lambda: self.pick(["1", "10", "a + 1", "{n}", "5"])  # noqa: E731
        text = ""
        if self.chance(0.15):
            text += self.pick([f" limit {n()} by a, b", f" limit {n()} offset {n()} by a", f" limit {n()}, {n()} by a"])
        if self.chance(0.4):
            text += self.pick([
                f" limit {n()}", f" limit {n()} offset {n()}", f" limit {n()}, {n()}", f" offset {n()}",
                " limit 10%", f" limit {n()} with ties", f" limit {n()} with ties offset {n()}",
                f" offset {n()} limit {n()}", " limit 10 % offset 2",
            ])  # fmt: skip
        return text

    def group_by(self):
        keys = lambda: self.some(lambda: self.expr(1), 2)  # noqa: E731
        return " group by " + self.pick([
            lambda: keys(),
            lambda: keys(),
            lambda: "1, 2",
            lambda: "all",
            lambda: f"cube({keys()})",
            lambda: f"rollup({keys()})",
            lambda: "grouping sets ((a), (a, b), ())",
            lambda: f"{keys()} with {self.pick(['rollup', 'cube', 'totals', 'rollup with totals'])}",
            lambda: f"({keys()})",
        ])()  # fmt: skip

    def select(self, depth=3):
        text = self.maybe(lambda: self.with_(depth), 0.1) if depth > 0 else ""
        text += "select " + self.maybe(lambda: "distinct ", 0.1)
        text += self.some(lambda: self.column(max(depth, 0)), 3) + self.maybe(lambda: ",", 0.03)
        if self.chance(0.75):
            text += " from " + self.join(depth - 1)
            text += self.maybe(lambda: self.pick([" array join", " left array join", " inner array join"]) + f" {self.expr(1)} as j" + self.maybe(lambda: ", b as k"), 0.08)
            text += self.maybe(lambda: f" prewhere {self.expr(depth - 1)}", 0.05)
        text += self.maybe(lambda: f" where {self.expr(depth)}", 0.4)
        text += self.maybe(self.group_by, 0.2)
        text += self.maybe(lambda: f" having {self.expr(depth - 1)}", 0.1)
        text += self.maybe(lambda: f" qualify {self.expr(depth - 1)}", 0.04)
        text += self.maybe(lambda: f" window w as {self.window()}" + self.maybe(lambda: f", v as {self.window()}"), 0.06)
        if self.chance(0.3):
            text += f" order by {self.some(lambda: self.order_item(depth - 1), 2)}"
            text += self.maybe(lambda: self.pick([" interpolate", " interpolate (a, b as b + 1)"]), 0.05)
        return text + self.limits()

    def with_(self, depth):
        body = lambda: self.query(depth - 2)  # noqa: E731
        cte = lambda: self.pick([  # noqa: E731
            lambda: f"q as ({body()})",
            lambda: f"q as ({body()})",
            lambda: f"q(c, d) as ({body()})",
            lambda: f"q as materialized ({body()})",
            lambda: f"q as not materialized ({body()})",
            lambda: f"{self.expr(1)} as s",
            lambda: f"({body()}) as s",
            lambda: "x -> x + 1 as s",
            lambda: f"q using key (a) as ({body()})",
        ])()  # fmt: skip
        return f"with {self.maybe(lambda: 'recursive ', 0.15)}{self.some(cte, 2)} "

    def query(self, depth=3):
        text = self.operand(depth)
        for _ in range(self.pick([0, 0, 0, 0, 1, 2])):
            operator = self.pick(["union all", "union", "union distinct", "intersect", "intersect distinct", "intersect all", "except", "except all"])
            text += f" {operator}{self.maybe(lambda: ' by name', 0.1)} {self.operand(depth - 1)}"
        if text.endswith(")"):
            text += self.maybe(lambda: " order by 1", 0.05) + self.maybe(self.limits, 0.1)
        return text

    def operand(self, depth):
        if self.chance(0.12):
            return f"({self.query(depth - 1)})"
        return "{query}" if self.chance(0.03) else self.select(depth)

    # ----- blanks and mutations ---------------------------------------------------------------

    def text(self, corpus):
        """A text of at most 800 characters. Most are mutations: they are short, and what the parsers
        disagree on is mostly a mistake."""
        kind = self.random.randrange(40)
        if kind == 0:
            text = self.query(self.pick([0, 1, 1]))
        elif kind < 6:
            text = self.mutate(f"select {self.column(1)} from {self.source(0)}", self.pick(corpus))
        else:
            text = self.mutate(min(self.pick(corpus), self.pick(corpus), key=len), self.pick(corpus))
        if self.chance(0.2):
            text = self.blanks(text)
        return text[:800].replace("\0", "")

    def blanks(self, text):
        """The same words with other blanks, comments and letter cases between them."""
        def other(match):
            if self.chance(0.8):
                return match.group()
            return self.pick(["\n", "\t", "  ", " /* c */ ", " -- c\n", " // c\n", " # c\n", "\u00a0", "\ufeff ", "\u2003"])

        return re.sub(r"'(?:\\.|''|[^'\\])*'|`[^`]*`|\"[^\"]*\"|( )", lambda m: other(m) if m.group(1) else m.group(), text)

    def mutate(self, text, other):
        """A text of the same tokens with one to three changes, most of them mistakes."""
        tokens = TOKEN.findall(text)
        for _ in range(self.pick([1, 1, 1, 1, 2, 2, 3])):
            if not tokens:
                break
            at = self.random.randrange(len(tokens))
            if self.chance(0.7) and tokens[at].isspace():
                at = max(at - 1, 0)
            to = self.random.randrange(at, min(len(tokens), at + 8)) + 1
            self.change(tokens, at, to, TOKEN.findall(other))
        return "".join(tokens)

    def change(self, tokens, at, to, others):
        """One change of the tokens from `at` to `to`, in place."""
        kind = self.random.randrange(13)
        if kind == 0:
            del tokens[at]
        elif kind == 1:
            tokens[at:at] = [" ", self.pick(VOCABULARY), " "]
        elif kind == 2:
            tokens[at] = self.pick(VOCABULARY)
        elif kind == 3:
            tokens[at:at] = [tokens[at], " "]
        elif kind == 4:
            with_ = self.random.randrange(len(tokens))
            tokens[at], tokens[with_] = tokens[with_], tokens[at]
        elif kind == 5:
            tokens[at], tokens[to - 1] = tokens[to - 1], tokens[at]
        elif kind == 6:
            del tokens[at:]
        elif kind == 7:
            start = self.random.randrange(len(others) or 1)
            tokens[at:at] = [" ", *others[start : start + 6], " "]
        elif kind == 8:
            tokens[at:to] = ["(", *tokens[at:to], ")"]
        elif kind == 9:
            del tokens[at:to]
        elif kind == 10:
            tokens[to:to] = [" ", *tokens[at:to]]
        elif kind == 11:
            # A word for a word, an operator for an operator.
            alike = [token for token in VOCABULARY if token.isalpha() == tokens[at].isalpha()]
            tokens[at] = self.pick(alike + SOFT_WORDS if tokens[at].isalpha() else alike)
        else:
            tokens[at] = tokens[at].upper() if not tokens[at].startswith("'") else "'"
