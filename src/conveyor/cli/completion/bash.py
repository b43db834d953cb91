"""The script for bash, 3.2 and later; it needs no bash-completion."""

from collections.abc import Iterable, Sequence

from conveyor.cli.completion.spec import FILE_STORE, STORES, Command, Option, Value, filled

# bash cuts words at ':' and '=': they are put together to be understood, and what is before the cut is left out of
# what is answered.
_SCRIPT = """\
# Completion of conveyor for bash: eval "$(conveyor completion bash)"

_conveyor_answer() { # reads candidates, one a line
    local line
    while IFS= read -r line; do
        line=$before$line
        COMPREPLY[${#COMPREPLY[@]}]=${line#"$cut"}
    done
}

_conveyor_words() { # one of some words
    _conveyor_answer < <(compgen -W "$1" -- "$value")
}

_conveyor_folder() {
    compopt -o filenames 2>/dev/null
    _conveyor_answer < <(compgen -d -- "$value")
}

_conveyor_store() { # a URL, and after that of a file its path
    local path
    compopt -o nospace 2>/dev/null
    if [[ $value != @file_store@* ]]; then
        _conveyor_words "@stores@"
        return
    fi
    _conveyor_answer < <(
        compgen -f -- "${value#@file_store@}" | while IFS= read -r path; do
            [[ -d $path ]] && path+=/
            printf '@file_store@%q\\n' "$path"
        done
    )
}

_conveyor() {
    local words=() count=0 glued="" word command="" option="" value before="" cut="" i IFS=$' \\t\\n'
    COMPREPLY=()
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $count -gt 0 && ( -n $glued || $word == [:=]* ) ]]; then
            words[count - 1]+=$word
        else
            words[count++]=$word
        fi
        [[ $word == *[:=] ]] && glued=1 || glued=""
    done
    value=${words[count - 1]}
    for ((i = 0; i < count - 1; i++)); do
        [[ -z $command && ${words[i]} != -* ]] && command=${words[i]}
        option=${words[i]}
    done
    if [[ $value == -*=* ]]; then
        option=${value%%=*} value=${value#*=}
        [[ $COMP_WORDBREAKS == *=* ]] || before=$option=
    fi
    [[ $COMP_WORDBREAKS == *:* && $value == *:* ]] && cut=$before${value%"${value##*:}"}
    case "$command $option" in
@values@
    esac
    case "$command" in
@commands@
    esac
}

complete -F _conveyor conveyor
"""


def script(whole: Command, commands: Sequence[Command]) -> str:
    """All that is to be sourced."""
    values = [_case(command.name, option) for command in commands for option in command.options if option.value]
    top = _branch('""', whole, f'_conveyor_words "{_words(command.name for command in commands)}"')
    parts = {
        "@file_store@": FILE_STORE,
        "@stores@": _words(STORES),
        "@values@": "\n".join(values),
        "@commands@": "\n".join([top, *map(_command, commands)]),
    }
    return filled(_SCRIPT, parts)


def _case(command: str, option: Option) -> str:
    """What to offer as the value of an option."""
    patterns = " | ".join(f'"{command} {name}"' for name in option.names)
    return f"        {patterns}) {_offer(option.value)}; return ;;"


def _offer(value: Value | None) -> str:
    match value:
        case Value(kind="choice", choices=choices):
            return f'_conveyor_words "{_words(choices)}"'
        case Value(kind="store"):
            return "_conveyor_store"
        case Value(kind="folder"):
            return "_conveyor_folder"
        case _:
            return ":"


def _command(command: Command) -> str:
    return _branch(command.name, command, _offer(command.words[0][0]) if command.words else ":")


def _branch(pattern: str, command: Command, offer: str) -> str:
    """What to offer where no option's value is due: options after a dash, or where there is nothing else."""
    options = f'_conveyor_words "{_words(_names(command))}"'
    if offer == ":":
        return f"        {pattern}) {options} ;;"
    return f"        {pattern}) if [[ $value == -* ]]; then {options}; else {offer}; fi ;;"


def _names(command: Command) -> list[str]:
    return [name for option in command.options for name in option.names]


def _words(words: Iterable[str]) -> str:
    return " ".join(words)
