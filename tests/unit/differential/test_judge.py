"""The comparison sees what differs, and explanations explain no more than they say."""

from pathlib import Path

from tests.differential.cases import Case, Expectation, fixture_cases, written_cases
from tests.differential.judge import (
    CURRENT,
    EXPLAINED,
    HUNG,
    Difference,
    Image,
    Judge,
    check_expected,
    compare,
    load_rules,
)
from tests.differential.summary import table, verdict
from tests.support.flatten import Flat, Node
from tests.support.parity import PART

NODE = Node("file", 0o644, 0, 0, 5, "", (), "'text'", (0, 0), ())
FOLDER = NODE._replace(kind="dir", content="")
CASE = Case("one", "written", "FROM base\nRUN true\n")


def image(files: dict[str, Node], *layers: dict[str, str]) -> Image:
    config = {"config": {"Env": ["A=1"]}, "history": [{"created_by": "RUN true # buildkit"}]}
    return Image(Flat(files, config, len(layers)), layers)


def test_differences_of_directories_and_layers_have_places_of_their_own() -> None:
    ours = image({"d": FOLDER, "f": NODE}, {"d": "dir", "f": "x", "gone": "file"}, {"gone": "removed"})
    theirs = image({"d": FOLDER._replace(mtime=6), "f": NODE._replace(mode=0o600)}, {"d": "dir", "f": "y"}, {})
    assert [difference.line for difference in compare(ours, theirs, 1000)] == [
        "dir:d:mtime: 5 != 6",
        "file:f:mode: 0644 != 0600",
        "layer:0:gone: file != None",
        "layer:1:gone: removed != None",
    ]
    assert compare(ours, ours, 1000) == ()


def test_an_image_differs_from_a_refusal_and_two_refusals_agree() -> None:
    refused = "Sending\n#5 ERROR: no such file\n"
    assert compare("any", refused, 1000) == ()
    assert compare(f"{HUNG}: x", refused, 1000)
    (difference,) = compare(image({}), refused, 1000)
    assert difference == Difference("outcome", "outcome: built != refused (#5 ERROR: no such file)")


def test_rules_need_what_they_need(tmp_path: Path) -> None:
    path = tmp_path / "differences.toml"
    path.write_text(
        "[[difference]]\nreason = '1.9 x: \"y\"'\nneeds = '^RUN'\n[difference.where]\n'*' = 'file:*:mode: 0644 != *'\n"
    )
    judge = Judge(load_rules(path))
    found = Difference("files", "file:f:mode: 0644 != 0600")
    assert judge.judge(CASE, (found,))[0].reason == '1.9 x: "y"'
    assert judge.judge(CASE, (found._replace(line="file:f:mode: 0600 != 0644"),))[0].reason is None
    assert judge.judge(CASE._replace(dockerfile="FROM base"), (found,))[0].reason is None


def test_every_rule_has_its_row() -> None:
    for rule in (*load_rules(EXPLAINED), *load_rules(CURRENT)):
        part, _, row = rule.listed.reason.partition(" ")
        assert rule.listed.reason.startswith("no row of the reference: ") or (PART.fullmatch(part) and row), rule


def test_what_is_taken_back_of_a_directory_explains_only_that_directory() -> None:
    judge = Judge(load_rules(EXPLAINED))
    lost = (Difference("files", "file:app/f:presence: None != file"),)

    def explained(*ignore: str) -> bool:
        setup = "\n".join(("cat > .dockerignore <<'END'", *ignore, "END"))
        return judge.judge(CASE._replace(setup=setup), lost)[0].reason is not None

    assert explained("src/*", "*.md", "!src")
    assert explained("src/core/*", "!src")
    assert not explained("docs/*", "!src")
    assert not explained("src/*", "!src/f")
    assert not explained("!src", "src/*")
    assert not explained("*/*", "!src")


def test_what_the_reference_expects() -> None:
    expected = Expectation(
        "1.4 x", {"f": ("= 'text'", "0644"), "no": ("absent",)}, {"Env": ["A=1"]}, ("RUN true # buildkit",)
    )
    assert check_expected(expected, image({"f": NODE})) == ()
    lines = [found.line for found in check_expected(expected, image({"no": NODE}))]
    assert [line.split(": ")[0] for line in lines] == ["file:f", "file:f", "file:no"]
    assert check_expected(expected, "error: x")[0].aspect == "outcome"


def test_refusals_that_the_reference_expects() -> None:
    expected = Expectation("1.2 x", {}, {}, (), "no FROM")
    assert check_expected(expected, "error: there is no FROM") == ()
    assert [found.aspect for found in check_expected(expected, "error: else")] == ["outcome"]
    assert [found.line for found in check_expected(expected, image({}))] == ["outcome: built != refused (no FROM)"]


def test_a_case_that_both_build_and_none_should() -> None:
    found = verdict(CASE._replace(refused=True), (image({}), image({})), Judge(()), 1000)
    assert [difference.line for difference in found.unexplained] == ["outcome: both built != refused"]
    assert "0.0%" in table([found]).splitlines()[1]


def test_names_of_cases_are_different() -> None:
    names = [case.name for case in (*fixture_cases(), *written_cases())]
    assert len(names) == len(set(names))
