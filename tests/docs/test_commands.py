"""Each `fineline` command in the pages is one that the program takes: parsed by its own command line, and not run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
import typer

from fineline_cli.main import app
from support.pages import PAGES, REPOSITORY, fences, prose

_PROGRAM = re.compile(r"([\w./-]*/)?fineline")
_INLINE = re.compile(r"`(fineline [^`]+)`")
_SHORTENED = re.compile(r"…|\.\.\.|\[|\$\(")


def commands(text: str) -> Iterator[list[str]]:
    """The words of each `fineline` command in a piece of shell, the program's own name left out."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=";&|()<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for token in (*_tokens(lexer), ";"):
            if set(token) <= set(";&|()<>"):
                if words and _PROGRAM.fullmatch(words[0]):
                    yield words[1:]
                words = []
            else:
                words.append(token)


def _tokens(lexer: shlex.shlex) -> list[str]:
    try:
        return list(lexer)
    except ValueError:  # a quotation over several lines: no command of ours has one
        return []


def in_fences() -> list[tuple[str, list[str]]]:
    """Every command in a block of shell, with the place where it stands."""
    return [(str(fence), words) for fence in fences("sh", "console", "bash") for words in commands(fence.text)]


def in_sentences() -> list[tuple[str, list[str]]]:
    """Every command that a sentence or a table names, often without its arguments."""
    return [
        (str(page.relative_to(REPOSITORY)), words)
        for page in PAGES
        for inline in _INLINE.findall(prose(page))
        if not _SHORTENED.search(inline)
        for words in commands(inline)
    ]


def refusal(words: list[str]) -> tuple[str, str]:
    """What the command line has against a command: the kind of error and its message; empty where it takes it."""
    command, context, rest = typer.main.get_command(app), None, words
    while rest and (further := getattr(command, "commands", {}).get(rest[0])):
        context = command.make_context(command.name, [rest[0]], parent=context)
        command, rest = further, rest[1:]
    if hasattr(command, "commands"):  # a group: named as such, or with a command that it lacks
        return ("UnknownCommand", f"there is no command {rest[0]}") if rest else ("", "")
    try:
        command.make_context(command.name, list(rest), parent=context)
    except Exception as error:  # noqa: BLE001 - typer's own click raises its errors
        return type(error).__name__, str(getattr(error, "message", None) or error)
    return "", ""


def names(written: list[tuple[str, list[str]]]) -> list[str]:
    return [f"{place}-{' '.join(words)}" for place, words in written]


@pytest.mark.parametrize(("place", "words"), in_fences(), ids=names(in_fences()))
def test_the_command_line_takes_a_command(place: str, words: list[str]) -> None:
    assert refusal(words) == ("", ""), place


@pytest.mark.parametrize(("place", "words"), in_sentences(), ids=names(in_sentences()))
def test_the_command_line_knows_a_command_that_is_named(place: str, words: list[str]) -> None:
    kind, message = refusal(words)
    assert kind in ("", "MissingParameter"), f"{place}: {message}"


def test_the_pages_have_commands_to_check() -> None:
    first = {words[0] for _, words in in_fences() if words}
    assert first >= {"run", "plan", "status", "retry", "datasets", "crds", "results"}


def test_a_command_that_is_not_there_would_be_seen() -> None:
    (words,) = commands("fineline plan first.yaml --colour | tee out   # no such option")
    assert words == ["plan", "first.yaml", "--colour"]
    assert "colour" in refusal(words)[1]
    assert refusal(["paint"])[1]
    assert refusal(["plan"])[0] == "MissingParameter"
