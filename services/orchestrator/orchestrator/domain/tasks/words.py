"""The words that tell an instruction, its place among others and its size. English, as the signals made of them say."""

import re

_VERBS = (
    "add analyse analyze annotate answer assess brainstorm build calculate categorise categorize check choose classify"
    " clean collect combine compare compile compose compute conclude convert correct count create critique debug define"
    " deploy derive describe design detect determine develop devise discuss document draft draw edit estimate evaluate"
    " examine execute explain explore export extract figure fill find fix format formulate gather generate give group"
    " highlight identify illustrate implement import improve investigate judge justify list load look make measure"
    " merge model name order organise organize outline paraphrase parse perform pick plan plot predict prepare present"
    " prioritise prioritize produce program proofread propose prove provide publish rank rate read recommend refactor"
    " rephrase report research review rewrite run schedule score search select send set shorten show simplify simulate"
    " sketch solve sort split state structure study suggest summarise summarize tell test train transform translate"
    " turn update use validate verify visualise visualize write"
)

_TRANSFORMS = (
    "analyse analyze categorise categorize check classify convert correct count edit explain extract fix format improve"
    " paraphrase proofread reformat rephrase review rewrite shorten simplify sort spellcheck summarise summarize"
    " translate"
)


def _any(listed: str) -> str:
    return f"(?:{listed.replace(' ', '|')})"


VERB = _any(_VERBS)
_ORDER = (
    r"first(?:ly)?|second(?:ly)?|third(?:ly)?|fourth|then|next|after(?:wards| that| this)|finally|lastly|subsequently"
)
_POLITE = (
    r"please|kindly|also|and|now|let'?s|additionally|in addition|can you|could you|would you|will you"
    r"|i(?:'d| would) like you to|i (?:want|need) you to|help me(?: to)?|your task is to"
    r"|you (?:should|must|need to|have to)"
)

LEAD = rf"(?:(?:{_ORDER}|{_POLITE}|once [^,.]{{1,60}},)\b[\s,:]*)*"
"""What may stand before the verb of an instruction."""

INSTRUCTION = re.compile(rf"\W*{LEAD}{VERB}\b", re.IGNORECASE)
"""At the start of a clause that asks for something."""

TRANSFORM = re.compile(rf"\W*{LEAD}{_any(_TRANSFORMS)}\b", re.IGNORECASE)
"""At the start of a request to do one thing with the text that follows it."""

ORDERED = re.compile(rf"\b(?:{_ORDER})\b,?\s+(?:{_POLITE})?\s*{VERB}\b", re.IGNORECASE)
"""A word of sequence right before what to do. A bare "then" or "next week" is none."""

ORDER_ALONE = re.compile(rf"\W*(?:and )?(?:{_ORDER})\W*", re.IGNORECASE)

CLAUSE_END = re.compile(
    rf"(?<=[.!?;])\s+|\n+"
    rf"|,?\s+(?:and\s+)?(?=(?:{_ORDER})\b,?\s+(?:{_POLITE})?\s*{VERB}\b)"
    rf"|,\s+(?:and\s+)?(?:also\s+)?(?={VERB}\b)"
    rf"|\s+and\s+(?:also\s+)?(?={VERB}\s+(?:a|an|the|it|its|them|this|that|these|those|me|all|each|any|how|why|what"
    r"|one|two|three|four|five|some|\d|my|our|their|his|her|three)\b)",
    re.IGNORECASE,
)
"""Between two clauses: a sentence ends, a word of sequence follows, or another verb with an object does."""

BACK_REFERENCE = re.compile(
    r"\b(?:it|its|them|they|that|this|these|those|above|each of|both|all of (?:it|the)|accordingly"
    r"|the (?:result|answer|output|list|outcome|finding|outline|draft|above|previous|former|latter|same|chosen|selected"
    r"|best one|winner)s?)\b"
    r"|^\W*(?:and )?(?:why|how so)\W*$",
    re.IGNORECASE,
)
"""Something that an earlier part must have made."""

STRONG_REFERENCE = re.compile(
    r"\b(?:based on (?:that|this|these|those|the|your|its)|from (?:that|these|those|the results?)|depending on"
    r"|us(?:e|ing) (?:that|this|these|those"
    r"|the (?:result|answer|output|list|outcome|finding|outline|table|data|code|above|previous)s?)"
    r"|(?:result|output|answer)s? (?:of|from) (?:the )?(?:previous|first|second|last|step)"
    r"|for each of (?:them|these|those)|(?:step|question|part|item) \d+)\b",
    re.IGNORECASE,
)
"""A dependency that is said outright."""

NUMBERED_REFERENCE = re.compile(r"\b(?:step|question|part|item|point|number|task) #?(\d{1,2})\b", re.IGNORECASE)

EXPLICIT_PLAN = re.compile(
    r"\b(?:(?:in|with|over) (?:several|multiple|many|a few|\d+|two|three|four|five)"
    r" (?:separate )?(?:steps|stages|phases)"
    r"|multi-?step|break (?:it|this|that|the [\w ]{1,30}?) (?:down )?into (?:steps|sub-?tasks|parts|stages)"
    r"|(?:make|create|draw up|devise) a plan,? (?:and|then)|plan (?:your work|it out|each step)"
    r"|work through (?:the following|each|these)|complete (?:all )?(?:the following|these) (?:steps|tasks)"
    r"|do (?:all )?(?:the following|these) (?:steps|tasks|things))\b",
    re.IGNORECASE,
)
STEP_BY_STEP = re.compile(r"\b(?:step[- ]by[- ]step|one step at a time|stepwise)\b", re.IGNORECASE)

_LARGE = (
    r"report|analysis|guide|plan|study|strategy|proposal|course|curriculum|documentation|book|tutorial|white ?paper"
    r"|roadmap|handbook|application|website|thesis|dossier|manual|campaign|review"
)
THOROUGH = re.compile(
    rf"\b(?:comprehensive|in-?depth|detailed|thorough|complete|full|extensive|end-to-end|exhaustive)\s+"
    rf"(?:[\w-]+\s+){{0,3}}?(?:{_LARGE})\b",
    re.IGNORECASE,
)
LARGE_WORK = re.compile(
    r"\b(?:business plan|market (?:research|analysis)|project plan|literature review|feasibility study|case study"
    r"|(?:\d+|five|ten|twenty)[- ](?:page|chapter|week|part)|from scratch|curriculum|go-to-market)\b",
    re.IGNORECASE,
)
ASPECTS = re.compile(
    r"\b(?:covering|cover|including|include|considering|addressing|with (?:sections|chapters|parts) (?:on|about|for)"
    r"|in terms of|with respect to|along the dimensions(?: of)?)\s*:?\s+([^.!?\n]{10,600})",
    re.IGNORECASE,
)
BRIEF = re.compile(
    r"\b(?:in (?:one|a|a single|two|a few) (?:short )?(?:sentences?|words?|lines?|paragraph)|briefly|in short"
    r"|short answer|one-word|yes or no|just (?:tell|give|answer|say)|tl;?dr|quick (?:question|answer)|keep it short)\b",
    re.IGNORECASE,
)
KINDS = {
    "code": re.compile(
        r"\b(?:code|function|script|python|javascript|typescript|java|rust|sql|regex|api|unit tests?|class|bug"
        r"|algorithm|backend|frontend|endpoint|docker\w*|compiler?)\b",
        re.IGNORECASE,
    ),
    "data": re.compile(
        r"\b(?:csv|data ?sets?|data|spreadsheet|statistics?|chart|plot|correlation|averages?|median|table|histogram"
        r"|regression|survey|metrics?)\b",
        re.IGNORECASE,
    ),
    "writing": re.compile(
        r"\b(?:essay|article|blog(?: post)?|e-?mail|story|poem|letter|report|summary|press release|tweet|slogan|speech"
        r"|newsletter|announcement|presentation|slides|documentation|memo)\b",
        re.IGNORECASE,
    ),
}
