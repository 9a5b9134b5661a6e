"""The prose of Markdown pages: sentences without code and tables, and which of them lack a verb.

Whether a sentence has a verb is decided by word lists, not by a model: a list of verbs, and rules
for words that may also be nouns (`scores`, `tiles`, `results`).
"""

import re
from collections.abc import Iterator

CODE = "Code"
"""Stands for code in a sentence, which is a name there."""

_FENCE = re.compile(r"^( *)```.*?^\1```", re.M | re.S)
_COMMENT = re.compile(r"<!--.*?-->", re.S)
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_INLINE = re.compile(r"`[^`]*`(?:'s)?")
_ITEM = re.compile(r"^ *(?:[-*+]|\d+\.) +")
_TITLE = re.compile(r"^\*+[^*]+[.:]\*+\s*")
_END = re.compile(r"(?<=[.!?])(?:\)|\"|\*)*\s+(?=[(\"*]*[A-Z0-9])")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|et al|Fig|Eq|vs|St|no)\.$")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FINITE = _words(
    """
    is are was were am isn't aren't wasn't weren't has have had hasn't haven't hadn't do does did
    don't doesn't didn't can cannot can't could couldn't may might must shall should will won't
    ought would it's that's there's let's
    """
)
"""Verbs that no sentence uses as anything else."""

VERBS = _words(
    """
    accelerate accept add agree allow appear apply ask attach attend average avoid bear beat
    become begin behave belong bind block break bring build buy bypass calculate call carry
    catch change check choose claim clip close combine come compare complete compress compute
    confirm connect consist consume contain continue convert copy cost count cover create cut
    darken decide decode decrease deinterlace delay delete depart depend derain describe deserve
    detect die differ disagree disappear disconnect divide double download draw drive drop eat
    emit encode end enlarge enter equal erase estimate evaluate exceed exclude execute exist
    expand expect explain export extend fade fail fall feed fetch fill filter find finish fit
    flicker fold follow force forget gain generate get give go grow guess halve handle happen
    help hide hit hold identify ignore imitate imply import improve include increase indicate
    inherit initialise insist inspect install interrupt invalidate invert join judge keep know
    lack launch lead lean learn leave let lie like limit link list listen load log look loop
    lose lower maintain make map mark mask match matter mean measure merge mirror miss move
    multiply name need normalise note obtain occur offer open operate order overfit override
    overwrite pad paint pass pay pick point poll populate position predict prefer prefix prevent
    print process produce propagate protect prove provide publish put quit quote rain raise rank
    rate reach react read receive recognise record recover reduce refer refuse rehearse reject
    release rely remain remove render repeat replace report reproduce require resemble reserve
    reset resize respect restart restore resume retire retry return rewrite rise rotate round
    run sample save say scale scatter score search see seem select send separate serve set
    settle share sharpen shift ship shorten show shrink sit skip slow smear smooth solve sort
    spare speak speed spell spend split spread stand start state stay steady steepen steer stick
    stop store strike suffer suggest suit sum supply support surpass surround survive swap
    switch take teach tell tend test thin think tile time touch trace track train transpose
    treat triage trigger triple trust try tune turn twist type understand unfold unpack update
    upset use validate vanish vary verify view visit vote wait walk want warn weigh widen win
    wish work write yield zoom
    """
)
"""Base forms of the verbs that the pages use."""

IRREGULAR = _words(
    """
    became began bore broke brought built bought caught chose came cost cut dealt did drew drove
    ate fell felt found forgot gave got grew held hid hit kept knew laid lay led left lent let lost
    made meant met paid put ran rose said saw sent set shown shrank showed spent spoke spread stood
    stuck struck took taught told thought took understood went won wrote
    """
)
"""Past tenses."""

NOUNS = _words(
    """
    answer ask average block break call cause change check claim clean clear clip close code
    colour complete correct cost count cover cut delay design detail double draw drop empty
    exist export fall fill filter find fit fold force gain guess guide help hit import increase
    input interest issue judge lack lead light like limit link load log look loop loss lower map
    mark mask match mean measure mirror name note offer open order pad pass pay picture place
    plan point position prefix present process profile prove query rain raise range rank rate
    reach read record release report request reserve reset result return round run sample save
    scale score search separate set share sharpen shift show sign size slow smooth sort spare
    speed split spread stage stand start state steady stop store suit sum supply support switch
    test tile time touch trace track train transfer trust try tune turn twist type update use
    view visit vote wait walk want warm wish work yield
    """
)
"""Verbs that are often something else: they count only where their neighbours agree."""

RARE_NOUNS = _words(
    "call change cover fill gain give help hide lack let mean move open read show stand start stop"
    " take turn use wait want"
)
"""Those of them whose third person is a noun only behind a determiner."""

_ORDERS = _words("use run name set call check train look show open")
"""Those of them that pages give as orders, before any noun."""

INTRANSITIVE = _words(
    "became began came ended fell grew ran rose stood went begin change come compute continue end"
    " fall go grow happen move pass rise run stand start stay"
)
"""Verbs whose past tense is seldom a participle behind its noun."""

_VERBS = VERBS | NOUNS

_SUBJECTS = _words("it that which who they this we you i these those what derain there nothing")
_ADVERBS = _words(
    "not also never always only often still therefore then now even just mostly hardly nearly"
)
_PARTS = FINITE | _ADVERBS
"""Words that the rest of a verb follows: "does not know"."""
_OBJECTS = _words(
    """
    a an the its their your our every each this that these those no some any all both another
    more most fewer less it them what how whether which too so only twice about well up out back
    two three four five six seven eight nine ten several many
    """
)
_PREPOSITIONS = _words(
    """
    between from for into on in of at by with without to through over under before after than as
    like per where if when
    """
)
_BEFORE_NOUNS = _OBJECTS | _PREPOSITIONS | _words("and or first last next same other")
_ARTICLES = _OBJECTS | {CODE.lower()}
_DRIVERS = _SUBJECTS | _ADVERBS | {CODE.lower()}
_SUBORDINATORS = _words(
    "that which who whose where when what how whether because since although though while if"
)
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*|\d[\d.,]*|[,:;()]")


def paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs and list items of a page, without code, tables, headings and links."""
    for pattern in (_FENCE, _COMMENT, _IMAGE):
        text = pattern.sub("\n", text)
    text = _LINK.sub(r"\1", text)
    text = _INLINE.sub(CODE, text)
    lines: list[str] = []
    for line in [*text.splitlines(), ""]:
        is_item = _ITEM.match(line) is not None
        if is_item or not line.strip() or line.lstrip().startswith(("|", "#", "    ")):
            if lines:
                yield re.sub(r"\*+", "", _TITLE.sub("", " ".join(lines)))
            lines = []
        if line.strip() and not line.lstrip().startswith(("|", "#")):
            lines.append(_ITEM.sub("", line).strip())


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a page; entries of lists that do not end as sentences are left out."""
    for paragraph in paragraphs(text):
        if not re.search(r"[.!?:]\W*$", paragraph):
            continue
        pending = ""
        for part in _END.split(paragraph):
            pending = f"{pending} {part}".strip()
            if not _ABBREVIATION.search(pending):
                yield pending
                pending = ""
        if pending:
            yield pending


def has_verb(sentence: str) -> bool:
    """Return whether a sentence has a finite verb outside of a subordinate clause.

    A clause that a word such as "which" opens takes one verb; a second one belongs to the sentence.
    """
    words = [word.lower() for word in _WORD.findall(sentence)]
    # Verbs up to the first word that opens a clause, then behind each.
    clauses, place = [0], 0
    while place < len(words):
        if _opens_clause(words, place):
            clauses.append(0)
        elif _is_verb(words, place):
            clauses[-1] += 1
            # The rest of "does not know" and "can be read" is part of the same verb.
            while words[place] in _PARTS and place + 1 < len(words):
                if not (words[place + 1] in _PARTS or _lemma(words[place + 1])[0]):
                    break
                place += 1
        place += 1
    return clauses[0] > 0 or any(count > 1 for count in clauses[1:])


def _opens_clause(words: list[str], place: int) -> bool:
    """Return whether a word begins a subordinate clause, rather than being a pronoun."""
    after = words[place + 1] if place + 1 < len(words) else ""
    if words[place] == "that":
        before = words[place - 1] if place else ";"
        is_pronoun = before in _PREPOSITIONS or before in ";:(,"
        return not is_pronoun and after not in _PREPOSITIONS
    return words[place] in _SUBORDINATORS and after not in {"to", ""}


def _is_verb(words: list[str], place: int) -> bool:
    """Return whether a word is a finite verb, judged by its form and its neighbours."""
    word = words[place]
    before = words[place - 1] if place else ""
    after = words[place + 1] if place + 1 < len(words) else ""
    if word in FINITE:
        return True
    lemma, form = _lemma(word)
    if not lemma or before == "to" or (form != "base" and before in {"", ":", ";", "("}):
        return False
    if form == "past":
        alone = lemma in INTRANSITIVE and before not in _BEFORE_NOUNS and before != ","
        return before in _SUBJECTS | _ADVERBS or alone or _takes_object(before, after)
    if lemma in NOUNS:
        return _stands_like_a_verb(words, place)
    if form == "base" and before in {"", ":", ";", "(", ",", "then"}:
        return after not in {",", ""}
    if before in _SUBJECTS:
        return True
    return form == "third" or before not in _BEFORE_NOUNS - {"and", "or"}


def _stands_like_a_verb(words: list[str], place: int) -> bool:
    """Return whether a word that is also a noun is between a subject and an object."""
    before = words[place - 1] if place else ""
    after = words[place + 1] if place + 1 < len(words) else ""
    is_base = _lemma(words[place])[1] == "base"
    if before in _DRIVERS or _takes_object(before, after):
        return True
    if is_base and before in {"", ";", "(", "then", ","}:
        is_order = words[place] in _ORDERS and before != ","
        return after not in {"of", "in", ""} if is_order else after in _PREPOSITIONS - {"of", "by"}
    if is_base and place > 1 and words[place - 2] in {"and", "or"}:
        return after in _PREPOSITIONS - {"of"}
    if is_base:
        # "Scripts measure speed": the subject is in the plural.
        return bool(re.search(r"[^s]s$", before)) and after[:1].isalpha() and after != "of"
    # "The network runs on ...": a noun in the singular, with its article.
    if _lemma(words[place])[0] in RARE_NOUNS:
        return before not in _BEFORE_NOUNS
    article = place > 1 and words[place - 2] in _ARTICLES
    return article and after in _PREPOSITIONS - {"of"}


def _takes_object(before: str, after: str) -> bool:
    """Return whether neighbours are a subject and an object of what lies between."""
    return before not in _BEFORE_NOUNS and (
        after in _OBJECTS or after == CODE.lower() or after[:1].isdigit()
    )


def _lemma(word: str) -> tuple[str, str]:
    """Return the base form of a verb, and which form it has; empty if it is none."""
    if word in _VERBS:
        return word, "base"
    if word in IRREGULAR:
        return word, "past"
    for ending, stems in (("ies", ("y",)), ("es", ("", "e")), ("s", ("",))):
        if word.endswith(ending):
            for stem in stems:
                if word[: -len(ending)] + stem in _VERBS:
                    return word[: -len(ending)] + stem, "third"
    if word.endswith("ed"):
        stem = word[:-2]
        doubled = stem[:-1] if stem[-1:] == stem[-2:-1] else stem
        for candidate in (stem, f"{stem}e", doubled, f"{stem[:-1]}y"):
            if candidate in _VERBS:
                return candidate, "past"
    return "", ""
