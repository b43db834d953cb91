"""The script for zsh: to be sourced, or put as ``_conveyor`` into a folder of ``fpath``."""

from collections.abc import Sequence

from conveyor.cli.completion.spec import FILE_STORE, STORES, Command, Option, Value, filled

_SCRIPT = """\
#compdef conveyor
# Completion of conveyor for zsh: eval "$(conveyor completion zsh)", after compinit

_conveyor_store() {
    if compset -P '@file_store@'; then
        _files
    else
        compadd -S '' -- @stores@
    fi
}

_conveyor() {
    local curcontext=$curcontext context state state_descr line
    local -A opt_args
    local -a commands=(
@commands@
    )
    _arguments -C @options@ '1:command:->command' '*::argument:->argument' && return
    case $state in
        command) _describe -t commands command commands ;;
        argument)
            curcontext=${curcontext%:*:*}:conveyor-$words[1]:
            case $words[1] in
@cases@
            esac
            ;;
    esac
}

if [[ $funcstack[1] == _conveyor ]]; then
    _conveyor "$@"
else
    compdef _conveyor conveyor
fi
"""


_JOINED = " \\\n                        "


def script(whole: Command, commands: Sequence[Command]) -> str:
    """All that is to be sourced."""
    parts = {
        "@file_store@": FILE_STORE,
        "@stores@": " ".join(STORES),
        "@commands@": "\n".join(f"        {_quoted(f'{c.name}:{_bare(c.summary)}')}" for c in commands),
        "@options@": " ".join(_option(option) for option in whole.options),
        "@cases@": "\n".join(_case(command) for command in commands),
    }
    return filled(_SCRIPT, parts)


def _case(command: Command) -> str:
    specs = [_option(option) for option in command.options]
    for place, (value, help_) in enumerate(command.words, 1):
        where = "*" if value.many else str(place)
        specs.append(_quoted(f"{where}:{_bare(help_)}:{_action(value)}"))
    lines = ["_arguments", *specs]
    return f"                {command.name})\n                    {_JOINED.join(lines)}\n                    ;;"


def _option(option: Option) -> str:
    """One option for ``_arguments``: what excludes it, its names, its meaning, its value."""
    excludes = "(- *)" if "--help" in option.names or "--version" in option.names else f"({' '.join(option.names)})"
    rest = f"[{_bare(option.help)}]"
    if option.value:
        rest += f":{_bare(option.value.name)}:{_action(option.value)}"
    first = "*" if option.many else excludes
    # -q VALUE as two words, --queues=VALUE as one or two
    names = [name + ("=" if option.value and name.startswith("--") else "") for name in option.names]
    if len(names) == 1:
        return _quoted(first + names[0] + rest)
    return f"{_quoted(first)}{{{','.join(names)}}}{_quoted(rest)}"


def _action(value: Value) -> str:
    match value.kind:
        case "choice":
            return f"({' '.join(value.choices)})"
        case "store":
            return "_conveyor_store"
        case "folder":
            return "_files -/"
        case "any":
            return " "


def _bare(text: str) -> str:
    """*text* without a meaning to ``_arguments`` and ``_describe``."""
    for char in "\\:[]":
        text = text.replace(char, f"\\{char}")
    return text


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
