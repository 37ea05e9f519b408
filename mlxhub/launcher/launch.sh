#!/bin/sh
# What launchd starts: mlxhub-worker NOTE PYTHON ARGUMENT... It becomes PYTHON, if that still works.
# If not (an upgrade removed the interpreter, say), NOTE tells a person, and exit 0 tells launchd not to try again.
note=$1
python=$2
shift 2
mark='Written by the launcher.'

# A stop while Python is checked is obeyed when the check has ended: what a plist runs has one process at a time.
trap 'exit 0' TERM
said=$("$python" -I -c 'import mlxhub.cli.main, mlxhub.cli.run' 2>&1)
code=$?

kind=
[ -f "$note" ] && { IFS= read -r _ && IFS= read -r kind; } <"$note"

case $code in
0)
    [ "$kind" = "$mark" ] && /bin/rm -f "$note"
    MLXHUB_NOTE=$note
    export MLXHUB_NOTE
    exec "$python" "$@"
    ;;
1 | 126 | 127 | 134) ;; # An import failed; no program; none that may run; a library of the interpreter is gone (SIGABRT).
*)
    # Killed for want of memory, for instance: launchd tries again.
    printf 'The check of %s ended with %s. %s\n' "$python" "$code" "$said" >&2
    exit "$code"
    ;;
esac

umask 077
reason="mlxhub's Python environment does not work any more ($python, exit $code). Run scripts/install again, or mlxhub install from an environment that works."
printf '%s\n%s\n' "$reason" "$said" >&2
# Another's note tells why it stays down already.
if [ ! -e "$note" ] || [ "$kind" = "$mark" ]; then
    /bin/mkdir -p "${note%/*}" &&
        printf '%s\n%s\n%s\n' "$reason" "$mark" "$said" >"$note.$$.tmp" &&
        /bin/mv -f "$note.$$.tmp" "$note"
fi
exit 0
