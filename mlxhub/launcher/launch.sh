#!/bin/sh
# What launchd starts: mlxhub-worker NOTE PYTHON ARGUMENT... It becomes PYTHON, if that still works.
# If not (an upgrade removed the interpreter, say), NOTE tells a person, and exit 0 tells launchd not to try again.
note=$1
python=$2
shift 2
mark='Written by the launcher.'

said=$("$python" -I -c 'import mlxhub' 2>&1)
code=$?
if [ "$code" -eq 0 ]; then
    if [ -f "$note" ]; then
        kind=
        { IFS= read -r _ && IFS= read -r kind; } <"$note"
        [ "$kind" = "$mark" ] && /bin/rm -f "$note"
    fi
    exec "$python" "$@"
fi

umask 077
reason="mlxhub's Python environment does not work any more ($python, exit $code). Run scripts/install again, or mlxhub install from an environment that works."
printf '%s\n%s\n' "$reason" "$said" >&2
/bin/mkdir -p "${note%/*}" &&
    printf '%s\n%s\n%s\n' "$reason" "$mark" "$said" >"$note.$$.tmp" &&
    /bin/mv -f "$note.$$.tmp" "$note"
exit 0
