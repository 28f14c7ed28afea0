#!/bin/bash
# Stands in for Docker on a host of a drill, as far as Ray's cluster launcher uses it: a container is the host itself,
# with the environment of the image (image.env beside this file) and of `docker run`, and the folders that it mounts.
set -e
container=/tmp/container

mount_at() { # FROM TO
    printf '%s{"Destination": "%s"}' "$(test -s $container/mounts && echo ,)" "$2" >>$container/mounts
    if [ "$1" = "$2" ]; then return; fi
    if [ -d "$1" ]; then mkdir -p "$2"; else mkdir -p "$(dirname "$2")" && touch "$2"; fi
    mount --bind "$1" "$2"
}

processes() { # of the container: all but the first one of the host, and those that run this script
    local own=" 1 " pid=$$
    while [ "$pid" -gt 1 ]; do own+="$pid "; pid=$(awk '/^PPid/ {print $2}' /proc/$pid/status); done
    for pid in /proc/[0-9]*; do
        if [[ $own != *" ${pid#/proc/} "* ]]; then echo "${pid#/proc/}"; fi
    done
}

command=$1
shift
case $command in
pull | info) ;;
inspect) # -f TEMPLATE NAME
    case $2 in
    *State.Running*) if [ -d $container ]; then echo true; fi ;;
    *Config.Env*) echo '["HOME=/home/ray"]' ;;
    *Config.Image*) cat $container/image ;;
    *Mounts*) echo "[$(cat $container/mounts)]" ;;
    esac
    ;;
run)
    mkdir $container
    cp "$(dirname "$0")/image.env" $container/env
    while [ $# -gt 0 ]; do
        case $1 in
        -e | --env) printf 'export %q\n' "$2" >>$container/env && shift ;;
        -v | --volume) mount_at "${2%%:*}" "${2#*:}" && shift ;;
        --name | --ulimit) shift ;;
        -*) ;;
        */*) echo "$1" >$container/image ;;
        esac
        shift
    done
    echo ". $container/env" >/home/ray/.bash_profile
    . $container/env
    $IMAGE_SETUP
    ;;
exec) # [-i] [-t] NAME COMMAND...
    test -d $container || { echo "no container runs here" >&2 && exit 1; }
    while [[ $1 == -* ]]; do shift; done
    shift
    cd /home/ray
    exec env -i HOME=/home/ray TERM="$TERM" bash -c ". $container/env; exec \"\$@\"" bash "$@"
    ;;
stop)
    # shellcheck disable=SC2046
    kill -KILL $(processes) 2>/dev/null || true
    rm -r $container
    ;;
*) echo "the stand-in for docker knows no $command" >&2 && exit 1 ;;
esac
