"""What the completion scripts hold. bash's is driven in ``tests/e2e``; zsh and fish are not everywhere."""

import argparse
import re
import sys

import pytest

from conveyor.cli import COMMANDS, build, main
from conveyor.cli.completion import SHELLS, script
from conveyor.cli.completion.spec import read
from conveyor.core.lifecycle import State


def options(command: str) -> list[str]:
    _, commands = build(COMMANDS)
    return [name for action in commands[command].actions for name in action.option_strings]


def section(shell: str, command: str) -> str:
    """The part of a script that is about one command."""
    text = script(shell)
    if shell == "bash":
        return "\n".join(line for line in text.splitlines() if f'"{command} ' in line or f"  {command}) " in line)
    if shell == "fish":
        return "\n".join(line for line in text.splitlines() if f"'__conveyor_in {command}'" in line)
    return text.partition(f"                {command})\n")[2].partition(";;")[0]


def named(shell: str, option: str) -> str:
    """How *shell* is told of an option, and of no other that begins or ends alike."""
    if shell == "fish":
        return f" -l {option[2:]} " if option.startswith("--") else f" -s {option[1:]} "
    return rf"(?<![\w-]){option}(?![\w-])"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("shell", SHELLS)
def test_every_option_of_every_command_is_there(shell: str, command: str) -> None:
    part = section(shell, command)
    for option in options(command):
        assert re.search(named(shell, option), part), option


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_is_there_with_what_it_does(shell: str) -> None:
    text = script(shell)
    for command, summary in COMMANDS.items():
        assert re.search(rf"\b{command}\b", text)
        if shell != "bash":  # which shows no meanings
            assert summary.replace("'", "'\\''" if shell == "zsh" else "\\'") in text


@pytest.mark.parametrize("shell", SHELLS)
def test_choices_are_there(shell: str) -> None:
    assert " ".join(State) in section(shell, "jobs")
    assert "debug info warning error" in section(shell, "worker")
    assert "enqueue drain latency" in section(shell, "bench")
    assert "bash zsh fish" in section(shell, "completion")


@pytest.mark.parametrize("command", [name for name in COMMANDS if "--store" in options(name)])
@pytest.mark.parametrize("shell", SHELLS)
def test_stores_are_completed_as_what_they_are(shell: str, command: str) -> None:
    assert "_conveyor_store" in section(shell, command)


@pytest.mark.parametrize("shell", SHELLS)
def test_no_mark_is_left(shell: str) -> None:
    assert not re.search(r"@\w+@", script(shell).replace('"$@"', ""))


def test_the_script_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "fish"]) == 0
    assert capsys.readouterr().out == script("fish") + "\n"


def test_no_app_is_imported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CONVEYOR_APP", "this:app")
    sys.modules.pop("this", None)
    assert main(["completion", "zsh"]) == 0
    assert "Zen" not in capsys.readouterr().out
    assert "this" not in sys.modules


def test_what_a_meaning_holds_means_nothing_to_the_shell() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--odd", metavar="A:B", help='it\'s [50%%]: \\ $HOME `id` "x"')
    command = read("odd", "its: [odd]", parser._actions)
    quoted = {shell: SHELLS[shell](read("conveyor", "", []), [command]) for shell in SHELLS}
    assert "'(--odd)--odd=[it'\\''s \\[50%\\]\\: \\\\ $HOME `id` \"x\"]:A\\:B: '" in quoted["zsh"]
    assert "'odd:its\\: \\[odd\\]'" in quoted["zsh"]
    assert "-l odd -x -d 'it\\'s [50%]: \\\\ $HOME `id` \"x\"'" in quoted["fish"]
    assert "$HOME" not in quoted["bash"]


def test_a_hidden_option_stays_hidden() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--secret", help=argparse.SUPPRESS)
    assert read("x", "", parser._actions).options == []
