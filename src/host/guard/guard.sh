# Reads what to kill; kills it by SIGKILL at the end of its input. See the module. $1: what marks the starts of this monitor or pool.
# Its input is lines of this language. `sSLOT='GROUP TIME'` lists a group, whose leader started at TIME; `sSLOT='0 TIME NUMBER'`
# tells that start NUMBER is under way, since TIME. `sSLOT=` takes either from the list. `slots=N`: there are no more than N of them.
# `exit` ends this without a kill.
trap '' HUP INT QUIT USR1 USR2 PIPE ALRM TERM TSTP TTIN TTOU VTALRM PROF XCPU XFSZ
set -f
mark="$1." slots=0
# The shells that are descended from ash read what they source as it comes, and much of it at once. Others may read it to its end first.
[ -n "${BASH_VERSION-}${KSH_VERSION-}${ZSH_VERSION-}${YASH_VERSION-}" ] || command . /proc/self/fd/0
# One byte at a time. If it was sourced, this is the end of it.
while read -r line; do eval "$line"; done

# Gives `state`, `parent` and `began` (when it started) of process $1; nothing if there is none. Its name may hold anything, so
# what counts is after the last ")".
look() {
    text=
    while read -r line; do text="$text $line"; done <"/proc/$1/stat"
    set -- ${text##*")"}
    state=${1-} parent=${2-} began=${20-}
}

under_way='' earliest='' slot=0
while [ "$slot" -lt "$slots" ]; do
    eval "set -- \$s$slot"
    slot=$((slot + 1))
    case ${1-} in
    '' | 1) ;;
    0)
        under_way="$under_way $3 "
        [ -n "$earliest" ] && [ "$earliest" -le "$2" ] || earliest=$2
        ;;
    *)
        look "$1"
        # Another time: the number was given anew, so nobody is left of the group.
        case $began in '' | "$2") kill -s KILL -- "-$1" ;; esac
        ;;
    esac
done

# Starts that were under way. The host's pipe closes before the host's children get their parent-death signal, and until then a
# child may go on. When they have got it, this process has another parent.
turn=0
while [ -n "$under_way" ] && [ "$turn" -lt 1000 ]; do
    turn=$((turn + 1))
    look "$$"
    [ "$parent" = "$PPID" ] || break
done

# Their processes are found by the mark. Again while there were some, since they may have forked, and while one had no
# environment: it may be amid an exec.
pass=0
while [ -n "$under_way" ] && [ "$pass" -lt 10 ]; do
    pass=$((pass + 1)) again=
    set +f
    set -- /proc/[0-9]*
    set -f
    for process; do
        process=${process#/proc/}
        look "$process"
        [ "$state" != Z ] && [ "${began:-0}" -ge "$earliest" ] || continue
        text=
        while read -r line || [ -n "$line" ]; do text="$text$line"; done <"/proc/$process/environ"
        case $text in
        *"$mark"*) text=${text##*"$mark"} ;;
        '') again=1 && continue ;;
        *) continue ;;
        esac
        case $under_way in *" ${text%%.*} "*) kill -s KILL "$process" && again=1 ;; esac
    done
    [ -n "$again" ] || break
done
