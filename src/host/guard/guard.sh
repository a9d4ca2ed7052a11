# Waits for the end of its input; kills by SIGKILL then what is listed in the file that is its descriptor 3. See the module. $1: what marks
# the starts of this monitor or pool. A line `g GROUP FROM TO CGROUP` lists a group, whose leader started between these times, and the directory
# of the cgroup that was made for it, or nothing; `u NUMBER TIME`: start NUMBER is under way, since TIME. Any other line says nothing, and no line
# is a command: a copy of the host, by fork, could have written it.
# `exit` as input ends this without a kill.
trap '' HUP INT QUIT USR1 USR2 PIPE ALRM TERM TSTP TTIN TTOU VTALRM PROF XCPU XFSZ
set -f
mark="$1." under_way='' earliest=''
while read -r line; do [ "$line" != exit ] || exit 0; done

# The numbers of another PID namespace say nothing here.
proc=/proc
read -r self line </proc/self/stat && [ "$self" = "$$" ] || proc=/dev/null

# Gives `state`, `parent` and `began` (when it started) of process $1; nothing if there is none. Its name may hold anything, so
# what counts is after the last ")".
look() {
    text=
    while read -r line; do text="$text $line"; done <"$proc/$1/stat"
    set -- ${text##*")"}
    state=${1-} parent=${2-} began=${20-}
}

g() {
    # To signal the group 1 is to signal everybody.
    [ "$1" -gt 1 ] || return 0
    look "$1"
    # Another time: the number was given anew, so nobody is left of the group.
    if [ -z "$began" ] || { [ "$began" -ge "$2" ] && [ "$began" -le "$3" ]; }; then
        kill -s KILL -- "-$1"
    fi
}

u() {
    under_way="$under_way $1 "
    [ -n "$earliest" ] && [ "$earliest" -le "$2" ] || earliest=$2
}

# Kills all in the cgroup $1, whose name no other has. Before Linux 5.14 one by one, without those in cgroups below it, and again while there were
# some, since they may have forked. The kernel calls those of another PID namespace 0. What is appended spoils no other file.
cgroup() {
    [ -f "$1/cgroup.kill" ] && [ ! -h "$1/cgroup.kill" ] && echo 1 >>"$1/cgroup.kill" && return
    pass=0
    while [ "$pass" -lt 10 ]; do
        pass=$((pass + 1)) again=
        while read -r line; do [ "$line" -gt 1 ] && kill -s KILL "$line" && again=1; done <"$1/cgroup.procs"
        [ -n "$again" ] || break
    done
}

while read -r kind one two three rest; do
    case $one$two$three in *[!0-9]*) continue ;; esac
    case $kind in
    g)
        [ -n "$three" ] || continue
        g "$one" "$two" "$three"
        case $rest in /*) cgroup "$rest" ;; esac
        ;;
    u) [ -z "$two" ] || u "$one" "$two" ;;
    esac
done <&3

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
    set -- "$proc"/[0-9]*
    set -f
    for process; do
        process=${process#"$proc"/}
        look "$process"
        [ "$state" != Z ] && [ "${began:-0}" -ge "$earliest" ] || continue
        text=
        while read -r line || [ -n "$line" ]; do text="$text$line"; done <"$proc/$process/environ"
        case $text in
        *"$mark"*) text=${text##*"$mark"} ;;
        '') again=1 && continue ;;
        *) continue ;;
        esac
        case $under_way in *" ${text%%.*} "*) kill -s KILL "$process" && again=1 ;; esac
    done
    [ -n "$again" ] || break
done
