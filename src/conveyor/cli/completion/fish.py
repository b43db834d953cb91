"""The script for fish."""

from collections.abc import Sequence

from conveyor.cli.completion.spec import FILE_STORE, STORES, Command, Option, Value, filled

_SCRIPT = """\
# Completion of conveyor for fish: conveyor completion fish | source

function __conveyor_store
    set -l token (string replace -r '^--[^=]*=' '' -- (commandline -ct))
    if string match -q '@file_store@*' -- $token
        set -l path (string replace '@file_store@' '' -- $token)
        for found in $path*
            test -d $found; and set found $found/
            printf '%s%s\\n' '@file_store@' $found
        end
    else
        printf '%s\\n' @stores@
    end
end

function __conveyor_in # whether the command is the one named, or there is none yet
    set -l words (commandline -opc)
    for word in $words[2..-1]
        string match -q -- '-*' $word; and continue
        test "$word" = "$argv[1]"
        return
    end
    test -z "$argv[1]"
end

complete -c conveyor -f
@lines@
"""


def script(whole: Command, commands: Sequence[Command]) -> str:
    """All that is to be sourced."""
    lines = [_option("", option) for option in whole.options]
    for command in commands:
        lines.append(f"{_line('')} -a {_quoted(command.name)} -d {_quoted(command.summary)}")
        lines += [_option(command.name, option) for option in command.options]
        lines += [f"{_line(command.name)}{offer}" for value, _ in command.words if (offer := _offer(value))]
    parts = {"@file_store@": FILE_STORE, "@stores@": " ".join(STORES), "@lines@": "\n".join(lines)}
    return filled(_SCRIPT, parts)


def _line(command: str) -> str:
    return f"complete -c conveyor -n {_quoted(f'__conveyor_in {command}'.rstrip())}"


def _option(command: str, option: Option) -> str:
    names = "".join(f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}" for name in option.names)
    value = f" -x{_offer(option.value)}" if option.value else ""
    return f"{_line(command)}{names}{value} -d {_quoted(option.help)}"


def _offer(value: Value) -> str:
    match value.kind:
        case "choice":
            return f" -a {_quoted(' '.join(value.choices))}"
        case "store":
            return " -a '(__conveyor_store)'"
        case "folder":
            return " -a '(__fish_complete_directories)'"
        case "any":
            return ""


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
