# Reads what to kill; kills it by SIGKILL at the end of its input. See the module. $1: what marks the starts of this monitor.
# `+ SLOT GROUP TIME NUMBER` lists a group, whose leader started at TIME. With GROUP 0: start NUMBER is under way, since TIME.
# `- SLOT` takes it from the list. `q` ends this without a kill.
trap '' HUP INT QUIT USR1 USR2 PIPE ALRM TERM TSTP TTIN TTOU VTALRM PROF XCPU XFSZ
set -f
mark="$1." top=0
while read -r op slot group time number; do
    case $slot$group$time$number in *[!0-9]*) continue ;; esac
    case $op$slot in
    +?*)
        eval "s$slot='$group $time $number'"
        [ "$slot" -le "$top" ] || top=$slot
        ;;
    -?*) eval "s$slot=" ;;
    q) exit ;;
    esac
done

# Gives `began`: when process $1 started; nothing if there is none. Its name may hold anything, so what counts is after the last ")".
look() {
    text=
    while read -r line; do text="$text $line"; done <"/proc/$1/stat"
    set -- ${text##*")"}
    began=${20-}
}

under_way='' earliest='' slot=0
while [ "$slot" -le "$top" ]; do
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

# Starts that were under way: their processes are found by the mark. Again while there were some, since they may have forked.
pass=0
while [ -n "$under_way" ] && [ "$pass" -lt 10 ]; do
    pass=$((pass + 1)) found=
    set +f
    set -- /proc/[0-9]*
    set -f
    for process; do
        process=${process#/proc/}
        look "$process"
        [ "${began:-0}" -ge "$earliest" ] || continue
        text=
        while read -r line || [ -n "$line" ]; do text="$text$line"; done <"/proc/$process/environ"
        case $text in *"$mark"*) ;; *) continue ;; esac
        text=${text##*"$mark"}
        case $under_way in *" ${text%%.*} "*) kill -s KILL "$process" && found=1 ;; esac
    done
    [ -n "$found" ] || break
done
