"""Variables in every form of naming them, nested, and other ways to spell a word."""

from tests.differential.draft import Draft

NAMES = ("A", "B", "APP_HOME", "version", "X_1", "long_name_of_a_variable")
OFTEN_UNSET = ("UNSET", "N_0")
LITERALS = ("one", "w", "a.b.c", "x/y/z.tar.gz", "1", "aa", "ü", "o*e", "-", "")
PATTERNS = (
    *("o", "*", "?", "*e", "o*", "??", "[a-z]", "a", "*/", "/*", "*.", ".*", "", "two words", "e*", "#", "%"),
    *(
        r"\*",
        r"\?",
        r"\/",
        r"\}",
        "a*a",
        "$",
    ),
)
REPLACEMENTS = ("", "X", r"\/", "&", "xx", r"\}", "*", "ü")


def reference(draft: Draft, depth: int = 2) -> str:
    """A reference with or without a modifier, whose words may have references in turn."""
    name = _name(draft)
    if draft.chance(0.25):
        return draft.pick((f"${name}", f"${{{name}}}"))
    word = nested(draft, depth)
    pattern = nested(draft, depth - 1) if draft.chance(0.2) else draft.pick(PATTERNS)
    replacement = nested(draft, depth - 1) if draft.chance(0.3) else draft.pick(REPLACEMENTS)
    modifier = draft.pick(
        (
            *(f":-{word}", f"-{word}", f":+{word}", f"+{word}", f":-{word}", f":+{word}"),
            *(f"#{pattern}", f"##{pattern}", f"%{pattern}", f"%%{pattern}"),
            *(f"/{pattern}/{replacement}", f"//{pattern}/{replacement}"),
            *((f":?{word}", f"?{word}") if name not in OFTEN_UNSET and draft.chance(0.3) else ()),
        )
    )
    return f"${{{name}{modifier}}}"


def _name(draft: Draft) -> str:
    known = draft.stage.variables
    return draft.pick((*known, *known, *known, *OFTEN_UNSET, draft.pick(("PATH", "HOME", "1", *NAMES))))


def nested(draft: Draft, depth: int) -> str:
    """What stands behind a modifier."""
    if depth <= 0 or draft.chance(0.6):
        return draft.pick(LITERALS)
    inner = reference(draft, depth - 1)
    return draft.pick((inner, f"{draft.pick(LITERALS)}{inner}", f"{inner}{inner}", f'"{inner}"', f"'{inner}'"))


def variable(draft: Draft) -> str:
    """A reference in one of the ways of quoting it, or of keeping it from being one."""
    plain = reference(draft)
    if " " in plain:
        return f'"{plain}"'
    return draft.pick((plain, plain, plain, f'"{plain}"', f"'{plain}'", rf"\{plain}", f"x{plain}y", rf'"\{plain}"'))


def value(draft: Draft) -> str:
    """One word after an equals sign."""
    plain = (
        "one",
        '"two words"',
        "o1e/two.three",
        "a.b.c.d",
        "/x/y/z.tar.gz",
        "aaa",
        "''",
        '""',
        r"\\",
        r"a\b",
        '"a\\b"',
    )
    odd = (
        "'$x'",
        r"\"q\"",
        r"a\ b",
        '"it\'s"',
        "'say \"hi\"'",
        "*",
        "[ab]",
        "--x",
        "#h",
        "a#b",
        "=",
        "ü",
        "~",
        "&&",
        "$",
    )
    return draft.pick((*plain, *odd, *(variable(draft) for _ in range(12)), f"{variable(draft)}{variable(draft)}"))


def spelt(draft: Draft, text: str) -> str:
    """Words that expand to the text, or are it."""
    if not text or draft.chance(0.5):
        return text
    middle = len(text) // 2
    return draft.pick(
        (
            *(f"${{UNSET:-{text}}}", f"${{UNSET-{text}}}", f"${{PATH:+{text}}}", f"${{PATH+{text}}}", f'"{text}"'),
            *(f"${{UNSET}}{text}", f"'{text}'"),
            *(f"{text[:middle]}${{UNSET}}{text[middle:]}", f"${{UNSET:-${{N_0:-{text}}}}}", f"${{PATH/*/{text}}}"),
            *(f"\\{text}", f'${{UNSET:-"{text}"}}', f"${{PATH##*}}{text}"),
        )
    )
