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
    would it's that's there's let's
    """
)
"""Verbs that no sentence uses as anything else."""

VERBS = _words(
    """
    accept add agree allow appear apply ask average avoid become begin belong bring build buy
    bypass calculate call carry choose clip come compare compute consist contain continue convert
    count cover create cut darken decide decode depend derain describe differ disagree divide
    download drop encode end enter erase exclude execute exist expect explain export fail fall find
    finish fit follow forget get give go grow happen help hide hold identify ignore imitate improve
    include increase install interrupt keep know lack lead learn leave let lie like limit listen
    lose lower make mean measure miss move multiply name need obtain offer open operate overfit
    overwrite pass pay prefer prevent print produce publish put raise reach read receive recognise
    record recover reduce refer refuse reject rely remain remove repeat replace report reproduce
    require list resume retire retry return rise run say scatter score search see seem select send
    separate serve share shift shorten show skip slow smear smooth solve speak split stand start
    state stay steady stop store suffer suggest support switch take tell think train transpose
    treat try turn understand use vary wait want warn work write
    accelerate attach attend bear behave bind block break catch check claim close combine complete
    confirm connect consume cost delay delete depart deserve detect die draw drive eat emit enlarge
    estimate evaluate extend fade feed fetch fill filter fold force generate guess gain handle hit
    import imply indicate inherit initialise inspect invalidate invert join judge launch link load
    log look loop maintain map mark mask match merge mirror normalise note occur order pad point
    poll populate position predict process propagate protect prove provide quote rain rank rate
    react rehearse reject release render reserve resemble resize respect restart restore rewrite
    rotate round sample save scale set sharpen sit sort spend sum supply surpass survive tile time
    touch trace track trigger trust twist unfold unpack update upset validate verify view visit
    walk weigh widen win wish zoom
    deinterlace insist matter teach change equal thin disappear pick
    double triple halve decrease exceed prefix speed steepen steer test triage type vote compress
    beat paint quit reset settle shrink spare spell spread stick strike suit swap tend tune yield
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
    answer ask average block break call cause change check claim clip code colour cost count cover
    cut delay design detail draw drop export fall fill filter find fit fold force gain guess
    guide help hit import increase input interest issue judge lack lead light like limit link
    load log look loop loss map mark mask match mean measure mirror name note offer order
    pad pass pay picture place plan point position present print process profile prove query rain
    raise range rank rate reach read record release report request reserve result return round
    run sample save scale score search set share shift show sign size smooth sort speed split stage
    stand start state stop store sum supply support switch test tile time touch trace track
    train transfer trust try turn twist type update use view visit vote wait walk want warm wish
    work yield double slow complete lower open close separate steady clear clean empty correct
    sharpen time tile tune spread yield reset suit spare prefix state exist
    """
)
"""Verbs that are often something else: they count only where their neighbours agree."""

_VERBS = VERBS | NOUNS

_SUBJECTS = _words(
    """
    it that which who they this we you i these those one each nothing everything what derain
    both others all some then and or not also never always only often still
    """
)
_DETERMINERS = _words(
    """
    a an the its their your our his every each this that these those no some any all both another
    more most fewer less than it them what how whether which to too as so only twice about well
    between from for into on in of at by with without where if when up out back through over under before after
    """
)
_BEFORE_NOUNS = _words(
    """
    a an the its their your our every each this these those no some any another of in on at by
    for with without from to into per as than between and or first last next same other more
    """
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
        if not re.search(r"[.!?:)]\W*$", paragraph):
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
    """Return whether a sentence has a finite verb, or begins with an imperative."""
    words = [word.lower() for word in _WORD.findall(sentence)]
    return any(_is_verb(words, place) for place in range(len(words)))


def _is_verb(words: list[str], place: int) -> bool:
    """Return whether a word is a finite verb, judged by its form and its neighbours."""
    word = words[place]
    before = words[place - 1] if place else ""
    after = words[place + 1] if place + 1 < len(words) else ""
    if word in FINITE:
        return True
    lemma, form = _lemma(word)
    if not lemma or before == "to":
        return False
    begins = before in ("", ":", ";", "(") or (before == "," and place > 1)
    if form == "base" and (begins or before in ("then", "not")) and after not in (",", ""):
        return True
    if form == "past":
        subject = before in _SUBJECTS and before not in ("and", "or", "not")
        return subject or (not begins and _takes_object(before, after))
    if lemma in NOUNS:
        subject = before in _SUBJECTS - {"and", "or"} or before == CODE.lower()
        return subject or _takes_object(before, after) or _follows_plural(words, place)
    return form == "third" or before not in _BEFORE_NOUNS - {"and", "or"}


def _follows_plural(words: list[str], place: int) -> bool:
    """Return whether a word follows a noun in the plural that begins a clause."""
    if place == 0 or place + 1 == len(words) or not re.search(r"[^s]s$", words[place - 1]):
        return False
    behind = words[place + 1]
    return behind[0].isalpha() and behind not in {"of", "and", "or"}


def _takes_object(before: str, after: str) -> bool:
    """Return whether neighbours are a subject and an object of what lies between."""
    return before not in _BEFORE_NOUNS and (
        after in _DETERMINERS or after == CODE.lower() or after[:1].isdigit()
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
